"""`phizoo eval showcase`: the talk's prompts, asked of chat models, with their answers side by side."""

import shutil
import textwrap
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from evals.cli.engine_options import check_engine
from zoo.cli.completion import A_CHECKPOINT, AN_ENGINE
from zoo.cli.options import AS_JSON, open_registry
from zoo.cli.output import emit_json, note_once
from zoo.errors import ZooError
from zoo.visible import plain

if TYPE_CHECKING:
    from evals.showcase import ShowcaseAnswer
    from evals.subjects import Subject
    from zoo.records import Checkpoint
    from zoo.registry import Registry

NARROWEST = 34  # characters of a column; models that do not fit beside each other follow below
GAP = 2
GGUF, FOLDER = "llama_cpp", "transformers"  # engines


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=A_CHECKPOINT)
@click.option("--engine", shell_complete=AN_ENGINE, default="auto", show_default=True,
              help="auto: llama_cpp for a GGUF file, else transformers.")  # fmt: skip
@click.option("--system", default="", metavar="TEXT", help="The system message.")
@click.option("--max-tokens", type=click.IntRange(1, 8192), default=640, show_default=True, help="Of one answer.")
@AS_JSON
def showcase(names: tuple[str, ...], engine: str, system: str, max_tokens: int, as_json: bool) -> None:
    """Ask chat models the talk's four prompts, and show their answers side by side.

    \b
    phizoo eval showcase
    phizoo eval showcase smollm2 qwen3 --system "Be brief."

    Without a NAME every chat model of the zoo is asked. Each is asked by its own template, greedily. The speed of the
    skier is checked (28 m/s); the other answers are for a reader. Answers are kept: the same command asks only for
    what is missing, and the leaderboard's page Try shows them. This is no measurement, and has no score.
    """
    from evals import showcase as talk

    check_engine(engine)
    with open_registry(readonly=True) as registry:
        subjects = [_subject(registry, checkpoint) for checkpoint in _checkpoints(registry, names)]
        by_model = [answers for subject in subjects for answers in _ask(subject, engine, system, max_tokens)]
    if not by_model:
        raise ZooError("no model was asked, for the reasons above; chat models: phizoo models list")
    if as_json:
        emit_json([answer for answers in by_model for answer in answers])
        return
    width = min(shutil.get_terminal_size().columns, 200)
    table = talk.newest(by_model)
    for prompt in talk.PROMPTS:
        click.echo(click.style(prompt.title, bold=True))
        _echo_lines(wrap_text(prompt.question, width))
        if prompt.answer:
            _echo_lines(wrap_text(f"Right: {prompt.answer}.", width))
        click.echo()
        answers = [by_prompt[prompt.name] for by_prompt in table.values() if prompt.name in by_prompt]
        _echo_lines(side_by_side(answers, width))


def _checkpoints(registry: "Registry", names: Sequence[str]) -> "list[Checkpoint]":
    """The checkpoints of these names, or every chat model of the zoo. Raises ZooError where there is none."""
    if names:
        return list({checkpoint.digest: checkpoint for checkpoint in map(registry.get, names)}.values())
    models = [checkpoint for checkpoint in registry.list() if checkpoint.chat_template]
    if not models:
        raise ZooError("the zoo has no chat model; next: phizoo models add PATH --name NAME")
    return models


def _subject(registry: "Registry", checkpoint: "Checkpoint") -> "Subject":
    from evals.subjects import Subject

    return Subject(digest=checkpoint.digest, label=checkpoint.label, path=registry.path(checkpoint))


def _ask(subject: "Subject", engine: str, system: str, max_tokens: int) -> "list[list[ShowcaseAnswer]]":
    """The answers of one model, as one list; none, with a line on stderr, where it cannot be asked."""
    from msgspec.structs import replace

    from evals import showcase as talk
    from evals.chat import ChatShape
    from evals.run import RunOptions
    from evals.subjects import evaluate_many
    from zoo.admission.gguf import gguf_file

    assert subject.path is not None  # it came from the registry
    native = gguf_file(subject.path) is not None and find_spec("llama_cpp") is not None
    chosen = engine if engine != "auto" else GGUF if native else FOLDER
    options = RunOptions(engine=chosen, chat=ChatShape(system=system))
    task = replace(talk.TASK, decoding=replace(talk.TASK.decoding, max_tokens=max_tokens))
    try:
        outcomes = list(evaluate_many([subject], [task], options, talk.folder()))
    except ZooError as error:
        note_once(f"{subject.label} is left out: {error}")
        return []
    return [talk.answers_of(outcome.run.header, outcome.run.results) for outcome in outcomes]


def side_by_side(answers: "Sequence[ShowcaseAnswer]", width: int) -> list[str]:
    """The answers to one prompt in columns of a page `width` characters wide, as many beside each other as fit."""
    fitting = max(1, (width + GAP) // (NARROWEST + GAP))
    lines: list[str] = []
    for begin in range(0, len(answers), fitting):
        group = answers[begin : begin + fitting]
        column = (width + GAP) // len(group) - GAP
        blocks = [_block(answer, column) for answer in group]
        for number in range(max(map(len, blocks))):
            fields = [block[number] if number < len(block) else "" for block in blocks]
            lines.append((" " * GAP).join(field.ljust(column) for field in fields).rstrip())
        lines.append("")
    return lines


def _block(answer: "ShowcaseAnswer", width: int) -> list[str]:
    """One answer as lines: the model, its verdict, a rule, its thought in brief, the text."""
    from evals.showcase import verdict_text

    lines = [
        *wrap_text(f"{answer.model} ({answer.engine})", width),
        *wrap_text(verdict_text(answer), width),
        "─" * width,
    ]
    if answer.thought:
        lines += wrap_text(f"[a thought of {len(answer.thought.split()):,} words, not shown]", width)
    return lines + wrap_text(answer.text.strip(), width)


def wrap_text(text: str, width: int) -> list[str]:
    """A text from outside as lines of at most `width` characters; its own line breaks and indentation stay."""
    lines: list[str] = []
    for line in text.expandtabs(4).splitlines() or [""]:
        safe = plain(line)
        indent = safe[: len(safe) - len(safe.lstrip())][: width // 2]
        lines += textwrap.wrap(
            safe, width, subsequent_indent=indent, drop_whitespace=True, replace_whitespace=False,
            break_on_hyphens=False,
        ) or [""]  # fmt: skip
    return lines


def _echo_lines(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(line)
