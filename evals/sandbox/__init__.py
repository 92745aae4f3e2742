"""The only entrance for untrusted code."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evals.sandbox.host.pool import Sandbox as Sandbox
    from evals.sandbox.program import Program as Program
    from evals.sandbox.program import Verdict as Verdict
    from evals.sandbox.tiers import TierReport as TierReport
    from evals.sandbox.tiers import open_sandbox as open_sandbox
    from evals.sandbox.tiers import probe as probe

# public name -> its module, resolved when used: the launcher of the zygote loads this file without any package
_PUBLIC = {
    "Program": "evals.sandbox.program", "Sandbox": "evals.sandbox.host.pool", "Verdict": "evals.sandbox.program",
    "TierReport": "evals.sandbox.tiers", "open_sandbox": "evals.sandbox.tiers", "probe": "evals.sandbox.tiers",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(name)
    return getattr(importlib.import_module(_PUBLIC[name]), name)
