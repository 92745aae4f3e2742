"""The one door for untrusted code."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evals.sandbox.program import Program as Program
    from evals.sandbox.program import Verdict as Verdict
    from evals.sandbox.tiers import TierReport as TierReport
    from evals.sandbox.tiers import open_sandbox as open_sandbox
    from evals.sandbox.tiers import probe as probe

# public name -> where it lives; resolved when used, since the zygote's launcher loads this file bare
_PUBLIC = {
    "Program": "evals.sandbox.program",
    "Verdict": "evals.sandbox.program",
    "TierReport": "evals.sandbox.tiers",
    "open_sandbox": "evals.sandbox.tiers",
    "probe": "evals.sandbox.tiers",
}


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(name)
    return getattr(importlib.import_module(_PUBLIC[name]), name)
