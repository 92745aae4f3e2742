"""The options of `phizoo eval run` that ask a task by chat, read as one shape."""

from typing import Any

from evals.chat import ChatShape
from zoo.errors import ZooError


def read_shape(options: dict[str, Any]) -> ChatShape | None:
    """The shape that the options ask for; None without --chat. Raises ZooError for its options alone."""
    if not options["chat"]:
        for name in ("system", "fewshot_as_turns", "thinking", "thinking_budget"):
            if options[name] is not None and options[name] is not False:  # a budget of 0 is one
                raise ZooError(f"--{name.replace('_', '-')} belongs to a chat: add --chat")
        return None
    return ChatShape(
        system=options["system"] or "", fewshot_as_turns=options["fewshot_as_turns"],
        thinking={"on": True, "off": False}.get(options["thinking"]), budget=options["thinking_budget"],
    )  # fmt: skip
