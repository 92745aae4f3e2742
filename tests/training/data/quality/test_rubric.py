"""Labels from an endpoint that is slow, full, dear or dying: asked once, paid once, never over the budget."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evals.engines.http.price import Price
from training.cli.data_teach import annotate
from training.data.build import MadeDataset, folder_of
from training.data.document import read_documents
from training.data.quality.annotate import annotate_dataset, estimate
from training.data.quality.filter import FilterChoice, filter_dataset
from training.data.quality.labeller import QUESTIONS, Asker, read_answer
from training.data.quality.ledger import Ledger, LedgerLine
from zoo.errors import ZooError

PRICE = Price(10.0, 40.0)


class Teacher:
    """What the endpoint was asked, and how it behaves."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.busy = 0  # so many answers are "too many requests" first
        self.invalid = ""  # texts that hold this get no valid answer
        self.delay = 0.0
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.url = ""

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        text = body["messages"][1]["content"]
        schema = body["response_format"]["json_schema"]["schema"]
        good = '"""' in text or "'''" in text
        value = good if "educational" in schema["properties"] else 5 * good
        name = "educational" if "educational" in schema["properties"] else "points"
        told = "no JSON" if self.invalid and self.invalid in text else json.dumps({"reason": "so", name: value})
        usage = {"prompt_tokens": len(json.dumps(body["messages"])) // 3, "completion_tokens": 20}
        return {"choices": [{"message": {"content": told}}], "usage": usage}


@pytest.fixture
def teacher() -> Iterator[Teacher]:
    found = Teacher()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Says nothing."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with found.lock:
                found.at_once += 1
                found.most_at_once = max(found.most_at_once, found.at_once)
                busy, found.busy = found.busy > 0, found.busy - 1
            time.sleep(found.delay)
            with found.lock:
                found.at_once -= 1
                if not busy:
                    found.asked.append(body)
            data = b"{}" if busy else json.dumps(found.answer(body)).encode()
            self.send_response(429 if busy else 200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield found
    server.shutdown()
    server.server_close()


def asker(teacher: Teacher, budget: float | None = None, question: str = "additive", concurrency: int = 4) -> Asker:
    return Asker(teacher.url, None, "big", QUESTIONS[question], PRICE, budget, concurrency, wait_seconds=0.01)


def paid(teacher: Teacher) -> float:
    """What the endpoint would bill."""
    answers = [teacher.answer(body)["usage"] for body in teacher.asked]
    return sum(one["prompt_tokens"] * 10.0 + one["completion_tokens"] * 40.0 for one in answers) / 1e6


def test_labels_are_asked_once_and_the_ledger_agrees(code: MadeDataset, teacher: Teacher) -> None:
    teacher.busy, teacher.delay = 3, 0.01
    made, spending = annotate_dataset("code", "labels", 30, 0, asker(teacher))
    assert spending
    assert (spending.asked, spending.cached, spending.invalid) == (30, 0, 0)
    assert spending.requests == 33
    assert spending.money == pytest.approx(spending.ledger) == pytest.approx(paid(teacher))
    assert 2 <= teacher.most_at_once <= 4
    sample, labels = made.dataset.stages
    assert (sample.entered, sample.kept, sample.dropped) == (code.dataset.documents, 30, {"not in the sample": 33})
    assert (labels.entered, labels.kept) == (30, 30)
    assert all(one.facts["annotator"] == "model" for one in read_documents(folder_of(made.dataset)))
    more, spending = annotate_dataset("code", "more", 40, 0, asker(teacher))
    assert spending
    assert (spending.asked, spending.cached) == (10, 30)
    assert more.dataset.documents == 40
    assert annotate_dataset("code", "labels", 30, 0, asker(teacher))[1] is None


@pytest.mark.usefixtures("code")
def test_the_budget_is_a_hard_cap_and_what_was_paid_is_kept(teacher: Teacher) -> None:
    budget = 0.1
    for _ in range(3):
        with pytest.raises(ZooError, match=r"budget|--sample \d+ takes these"):
            annotate_dataset("code", "labels", 60, 0, asker(teacher, budget, concurrency=8))
        assert paid(teacher) <= budget
    asked = len(teacher.asked)
    assert asked >= 5
    made, _ = annotate_dataset("code", "labels", 60, 0, asker(teacher, 10.0))
    assert made.dataset.documents == 60
    assert len(teacher.asked) == 60


@pytest.mark.usefixtures("code")
def test_a_dry_run_sends_nothing_and_its_interval_holds(teacher: Teacher) -> None:
    first = estimate("code", 60, 0, asker(teacher))
    assert teacher.asked == []
    assert first.documents == 60
    annotate_dataset("code", "some", 25, 0, asker(teacher))
    spent = paid(teacher)
    second = estimate("code", 60, 0, asker(teacher))
    assert (second.documents, second.cached) == (35, 25)
    assert second.money[2] - second.money[0] < first.money[2] - first.money[0]
    annotate_dataset("code", "all", 60, 0, asker(teacher))
    rest = paid(teacher) - spent
    assert second.money[0] <= rest <= second.money[2]
    assert first.money[0] <= paid(teacher) <= first.money[2]


def test_no_valid_answer_is_counted_and_paid(code: MadeDataset, teacher: Teacher) -> None:
    teacher.invalid = "def part_7("
    made, spending = annotate_dataset("code", "labels", code.dataset.documents, 0, asker(teacher))
    assert spending
    assert spending.invalid == 1
    assert spending.money == pytest.approx(paid(teacher))
    assert made.dataset.stages[1].dropped == {"no valid answer": 1}
    (lost,) = read_documents(folder_of(made.dataset), "dropped")
    assert lost.reason == "no valid answer"


@pytest.mark.usefixtures("code")
def test_the_filter_learns_from_a_models_labels(teacher: Teacher) -> None:
    made, _ = annotate_dataset("code", "labels", 60, 0, asker(teacher, question="phi-1"))
    assert {one.facts["label"] for one in read_documents(folder_of(made.dataset))} <= {0, 5}
    found = filter_dataset("code", "best", FilterChoice(keep=0.5), 0, labels="labels")
    assert made.dataset.digest in found.dataset.parents
    assert any(one.facts.get("annotator") == "big" for one in read_documents(folder_of(found.dataset)))
    with pytest.raises(ZooError, match="code holds no labels"):
        filter_dataset("code", "best", FilterChoice(keep=0.5), 0, labels="code")


def test_without_an_endpoint_the_rubric_labels_and_says_so(code: MadeDataset) -> None:
    made, spending = annotate_dataset("code", "labels", 20, 0, None)
    assert spending is None
    assert {one.facts["annotator"] for one in read_documents(folder_of(made.dataset))} == {"rubric"}
    assert made.dataset.recipe
    assert str(made.dataset.recipe["annotator"]).startswith("rubric")


RUN = """
import sys
from training.data.quality.annotate import annotate_dataset
from training.data.quality.labeller import QUESTIONS, Asker
from evals.engines.http.price import Price
asker = Asker(sys.argv[1], None, "big", QUESTIONS["additive"], Price(10.0, 40.0), None, 2)
print(annotate_dataset("code", "labels", 40, 0, asker)[0].dataset.digest)
"""


@pytest.mark.usefixtures("code")
def test_a_killed_run_pays_nothing_twice_but_what_was_on_its_way(teacher: Teacher) -> None:
    teacher.delay = 0.05
    command = [sys.executable, "-c", RUN, teacher.url]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ)) as run:
        while len(teacher.asked) < 10:
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=dict(os.environ))
    assert 40 <= len(teacher.asked) <= 42
    made, spending = annotate_dataset("code", "labels", 40, 0, asker(teacher))
    assert spending is None
    assert made.dataset.digest == done.stdout.split()[-1]


