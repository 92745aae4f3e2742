"""A large model as the teacher: what it gives is run, compared with the held-out task, and kept if it is new."""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from evals.engines.http.price import Price
from training.data.build import folder_of
from training.data.document import read_documents
from training.data.inspect import document_histories
from training.data.quality.labeller import Asker
from training.data.synthesis import teach
from training.data.synthesis.diversity import Novelty, diversity
from training.data.synthesis.held_out import task_file
from training.data.synthesis.slots import TEXTS, shuffled_slots
from training.data.synthesis.synthesize import synthesize
from zoo.errors import ZooError

WORDS = ("river", "stone", "candle", "mirror", "feather", "copper", "meadow", "anchor", "velvet", "thunder")
OPERATIONS = ("+ {k}", "* {k}", "- {k}", "// {k}", "% {k}", "** 2 + {k}", "* 2 - {k}", "+ {k} * 3")


def written(asked: str) -> dict[str, Any]:
    """An exercise that depends on the prompt alone, new each time; some wrong, some no exercise."""
    seed = int.from_bytes(hashlib.sha256(asked.encode()).digest()[:6], "big")
    k, turns = seed % 89 + 2, seed // 89 % 5 + 1
    told = " ".join(f"{WORDS[seed >> n & 7]}{seed >> n & 255}" for n in range(12))
    lines = "\n".join(f"    value = value {OPERATIONS[(seed >> 3 * n) % 8].format(k=k + n)}" for n in range(turns))
    code = f'def work_{seed % 997}(value):\n    """Change the value: {told}."""\n{lines}\n    return value\n'
    space: dict[str, Any] = {}
    exec(code, space)
    result = space[f"work_{seed % 997}"](7)
    kind = seed % 10
    if kind == 0:
        result += 1
    tests = [] if kind == 1 else [f"assert work_{seed % 997}(7) == {result}"]
    return {"code": "def broken(:\n" + "    pass\n" * 8 if kind == 2 else code, "tests": tests}


@pytest.fixture
def teacher() -> Iterator[SimpleNamespace]:
    found = SimpleNamespace(asked=[], write=written, url="")

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Says nothing."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked = body["messages"][1]["content"]
            found.asked.append(asked)
            usage = {"prompt_tokens": 100, "completion_tokens": 50}
            content = json.dumps(found.write(asked))
            data = json.dumps({"choices": [{"message": {"content": content}}], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield found
    server.shutdown()
    server.server_close()


def asker(teacher: SimpleNamespace, what: str = "exercises", budget: float | None = None) -> Asker:
    return Asker(teacher.url, None, "big", teach.QUESTIONS[what], Price(10.0, 10.0), budget, 4, wait_seconds=0.01)


def test_exercises_are_tested_and_carry_where_they_are_from(teacher: SimpleNamespace) -> None:
    made, spending = teach.teach("exercises", "asked", 50, 0, asker(teacher))
    assert spending
    assert spending.money == pytest.approx(spending.ledger) == pytest.approx(len(teacher.asked) * 150 * 10 / 1e6)
    folder = folder_of(made.dataset)
    kept = list(read_documents(folder))
    lost = Counter(one.reason for one in read_documents(folder, "dropped"))
    assert made.dataset.documents == len(kept) == 50
    assert lost["failed"] > 0
    assert lost["no asserts"] > 0
    assert lost["does not parse"] > 0
    stages = made.dataset.stages
    assert all(stage.entered == stage.kept + sum(stage.dropped.values()) for stage in stages)
    assert [stage.entered for stage in stages[1:]] == [stage.kept for stage in stages[:-1]]
    assert sum(lost.values()) == sum(sum(stage.dropped.values()) for stage in stages)
    one = kept[0]
    assert {"teacher", "seed", "slot", "prompt", "money", "test", "entry_point"} <= set(one.facts)
    assert one.facts["prompt"] in teacher.asked
    told = json.loads((folder / "diversity.json").read_text())
    assert told["all"]["documents"] == 50
    assert sum(slot["documents"] for slot in told["slots"].values()) == 50
    assert document_histories(one.id)[0].verdicts[0].facts["slot"] == one.facts["slot"]
    before = len(teacher.asked)
    more, _ = teach.teach("exercises", "more", 60, 0, asker(teacher))
    assert more.dataset.documents == 60
    assert len(teacher.asked) - before < before


def test_a_slot_with_nothing_new_ends_and_so_does_the_run(
    teacher: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teach, "shuffled_slots", lambda what, seed: shuffled_slots(what, seed)[:3])
    teacher.write = lambda asked: written("always the same 1")
    made, _ = teach.teach("exercises", "same", 50, 0, asker(teacher))
    assert made.dataset.documents <= 3
    assert made.dataset.stages[-1].dropped == {"says nothing new": 3 * teach.ROUND - made.dataset.documents}
    assert len(teacher.asked) == 3 * teach.ROUND
    assert len(json.loads((folder_of(made.dataset) / "diversity.json").read_text())["ended"]) == 3


def test_a_held_out_solution_is_left_out(teacher: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    row = msgspec.json.decode(task_file().read_bytes().splitlines()[0])
    monkeypatch.setattr(teach, "shuffled_slots", lambda what, seed: shuffled_slots(what, seed)[:1])
    teacher.write = lambda asked: {"code": row["prompt"] + row["canonical_solution"], "tests": ["assert True"]}
    made, _ = teach.teach("exercises", "leak", 5, 0, asker(teacher))
    assert made.dataset.documents == 0
    assert made.dataset.stages[1].dropped == {"held-out solution": teach.ROUND}


def test_a_passages_code_is_run(teacher: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teach, "shuffled_slots", lambda what, seed: shuffled_slots(what, seed)[:1])
    good = "# Sums\n\nA sum adds.\n\n```python\ndef add(a, b):\n    return a + b\n\n\nassert add(1, 2) == {}\n```\n"
    teacher.write = lambda asked: {"text": good.format(3 if hash(asked) % 2 else 4)}
    made, _ = teach.teach("textbooks", "books", 2, 0, asker(teacher, "textbooks"))
    assert all("== 3" in one.text for one in read_documents(folder_of(made.dataset)))


def test_a_teachers_budget_holds(teacher: SimpleNamespace) -> None:
    with pytest.raises(ZooError, match="budget"):
        teach.teach("exercises", "dear", 500, 0, asker(teacher, budget=0.3))
    assert len(teacher.asked) * 150 * 10 / 1e6 <= 0.3


def test_diversity_tells_the_same_from_the_different() -> None:
    same = diversity(["def f(a):\n    return a + 1\n"] * 20)
    other = diversity([written(str(n))["code"] for n in range(20)])
    for measure in ("distinct", "trees", "packed", "spread", "apart"):
        assert getattr(same, measure) < getattr(other, measure), measure
    assert same.apart == 0.0
    seen = Novelty()
    assert seen.takes("def f(a):\n    return a + 1\n")
    assert not seen.takes("def g(b):\n    return b + 1\n")
    assert len(shuffled_slots("exercises", 0)) == 20 * 10 * 4 * len(TEXTS.forms["exercises"])


def test_the_template_teacher_tells_its_diversity_too() -> None:
    made = synthesize("exercises", "few", 60, seed=1)
    told = json.loads((folder_of(made.dataset) / "diversity.json").read_text())
    assert told["all"]["documents"] == 60
    assert 0 < told["all"]["distinct"] <= 1
