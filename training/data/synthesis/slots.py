"""What a teacher is asked for: slots of topic x skill x audience x form, and the prompts that fill one.

A slot's prompts differ by words that must be used and by random turns, as TinyStories injects randomness
(arXiv 2305.07759); which prompt is the n-th of a slot is a pure function of the seed. Nothing here is asked.
"""

import random
from typing import Any, NamedTuple

TOPICS = (
    "strings", "lists", "dictionaries", "sets", "tuples", "numbers and arithmetic", "loops", "conditions", "recursion",
    "sorting", "searching", "functions as values", "generators", "classes", "exceptions", "files as text", "dates",
    "matrices as lists of lists", "stacks and queues", "trees as nested tuples",
)  # fmt: skip
SKILLS = (
    "transform each item", "select by a rule", "accumulate a result", "compare two inputs", "count and group",
    "validate an input", "build a structure step by step", "find an extreme", "simulate a process", "parse a format",
)  # fmt: skip
AUDIENCES = ("a pupil who has just met functions", "a student of a first course", "a scientist new to code",
             "a programmer coming from another language")  # fmt: skip
FORMS = {
    "exercises": ("a function to complete from its docstring", "a small puzzle", "a repair of a described mistake",
                  "a task from an everyday setting"),
    "textbooks": ("a lesson with a worked example", "a dialogue of teacher and student", "a reference with examples",
                  "a story that leads to the idea"),
}  # fmt: skip
WORDS = ("garden", "ticket", "river", "battery", "recipe", "planet", "letter", "bridge", "market", "orchestra",
         "puzzle",
         "lantern", "harvest", "museum", "thermometer", "caravan", "library", "signal", "bakery", "mountain", "pocket",
         "compass", "violin", "ladder", "window", "island", "engine", "blanket", "marble", "festival")  # fmt: skip
TWISTS = ("an empty input must be handled", "ties must be broken in a stated way", "negative values may occur",
          "the order of the input must be kept", "upper and lower case must not matter", "no library may be used",
          "the result must be a new value", "one pass must be enough")  # fmt: skip

EXERCISE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "code": {"type": "string", "description": "one Python function with a docstring and its solution"},
        "tests": {"type": "array", "items": {"type": "string", "description": "an assert statement on the function"}},
    },
    "required": ["code", "tests"],
    "additionalProperties": False,
}
TEXTBOOK_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"text": {"type": "string", "description": "the passage, Markdown, with Python code in fences"}},
    "required": ["text"],
    "additionalProperties": False,
}


class TeachingSlot(NamedTuple):
    """One combination of what a document is about, what it trains, for whom, in which form."""

    topic: str
    skill: str
    audience: str
    form: str

    @property
    def name(self) -> str:
        """The slot in one line."""
        return " / ".join(self)


def shuffled_slots(what: str, seed: int) -> list[TeachingSlot]:
    """All slots of a kind in a random order that the seed decides."""
    every = [TeachingSlot(*combination) for combination in _products(TOPICS, SKILLS, AUDIENCES, FORMS[what])]
    random.Random(f"slots:{what}:{seed}").shuffle(every)  # noqa: S311
    return every


def _products(*lists: tuple[str, ...]) -> list[tuple[str, ...]]:
    import itertools

    return list(itertools.product(*lists))


def slot_prompt(what: str, slot: TeachingSlot, seed: int, number: int) -> str:
    """The number-th prompt of a slot.

    >>> slot = shuffled_slots("exercises", 0)[0]
    >>> slot_prompt("exercises", slot, 0, 1) == slot_prompt("exercises", slot, 0, 2)
    False
    """
    random_ = random.Random(f"prompt:{what}:{slot.name}:{seed}:{number}")  # noqa: S311
    words = ", ".join(random_.sample(WORDS, 3))
    if what == "exercises":
        return (
            f"Write {slot.form} in Python about {slot.topic} for {slot.audience}. What it trains: {slot.skill}. "
            f"Use the words {words} in the docstring; {random_.choice(TWISTS)}. Give one function with type hints, a "
            "docstring that says exactly what is wanted, and its solution, and at least three assert statements."
        )
    return (
        f"Write {slot.form} in Python about {slot.topic} for {slot.audience}. What it trains: {slot.skill}. "
        f"Use the words {words}. Explain in sentences, show code in ```python fences, and let each function be "
        f"followed by an assert in the same fence; {random_.choice(TWISTS)}."
    )
