"""The leaderboard: reads the zoo and the evals, writes neither.

The names in `__all__` are public and stay as they are (docs/python.md); they are imported when they are used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dashboard.frame import board_frame, write_board

__all__ = ["board_frame", "write_board"]
# name -> where it is
_PLACES = {
    "board_frame": "dashboard.frame:board_frame",
    "write_board": "dashboard.frame:write_board",
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
