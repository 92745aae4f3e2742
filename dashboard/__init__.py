"""The leaderboard: reads the zoo and the evals, writes neither.

The names in `__all__` are public and stay as they are (docs/python.md); they are imported when they are used.
"""

from typing import TYPE_CHECKING

from zoo.lazy_names import lazy_names

if TYPE_CHECKING:
    from dashboard.frame import board_frame, write_board

__all__ = ["board_frame", "write_board"]

if not TYPE_CHECKING:  # or a wrong name would pass the type checker
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "board_frame": "dashboard.frame:board_frame",
            "write_board": "dashboard.frame:write_board",
        },
    )
