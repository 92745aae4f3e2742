"""Any number of examples: the harness's own draws and prompts, a protocol of its own, refusals in one line.

harness_shots.json was recorded from lm-evaluation-harness 0.4.13 itself (`TaskManager`, `set_fewshot_seed(1234)`,
`build_all_requests`) over the first 300 questions of each set and, as its split train, 42 rows that `train_rows` makes
here: some of them are also asked, and two stand there twice, so that the harness must leave rows out.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from evals.chat import ChatShape, chat_task
from evals.cli.run import run
from evals.datasets.load import rows
from evals.fewshot import draw_indices, shots_task
from evals.protocol import protocol, shown
from evals.tasks import every, task, with_shots
from zoo.errors import ZooError

RECORDED: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("harness_shots.json").read_text())
Row = dict[str, Any]


def labelled(row: Row) -> Row:
    letters = list("ABCDE"[: len(row["choices"])])
    own = {key: row[key] for key in ("id", "question")} | {"question_stem": row["question"]}
    return {**own, "choices": {"text": row["choices"], "label": letters}, "answerKey": letters[row["gold"]]}


def sciq(row: Row) -> Row:
    wrong = {f"distractor{number}": text for number, text in enumerate(row["choices"][:3], 1)}
    return {"question": row["question"], "support": row["support"], **wrong, "correct_answer": row["choices"][3]}


def raw(name: str, row: Row) -> Row:
    """A row of a set's one form as its source has it."""
    if name == "copa":
        return row
    if name == "boolq_titled":
        return {"passage": row["passage"], "question": row["question"], "label": int(row["answer"])}
    if name == "piqa":
        return {"goal": row["goal"], "sol1": row["choices"][0], "sol2": row["choices"][1], "label": row["gold"]}
    if name == "winogrande":
        first, second = row["choices"]
        return {"sentence": row["sentence"], "option1": first, "option2": second, "answer": str(row["gold"] + 1)}
    if name == "hellaswag":
        kept = {key: row[key] for key in ("ind", "activity_label", "ctx_a", "ctx_b", "source_id")}
        return {**kept, "endings": row["choices"], "label": str(row["gold"])}
    if name == "siqa":
        answers = dict(zip(("answerA", "answerB", "answerC"), row["choices"], strict=True))
        return {"context": row["context"], "question": row["question"], **answers, "label": str(row["gold"] + 1)}
    return sciq(row) if name == "sciq" else labelled(row)


