"""Everything from raw text to a registered checkpoint.

The names in `__all__` are public and stay as they are (docs/python.md); they are imported when they are used.
"""

from typing import TYPE_CHECKING

from zoo.lazy_names import lazy_names

if TYPE_CHECKING:
    from training.plan import plan as plan_recipe
    from training.recipe import Recipe
    from training.recipe import load as load_recipe
    from training.run import run as train_recipe

__all__ = ["Recipe", "load_recipe", "plan_recipe", "train_recipe"]

if not TYPE_CHECKING:  # or a wrong name would pass the type checker
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Recipe": "training.recipe:Recipe",
            "load_recipe": "training.recipe:load",
            "plan_recipe": "training.plan:plan",
            "train_recipe": "training.run:run",
        },
    )
