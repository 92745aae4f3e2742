"""Everything from raw text to a registered checkpoint.

The names in `__all__` are public and stay as they are (docs/python.md); they are imported when they are used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.plan import plan as plan_recipe
    from training.recipe import Recipe
    from training.recipe import load as load_recipe
    from training.run import run as train_recipe

__all__ = ["Recipe", "load_recipe", "plan_recipe", "train_recipe"]
# name -> where it is
_PLACES = {
    "Recipe": "training.recipe:Recipe",
    "load_recipe": "training.recipe:load",
    "plan_recipe": "training.plan:plan",
    "train_recipe": "training.run:run",
}

if not TYPE_CHECKING:  # or a wrong name would pass the type checker

    def __getattr__(name: str) -> Any:
        """A public name, imported now."""
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        module, _, attribute = _PLACES[name].partition(":")
        return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    """The public names."""
    return list(__all__)