def train_rows(name: str, split: str) -> list[Row]:
    made = [raw(name, row) for row in rows(name, split)[5::7][:40]]
    return [*made, *made[:2]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PHIZOO_DATA with a train.jsonl for each choice task of the record."""
    for spec in RECORDED:
        one = task(spec.partition("@")[0])
        if one.name == "mmlu":
            continue
        file = tmp_path / one.data / "train.jsonl"
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in train_rows(one.data, one.split)))
    monkeypatch.setenv("PHIZOO_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("spec", RECORDED)
def test_the_requests_are_the_harnesss(spec: str) -> None:
    one = task(spec)
    assert one.pairs is not None
    samples = [sample for sample in one.samples() if one.name != "mmlu" or sample.cluster == "anatomy"]
    asked = [list(pair) for sample in (samples if one.name == "mmlu" else samples[:300]) for pair in one.pairs(sample)]
    assert len(asked) == RECORDED[spec]["requests"]
    assert hashlib.sha256(json.dumps(asked).encode()).hexdigest() == RECORDED[spec]["sha256"]


@pytest.mark.usefixtures("folder")
def test_it_is_a_protocol_of_its_own() -> None:
    records = {}
    for spec in ("copa@lm-eval", "copa@lm-eval-1", "copa@lm-eval-2"):
        one = task(spec)
        records[spec] = protocol(one, list(one.samples()), "acc")
        assert f"{one.name}@{records[spec].name}" == spec
    assert [record.shots for record in records.values()] == [0, 1, 2]
    assert len({record.fingerprint for record in records.values()}) == 3
    assert len({record.column for record in records.values()}) == 3


def test_other_rows_are_another_column(folder: Path) -> None:
    def fingerprint() -> str:
        one = task("copa@lm-eval-3")
        return protocol(one, list(one.samples()), "acc").fingerprint

    first = fingerprint()
    file = folder / "copa" / "train.jsonl"
    other = folder.parent / "other"
    (other / "copa").mkdir(parents=True)
    (other / "copa" / "train.jsonl").write_text("".join(reversed(file.read_text().splitlines(keepends=True))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHIZOO_DATA", str(other))
        assert fingerprint() != first
    assert fingerprint() == first


@pytest.mark.usefixtures("folder")
def test_a_part_of_the_samples_has_the_same_examples_as_in_the_whole() -> None:
    whole = {sample.id: sample for sample in task("piqa@lm-eval-4").samples()}
    part = list(task("piqa@lm-eval-4-quick2").samples())
    assert len(part) == 800
    assert all(sample == whole[sample.id] for sample in part)


@pytest.mark.usefixtures("folder")
def test_by_chat_examples_are_turns() -> None:
    one = chat_task(task("copa@lm-eval-2"), ChatShape(fewshot_as_turns=True))
    assert one.protocol == "lm-eval-2, chat, turns"
    sample = next(iter(one.samples()))
    assert one.asked is not None
    messages, continuation = one.asked(sample)[0]
    assert [message.role for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert continuation == sample.choices[0]  # without the delimiter; a choice of COPA begins with a space of its own
    assert [message.content for message in messages[::2]] == [
        *(asked for asked, _ in sample.data["shots"]),
        sample.question,
    ]


def test_validation_is_drawn_from_where_train_is_not_available(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PHIZOO_DATA", str(tmp_path))
    one = with_shots(task("arc_easy"), 3)
    assert one.protocol == "lm-eval-3-validation"
    known = {row["question"] for row in rows("arc_easy", "validation")}
    for sample in list(one.samples())[:20]:
        assert len(sample.data["shots"]) == 3
        assert all(
            asked.removeprefix("Question: ").removesuffix("\nAnswer:") in known for asked, _ in sample.data["shots"]
        )
    assert with_shots(task("arc_easy@lm-eval-quick2"), 3).protocol == "lm-eval-3-validation-quick2"
    assert with_shots(task("mmlu"), 5).protocol == "lm-eval-5"
    assert with_shots(task("mmlu@cloze"), 2).protocol == "cloze-2"
    assert with_shots(task("arc_easy"), 0).protocol == "lm-eval"


def test_mmlu_with_five_is_the_protocol_that_there_was() -> None:
    """The listed protocol and the general way make the same prompts."""
    listed, general = task("mmlu@lm-eval-5"), shots_task(task("mmlu"), 5)
    assert general.protocol == listed.protocol
    assert listed.pairs is not None and general.pairs is not None
    for sample, other in list(zip(listed.samples(), general.samples(), strict=True))[::1000]:
        assert listed.pairs(sample) == general.pairs(other)
        assert shown(listed, sample) == shown(general, other)


@pytest.mark.parametrize(
    ("spec", "shots", "said"),
    [
        ("piqa", 5, r"piqa@lm-eval-5 is not available: its examples come from split train\. .*piqa/train\.jsonl.*"),
        ("humaneval", 2, r"humaneval@openai takes no --shots: they are for choice tasks"),
        ("arc_easy@olmes-rc", 2, r"arc_easy@olmes-rc takes no --shots: its 5 examples are part of it"),
        ("lambada", 2, r"lambada@lm-eval takes no --shots: it has no rows to draw examples from"),
        ("arc_easy@lm-eval-25", None, r"examples from split validation are available: arc_easy@lm-eval-25-validation"),
    ],
)
def test_no_rows_are_one_line(
    spec: str, shots: int | None, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PHIZOO_DATA", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ZooError, match=said) as error:
        with_shots(task(spec), shots or 0)
    assert "\n" not in str(error.value)


def test_too_few_rows_are_one_line() -> None:
    with pytest.raises(ZooError, match=r"mmlu has too few rows in split dev to draw 9 examples \(5\)"):
        list(task("mmlu@lm-eval-9").samples())
    with pytest.raises(ZooError, match="too few rows in split validation to draw 600"):
        list(task("arc_easy@lm-eval-600-validation").samples())


def test_the_command_refuses_in_one_line_before_anything_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PHIZOO_DATA", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = CliRunner().invoke(run, ["nobody", "--task", "hellaswag", "--shots", "10"])
    assert isinstance(result.exception, ZooError)
    assert "hellaswag@lm-eval-10 is not available" in str(result.exception)
    assert CliRunner().invoke(run, ["nobody", "--task", "copa", "--shots", "-1"]).exit_code == 2


def test_every_choice_task_says_whether_it_takes_examples() -> None:
    """A 0-shot protocol of choices takes examples, but for LAMBADA's single continuation."""
    taking = {f"{one.name}@{one.protocol}" for one in every() if one.source is not None}
    able = {f"{one.name}@{one.protocol}" for one in every() if one.kind == "choices" and not one.shots}
    assert able - taking == {"lambada@lm-eval"}
    assert taking <= able


@given(st.integers(0, 6), st.booleans(), st.integers(8, 40), st.integers(1, 30))
def test_draws_are_distinct_and_never_the_question(shots: int, spare: bool, size: int, count: int) -> None:
    pool = [{"q": number} for number in range(size)]
    asked: list[Row] = [{"q": number} for number in range(count)]
    drawn: Iterator[list[int]] = draw_indices(pool, asked, shots, spare)
    for row, places in zip(asked, drawn, strict=True):
        assert len(set(places)) == len(places) == shots
        assert not spare or all(pool[place] != row for place in places)
