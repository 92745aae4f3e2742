"""The talk's prompts, asked of chat models: what they write, and whether the speed of the skier is right.

A showcase is no measurement: four prompts have no score, and nothing of it is published. The prompts are asked as any
task asked by chat (`evals.subjects`), so that an answer is kept, and a second call asks only for what is missing.
Answers are texts: no program in them is run, and no markup is drawn.

Source: the talk's subjects (The Surprising Power of Small Language Models, NeurIPS 2023), worded here.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from evals.records import Decoding, Result, Run, Sample, Scored
from evals.run_folder import read_header, read_results
from evals.task import NO_SCORE, Task, bare_question
from zoo import settings
from zoo.errors import ZooError
from zoo.records import Record

SLOPE = "A skier slides down a frictionless slope of height 40 m and length 80 m."
SPEED = 28.0  # m/s: the root of 2 g h is 28.0 for g = 9.8 m/s² and 28.3 for g = 10 m/s²
LEAST, MOST = 27.9, 28.3
UNIT = r"(?:m\s?/\s?s(?:ec(?:ond)?s?)?|met(?:er|re)s?\s?(?:per|/)\s?s(?:ec(?:ond)?s?)?|m\s?s\^?\{?[-−⁻][1¹]\}?)"
# a number, TeX's spaces and font commands, the unit of a speed, and no square after it: 9.8 m/s² is no speed
SPOKEN = re.compile(
    rf"(\d+(?:\.\d+)?)(?:[\s~,*${{}}()\[\]]|\\[,;: ()\[\]]|\\(?:text|mathrm|rm|mbox|quad|,))*{UNIT}"
    r"(?![a-z])(?!\}*\s?(?:\^|²|\*\*\s?2|squared))",
    re.IGNORECASE,
)
Check = Literal["right", "wrong", "no speed", ""]


class ShowcasePrompt(Record, frozen=True, kw_only=True):
    """One prompt of the talk.

    answer   the right answer in words, for a reader; empty where there is none
    checked  whether the answer's last speed decides if it is right
    """

    name: str
    title: str
    question: str
    answer: str = ""
    checked: bool = False


PROMPTS = (
    ShowcasePrompt(
        name="skier", title="The skier", question=f"{SLOPE} What is the skier's speed at the bottom?",
        answer="28 m/s: the root of 2 · 9.8 m/s² · 40 m; the length of the slope does not matter", checked=True,
    ),
    ShowcasePrompt(
        name="student", title="The student's mistake",
        question=f"{SLOPE} A student found the speed at the bottom as v = sqrt(2 g L) = sqrt(2 * 9.8 * 80) = 39.6 m/s. "
        "What is the student's mistake?",
        answer="the student took the length of the slope, 80 m, in place of its height, 40 m; the speed is 28 m/s",
    ),
    ShowcasePrompt(
        name="proof", title="The rhyming proof",
        question="Write a proof that there are infinitely many prime numbers, such that every line rhymes.",
    ),
    ShowcasePrompt(name="unicorn", title="The unicorn", question="Draw a unicorn in TikZ."),
)  # fmt: skip


class ShowcaseAnswer(Record, frozen=True, kw_only=True):
    """One model's answer to one prompt.

    thought     what it wrote before the answer, of a model that thinks
    unfinished  the answer was cut at the limit of tokens, or its thought has no end
    check       whether a checked prompt was answered right; empty for a prompt without a check
    """

    model: str
    prompt: str
    text: str
    thought: str = ""
    tokens: int = 0
    unfinished: bool = False
    engine: str = ""
    fault: str = ""
    check: Check = ""
    read: float | None = None


def last_speed(text: str) -> float | None:
    """The last speed in metres per second that a text names; None if it names none.

    >>> last_speed("v = \\\\sqrt{784} \\\\approx 28 \\\\, \\\\text{m/s}, as g is 9.8 m/s^2"), last_speed("28 km/h")
    (28.0, None)
    """
    speeds = SPOKEN.findall(text)
    return float(speeds[-1]) if speeds else None


def check_answer(prompt: ShowcasePrompt, text: str) -> tuple[Check, float | None]:
    """Whether a text answers a checked prompt, and the speed that was read; an empty verdict for other prompts."""
    if not prompt.checked:
        return "", None
    speed = last_speed(text)
    if speed is None:
        return "no speed", None
    return ("right" if LEAST <= speed <= MOST else "wrong"), speed


def samples() -> Iterator[Sample]:
    """The prompts as samples of a task."""
    for prompt in PROMPTS:
        yield Sample(id=f"showcase/{prompt.name}", question=prompt.question)


def score(sample: Sample, answer: str) -> Scored:
    """Whether the model wrote anything: a showcase has no score."""
    return Scored(metrics={NO_SCORE[0]: float(bool(answer.strip()))})


# not in `evals.tasks.TASKS`: it has no column
TASK = Task(
    name="showcase", version=1, kind="generate", about="the talk's prompts", protocol="talk", samples=samples,
    prompt=bare_question, extract=lambda sample, text: text, score=score, metrics=NO_SCORE, chat=True,
    decoding=Decoding(max_tokens=640), size=len(PROMPTS), chance=0.0,
)  # fmt: skip


def folder() -> Path:
    """Where showcases are kept, apart from runs, which are measurements."""
    return settings.home() / "showcase"


def answers_of(header: Run, results: Sequence[Result]) -> list[ShowcaseAnswer]:
    """The answers of one model, in the order of the prompts."""
    by_sample = {result.sample: result for result in results}
    answers = []
    for prompt in PROMPTS:
        result = by_sample.get(f"showcase/{prompt.name}")
        if result is None:
            continue
        check, speed = check_answer(prompt, result.text)
        answers.append(
            ShowcaseAnswer(
                model=header.checkpoint_label, prompt=prompt.name, text=result.text, thought=result.thought,
                tokens=result.tokens, unfinished=result.unfinished or result.finish == "length",
                engine=header.backend.engine, fault=result.detail if result.verdict == "unscored" else "",
                check=check, read=speed,
            )
        )  # fmt: skip
    return answers


def read_showcases(place: Path) -> list[list[ShowcaseAnswer]]:
    """The answers of every model that was asked, one list a showcase, oldest first; damaged ones are left out."""
    kept: list[tuple[str, list[ShowcaseAnswer]]] = []
    for path in sorted(place.glob("*/header.json")) if place.is_dir() else ():
        try:
            header = read_header(path.parent)
            answers = answers_of(header, read_results(path.parent / "results.jsonl"))
        except ZooError:
            continue
        if answers:
            kept.append((header.started, answers))
    return [answers for _, answers in sorted(kept, key=lambda each: each[0])]


def newest(showcases: Sequence[Sequence[ShowcaseAnswer]]) -> dict[str, dict[str, ShowcaseAnswer]]:
    """model -> prompt -> its newest answer."""
    table: dict[str, dict[str, ShowcaseAnswer]] = {}
    for answers in showcases:
        table.setdefault(answers[0].model, {}).update({answer.prompt: answer for answer in answers})
    return table


def verdict_text(answer: ShowcaseAnswer) -> str:
    """The line under an answer: its check, what was read, its length.

    >>> verdict_text(ShowcaseAnswer(model="m", prompt="skier", text="", check="wrong", read=39.6, tokens=5))
    'wrong: read 39.6 m/s, right is 28 m/s · 5 tokens'
    """
    parts = [f"not answered: {answer.fault}"] if answer.fault else []
    if answer.check == "no speed":
        parts.append(f"no speed in m/s found, right is {SPEED:g} m/s")
    elif answer.check:
        right = "" if answer.check == "right" else f", right is {SPEED:g} m/s"
        parts.append(f"{answer.check}: read {answer.read:g} m/s{right}")
    parts.append(f"{answer.tokens:,} tokens")
    parts += ["cut at the limit"] if answer.unfinished else []
    return " · ".join(parts)
