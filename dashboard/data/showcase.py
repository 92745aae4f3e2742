"""The showcase's figures: the kept answers of chat models to the talk's prompts, beside each other."""

from typing import NamedTuple

from evals import showcase
from evals.showcase import ShowcaseAnswer, ShowcasePrompt

COMMAND = "phizoo eval showcase"
MARKS = {"right": "✓", "wrong": "✗", "no speed": "?", "": ""}


class ShowcaseRow(NamedTuple):
    """One prompt with the answers of all models that were asked it, in the order of the models' names."""

    prompt: ShowcasePrompt
    answers: tuple[ShowcaseAnswer, ...]


def load_rows() -> list[ShowcaseRow]:
    """The prompts that have an answer here, in the talk's order; the newest answer of each model."""
    table = showcase.newest(showcase.read_showcases(showcase.folder()))
    rows = [
        ShowcaseRow(prompt, tuple(table[model][prompt.name] for model in sorted(table) if prompt.name in table[model]))
        for prompt in showcase.PROMPTS
    ]
    return [row for row in rows if row.answers]


def heading(answer: ShowcaseAnswer) -> str:
    """The line over an answer: whether it is right, the model, its engine."""
    return f"{MARKS[answer.check]} {answer.model} · {answer.engine}".strip()
