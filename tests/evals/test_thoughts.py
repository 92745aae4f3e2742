"""A task asked by chat of a model that thinks: its template's switch, a budget, thoughts without an end."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from evals.chat import ChatShape, chat_task
from evals.records import Decoding, Generation, Sample, Scored
from evals.results.publish import scores
from evals.results.task_of_run import commands
from evals.run import FinishedRun, RunOptions, score_texts
from evals.stats.summary import summarise
from evals.subjects import Subject, evaluate_many
from evals.task import Task
from zoo.cli.output import score_notes
from zoo.errors import ZooError

SWITCHED = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% if enable_thinking is defined and not enable_thinking %}"
    "<think>\n\n</think>\n\n{% else %}<think>\n{% endif %}{% endif %}"
)
PLAIN = "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{% endfor %}<|assistant|>"
TASK = Task(
    name="sums", version=1, kind="generate", about="", protocol="own",
    samples=lambda: [Sample(id=f"s{n}", question=f"add the {n}", target="") for n in range(3)],
    prompt=lambda sample: sample.question, score=lambda sample, answer: Scored(metrics={"accuracy": 1.0}),
    decoding=Decoding(max_tokens=16),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tiny_phi: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Phi with a template that opens a thought, unless it is switched off."""
    place = tmp_path_factory.mktemp("thinking") / "model"
    shutil.copytree(tiny_phi, place)
    (place / "chat_template.jinja").write_text(SWITCHED)
    return place


def run(folder: Path, runs: Path, shape: ChatShape | None, **more: object) -> FinishedRun:
    subject = Subject(digest="0" * 64, label="tiny", path=folder)
    options = msgspec.structs.replace(RunOptions(connection={"dtype": "float32"}), **more)
    task = TASK if shape is None else chat_task(TASK, shape)
    (outcome,) = evaluate_many([subject], [task], options, runs)
    return outcome.run


def test_a_thought_without_an_end_is_counted_and_scores_nothing(folder: Path, tmp_path: Path) -> None:
    finished = run(folder, tmp_path, ChatShape())
    for result in finished.results:
        assert (result.score, result.answer, result.text, result.unfinished) == (0.0, None, "", True)
        assert result.thought and result.thought_tokens == result.tokens > 0 and "no end" in result.detail
    again = run(folder, tmp_path, ChatShape())
    assert again.results == finished.results
    (score,) = scores(finished)
    assert (score.value, score.n, score.unfinished) == (0.0, 3, 3)
    assert "3 unfinished" in score_notes(score)


def test_an_unfinished_thought_misses_every_trial_of_its_sample() -> None:
    asked = replace(TASK, metrics=("all", "each"), trials=lambda sample: {"each": 3})
    sample = next(iter(TASK.samples()))
    texts = [
        Generation(
            sample=sample.id, draw=0, text="", prompt_tokens=1, tokens=1, finish="length", thought="so", unfinished=True
        )
    ]  # fmt: skip
    (result,) = score_texts(asked, {sample.id: sample}, texts, None)
    assert result.trials == {"each": (0.0, 0.0, 0.0)}
    finished = replace(result, draw=1, trials={"each": (1.0, 1.0, 0.0)})
    summary = summarise([result, finished], "each", "clusters")
    assert (summary.n, summary.clusters) == (3, 1) and summary.value == pytest.approx(1 / 3)


def test_the_commands_of_a_run_ask_with_its_switch_and_budget(folder: Path, tmp_path: Path) -> None:
    finished = run(folder, tmp_path, ChatShape(thinking=False, budget=0))
    (words,) = commands(finished.header)
    assert words.endswith("--chat --thinking off --thinking-budget 0")


def test_the_templates_switch_and_the_budget_are_part_of_the_protocol(folder: Path, tmp_path: Path) -> None:
    runs = {
        name: run(folder, tmp_path, shape)
        for name, shape in {
            "own": ChatShape(), "off": ChatShape(thinking=False), "on": ChatShape(thinking=True),
            "budget": ChatShape(budget=5),
        }.items()
    }  # fmt: skip
    assert len({finished.protocols[0].fingerprint for finished in runs.values()}) == 4
    names = {name: finished.protocols[0].name for name, finished in runs.items()}
    assert names == {
        "own": "own, chat", "off": "own, chat, thinking off", "on": "own, chat, thinking on",
        "budget": "own, chat, budget 5",
    }  # fmt: skip
    assert all(not result.thought and result.score == 1.0 for result in runs["off"].results)
    for result in runs["budget"].results:
        assert result.score == 1.0 and result.thought and not result.unfinished
        assert 5 <= result.thought_tokens < result.tokens  # the budget, and the end tag
    assert runs["budget"].protocols[0].decoding["max_tokens"] == 16 + 5


def test_a_task_may_be_shaped_again() -> None:
    shapes = [ChatShape(), ChatShape(budget=5), ChatShape(budget=5), ChatShape(thinking=False), ChatShape(budget=9)]
    task, again = TASK, []
    for shape in shapes:
        task = chat_task(task, shape)
        again.append((task.protocol, task.decoding.max_tokens))
    assert again == [
        ("own, chat", 16), ("own, chat, budget 5", 21), ("own, chat, budget 5", 21), ("own, chat, thinking off", 16),
        ("own, chat, budget 9", 25),
    ]  # fmt: skip


def test_a_template_without_a_switch_is_one_line(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "model"
    shutil.copytree(folder, place)
    (place / "chat_template.jinja").write_text(PLAIN)
    with pytest.raises(ZooError, match="no switch of thinking; leave out --thinking"):
        run(place, tmp_path / "runs", ChatShape(thinking=False))


def test_tags_in_a_completion_stay_text(folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved.jsonl"
    text = "<think>so be it</think>\nYes"
    saved.write_text("".join(json.dumps({"task_id": f"s{n}", "completion": text}) + "\n" for n in range(3)))
    connection = {"generations": str(saved)}
    plain = run(folder, tmp_path / "runs", None, engine="replay", connection=connection)
    assert all(result.text == text and not result.thought for result in plain.results)
    chat = run(folder, tmp_path / "runs", ChatShape(), engine="replay", connection=connection)
    assert all((result.text, result.thought) == ("Yes", "so be it") for result in chat.results)
