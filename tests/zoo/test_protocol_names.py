"""A protocol with a new name keeps its fingerprint, its scores and its runs, and never gets another's."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.protocol_name import ProtocolName
from evals.records import Facts, Run
from zoo.digest import canonical, digest
from zoo.protocol_names import BOOLQ, RENAMED, current_name, current_spec, first_name
from zoo.records import ProtocolRecord
from zoo.registry import open_registry

TITLED = "c50695a2b6ab8d012e9570b7430285da9a045e2d168662b0e6375957c83bc309"


def written(task: str, name: str, data: str = "", **changes: Any) -> dict[str, Any]:
    """A protocol as an older version wrote it, as plain data."""
    facts = {
        "task": task, "task_version": 1, "name": name, "metric": "acc", "shots": 0, "prompt": "Q", "samples": 100,
        "prompts_sha256": "ab" * 32, "decoding": {}, "data": data, "partial": "",
    }  # fmt: skip
    return facts | changes


def old_fingerprint(facts: dict[str, Any]) -> str:
    """The fingerprint as it was: of every field but the prompt."""
    return digest({key: value for key, value in facts.items() if key != "prompt"})


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (written("boolq", "lm-eval", BOOLQ), "no-title"),
        (written("boolq", "lm-eval-quick2", BOOLQ), "no-title-quick2"),
        (written("boolq", "lm-eval elsewhere", BOOLQ), "no-title elsewhere"),
        (written("boolq", "lm-eval-titled", TITLED), "lm-eval"),
        (written("boolq", "lm-eval-titled-part-40", TITLED), "lm-eval-part-40"),
        (written("humaneval", "bigcode t=0.2 p=0.95"), "bigcode-greedy t=0.2 p=0.95"),
        (written("humaneval", "openai>bigcode"), "openai>bigcode-greedy"),
        (written("mbpp", "bigcode>lm-eval"), "bigcode-greedy>lm-eval"),
        (written("mbpp", "bigcode check healed newline"), "bigcode-greedy check healed newline"),
        (written("mmlu", "lm-eval-5"), "lm-eval-5"),
        (written("boolq", "lm-eval 0.4.13 elsewhere"), "lm-eval 0.4.13 elsewhere"),
        (written("humaneval", "lm-eval"), "lm-eval"),
    ],
)
def test_an_old_record_reads_under_todays_name_and_keeps_its_fingerprint(facts: dict[str, Any], name: str) -> None:
    record = msgspec.json.decode(canonical(facts), type=ProtocolRecord)
    assert (record.name, record.fingerprint) == (name, old_fingerprint(facts))
    again = msgspec.json.decode(canonical(record), type=ProtocolRecord)
    assert again == record and again.fingerprint == record.fingerprint


@given(
    st.sampled_from([(change.task, change.now) for change in RENAMED]),
    st.sampled_from(["", "quick", "quick2", "part-9"]), st.sampled_from([None, 0.2]), st.booleans(),
)  # fmt: skip
def test_names_go_there_and_back(change: tuple[str, str], subset: str, heat: float | None, imported: bool) -> None:
    task, now = change
    name = ProtocolName(base=now, subset=subset, temperature=heat, top_p=heat, imported=imported).render()
    data = BOOLQ if now == "no-title" else ""
    assert current_name(task, first_name(task, name), data) == name == current_name(task, name, data)


def test_two_names_of_one_prompt_are_one_column(db: str, made: SimpleNamespace) -> None:
    five, phi = (msgspec.convert(written("mmlu", name), ProtocolRecord) for name in ("lm-eval-5", "phi-2"))
    assert five == phi and phi.other_fingerprints == (old_fingerprint(written("mmlu", "phi-2")),)
    score = made.score("1" * 64, "run", 0.3, metric="acc")
    pulled = msgspec.structs.replace(score, task="mmlu", protocol=phi.other_fingerprints[0])
    with open_registry(db) as registry:  # a run of a zoo that has the older name
        registry.add_scores({"id": "run", "checkpoint": "1" * 64}, phi, [pulled])
        assert [score.protocol for score in registry.scores()] == list(registry.protocols()) == [five.fingerprint]


def test_an_old_runs_header_names_the_protocol_that_it_ran() -> None:
    engine = Facts(engine="transformers", version="5", dtype="float32", device="cpu", context_tokens=9)
    for facts, name in (
        (written("boolq", "lm-eval", BOOLQ), "no-title"),
        (written("mmlu", "phi-2", shots=5), "lm-eval-5"),
        (written("humaneval", "openai"), "openai"),
    ):
        header = Run(
            id="r", checkpoint="c", checkpoint_label="c:1", task=facts["task"], protocol=facts,
            fingerprint=old_fingerprint(facts), backend=engine, seed=0, draws=1, limit=None, samples=100, hardware={},
            versions={}, commit="",
        )  # fmt: skip
        assert header.protocol["name"] == name
        assert header.fingerprint == msgspec.convert(facts, ProtocolRecord).fingerprint


def test_an_old_word_still_names_its_protocol() -> None:
    from evals.tasks import task

    for spec, now in (
        ("mmlu@phi-2", "mmlu@lm-eval-5"),
        ("boolq@lm-eval-titled", "boolq@lm-eval"),
        ("humaneval@bigcode", "humaneval@bigcode-greedy"),
        ("boolq@lm-eval", "boolq@lm-eval"),
    ):
        assert current_spec(spec) == now == f"{task(spec).name}@{task(spec).protocol}"
    assert task("boolq@lm-eval").data == "boolq_titled" and task("boolq@no-title").data == "boolq"


def test_each_name_of_the_table_is_a_protocol_of_its_task() -> None:
    from evals.tasks import protocols

    for change in RENAMED:
        assert change.now in protocols(change.task)
        assert change.other not in protocols(change.task)
