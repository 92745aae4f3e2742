"""Prompts for a large model as teacher: slots of topic x skill x audience x form, and the prompts of each slot.

A slot's prompts differ by required words and random conditions, as TinyStories injects randomness (arXiv
2305.07759); the n-th prompt of a slot is a pure function of the seed. This file asks nothing.
"""

import random
from itertools import product
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
    """One combination of topic, skill, audience and form."""

    topic: str
    skill: str
    audience: str
    form: str

    @property
    def name(self) -> str:
        """The slot as one line."""
        return " / ".join(self)


def shuffled_slots(what: str, seed: int) -> list[TeachingSlot]:
    """All slots of a kind, shuffled by the seed."""
    every = [TeachingSlot(*combination) for combination in product(TOPICS, SKILLS, AUDIENCES, FORMS[what])]
    random.Random(f"slots:{what}:{seed}").shuffle(every)  # noqa: S311
    return every


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
