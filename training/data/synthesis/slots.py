"""Prompts for a large model as teacher: slots of topic x skill x audience x form, and the prompts of each slot.

A slot's prompts differ by required words and random conditions, as TinyStories injects randomness (arXiv
2305.07759); the n-th prompt of a slot is a pure function of the seed. This file asks nothing.
"""

import random
from itertools import product
from typing import NamedTuple

from training.tables import read_table
from zoo.records import Record


class SlotTexts(Record, frozen=True):
    """The parts of a slot, the prompts, and the words and conditions that a prompt draws.

    knowledge, reasoning  the topics and skills of texts without code, as phi-1.5's
    """

    topics: tuple[str, ...]
    knowledge: tuple[str, ...]
    reasoning: tuple[str, ...]
    skills: tuple[str, ...]
    audiences: tuple[str, ...]
    words: tuple[str, ...]
    twists: tuple[str, ...]
    forms: dict[str, tuple[str, ...]]
    prompts: dict[str, str]


TEXTS = read_table("data/synthesis/slots.toml", SlotTexts)


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
    """All slots of a kind, shuffled by the seed; `knowledge` has topics and skills of its own."""
    subjects = (TEXTS.knowledge, TEXTS.reasoning) if what == "knowledge" else (TEXTS.topics, TEXTS.skills)
    every = [TeachingSlot(*parts) for parts in product(*subjects, TEXTS.audiences, TEXTS.forms[what])]
    random.Random(f"slots:{what}:{seed}").shuffle(every)  # noqa: S311
    return every


def slot_prompt(what: str, slot: TeachingSlot, seed: int, number: int) -> str:
    """The number-th prompt of a slot.

    >>> slot = shuffled_slots("exercises", 0)[0]
    >>> slot_prompt("exercises", slot, 0, 1) == slot_prompt("exercises", slot, 0, 2)
    False
    """
    random_ = random.Random(f"prompt:{what}:{slot.name}:{seed}:{number}")  # noqa: S311
    words, twist = ", ".join(random_.sample(TEXTS.words, 3)), random_.choice(TEXTS.twists)
    return TEXTS.prompts[what].format(**slot._asdict(), words=words, twist=twist)
