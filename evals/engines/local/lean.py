"""The pass without padding of a loaded model, where there is one for its kind: made once, kept as long as the model.

A model whose weights change afterwards keeps the pass of its old ones: load it again.
"""

from typing import Any
from weakref import WeakKeyDictionary

from evals.engines.local import gated_cpu, phi_cpu
from evals.engines.local.side_by_side import LeanPass

_PASSES: WeakKeyDictionary[Any, LeanPass] = WeakKeyDictionary()


def fits(model: Any) -> bool:
    """Whether there is such a pass for the model."""
    return phi_cpu.fits(model) or gated_cpu.fits(model)


def lean_pass(model: Any) -> LeanPass:
    """The pass of a model that `fits`."""
    if model not in _PASSES:
        _PASSES[model] = phi_cpu.open_phi(model) if phi_cpu.fits(model) else gated_cpu.open_gated(model)
    return _PASSES[model]


def forget_pass(model: Any) -> None:
    """Frees the pass of a model, which may hold a copy of its weights."""
    _PASSES.pop(model, None)