def test_a_question_on_its_way_when_killed_counts_in_full(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path, "job") as ledger:
        ledger.add(LedgerLine(job="job", content="a", reserved=2.0))
        ledger.add(LedgerLine(job="job", content="a", answered=True, points=3, money=0.5))
        ledger.add(LedgerLine(job="job", content="b", reserved=2.0))
    with path.open("ab") as file:
        file.write(b'{"job":"job","conte')
    with Ledger(path, "job") as ledger:
        assert (ledger.spent, ledger.uncertain) == (2.5, 2.0)
        assert set(ledger.answers) == {"a"}
    with Ledger(path, "other") as ledger:
        assert (ledger.spent, set(ledger.answers)) == (0.0, {"a"})
    path.write_bytes(b"nonsense\n")
    with pytest.raises(ZooError, match="is damaged"):
        Ledger(path, "job")


@pytest.mark.parametrize(
    "content", ['{"points": 6, "reason": ""}', '{"points": 3}', "5", "", '{"points": "3", "reason": "x"}']
)
def test_an_answer_of_another_form_is_none(content: str) -> None:
    assert read_answer({"choices": [{"message": {"content": content}}]}, QUESTIONS["additive"]) is None
    assert read_answer({"error": "x"}, QUESTIONS["additive"]) is None


@pytest.mark.usefixtures("code")
def test_the_command_asks_for_a_budget_and_prints_the_interval(teacher: Teacher) -> None:
    line = ["code", "--out", "labels", "--sample", "10", "--url", teacher.url, "--model", "big", "--price", "10,40"]
    refused = CliRunner().invoke(annotate, line)
    assert isinstance(refused.exception, ZooError)
    assert "--dry-run" in str(refused.exception)
    told = CliRunner().invoke(annotate, [*line, "--dry-run", "--budget", "1usd"]).output
    assert re.search(r"money: \d+\.\d+ \[\d+\.\d+–\d+\.\d+\]", told)
    assert "the budget of 1 covers the whole interval; it is a hard cap" in told
    assert teacher.asked == []
    done = CliRunner().invoke(annotate, [*line, "--budget", "1usd"])
    assert "they agree" in done.output
