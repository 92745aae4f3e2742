"""Rewriting: every document and format is accounted for, refusals are counted, a killed run pays for nothing twice."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.engines.http.price import Price
from evals.records import GenerateRequest, Generation
from training.data.build import folder_of
from training.data.document import Document, read_documents
from training.data.gather.gather import gather
from training.data.quality.labeller import CHARACTERS, Asker
from training.data.synthesis import local_teacher
from training.data.synthesis.held_out import load_held_out
from training.data.synthesis.local_teacher import LocalTeacher
from training.data.synthesis.rephrase import (
    FORMATS,
    MOST_COPIED,
    QUESTION,
    SOURCE_CHARACTERS,
    STAGES,
    choose_ids,
    copied_share,
    rephrase,
    write_request,
)  # fmt: skip
from zoo.cli.root import run as phizoo
from zoo.errors import ZooError

GOOD = {
    "table": "Title\n\n| a | b |\n|---|---|\n| {n} | x |\n\nIt shows {n}.",
    "faq": "Q: What is {n}?\nA: It is the number {n}.",
    "math": "Ann has {n} pears and eats 2.\n{n} - 2 = {m}\nAnswer: {m}",
    "tutorial": "You will learn {n}.\n1. Count to {n}.\n2. Stop.",
}


def subject(request: str) -> tuple[str, int, str]:
    """The format, the number of the document, and its text."""
    format_ = next(each for each, asked in FORMATS.items() if request.startswith(asked.strip()))
    text = request.partition("\n\nText:\n\n")[2]
    return format_, int(text.split()[1]), text


def good(request: str) -> str:
    format_, number, _ = subject(request)
    return GOOD[format_].format(n=number, m=number - 2)


@pytest.fixture
def teacher() -> Iterator[SimpleNamespace]:
    found = SimpleNamespace(bodies=[], write=good, finish="stop", url="", stop_after=None)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Says nothing."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if found.stop_after is not None and len(found.bodies) >= found.stop_after:
                self.send_response(401)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            found.bodies.append(body)
            content = found.write(body["messages"][1]["content"])
            choice = {"message": {"content": content}, "finish_reason": found.finish}
            data = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 50}}).encode()
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


@pytest.fixture
def source(tmp_path: Path) -> str:
    for number in range(6):
        words = " ".join(f"word{number}{at}" for at in range(150))
        (tmp_path / f"text{number}.md").write_text(f"Number {number + 10} begins. {words}\n")
    return gather(str(tmp_path), "texts").dataset.name


def asker(teacher: SimpleNamespace, budget: float | None = None, at_a_time: int = 2) -> Asker:
    return Asker(teacher.url, None, "big", QUESTION, Price(10.0, 10.0), budget, at_a_time, wait_seconds=0.01)


def both(dataset: Any) -> tuple[list[Document], list[Document]]:
    folder = folder_of(dataset)
    return list(read_documents(folder)), list(read_documents(folder, "dropped"))


def test_each_document_and_format_is_accounted_for(teacher: SimpleNamespace, source: str) -> None:
    made, spending = rephrase(source, "anew", list(FORMATS), 4, 0, asker(teacher))
    kept, dropped = both(made.dataset)
    assert len(kept) == 4 * len(FORMATS) == made.dataset.documents
    assert Counter(one.reason for one in dropped) == {"not in the sample": 2 * len(FORMATS)}
    originals = {one.id: one for one in read_documents(folder_of(gather_again(source)))}
    for one in kept:
        origin = originals[one.facts["of"]]
        assert (one.source, one.project) == (origin.source, origin.project)
        assert one.id != origin.id
        assert one.licence.endswith("; output of big")
        assert one.facts["teacher"] == "big" and one.facts["money"] == pytest.approx(150 * 10 / 1e6)
    assert Counter(one.facts["format"] for one in kept) == dict.fromkeys(FORMATS, 4)
    entered = made.dataset.stages[0]
    assert (entered.name, entered.entered, entered.kept) == (STAGES[0], 6 * len(FORMATS), 4 * len(FORMATS))
    assert made.dataset.parents == (gather_again(source).digest,)
    assert spending is not None and spending.money == pytest.approx(spending.ledger)
    assert spending.money == pytest.approx(len(teacher.bodies) * 150 * 10 / 1e6)
    # one plain text is asked for, within a request's room
    assert all("response_format" not in body and body["temperature"] == 0.7 for body in teacher.bodies)
    again, _ = rephrase(source, "anew", list(FORMATS), 4, 0, asker(teacher))
    assert not again.fresh and len(teacher.bodies) == 4 * len(FORMATS)


def gather_again(name: str) -> Any:
    from training.data.build import find

    return find(name)


@pytest.mark.parametrize(
    ("write", "finish", "stage", "reason"),
    [
        (lambda request: "", "stop", "answers", "empty"),
        (lambda request: None, "stop", "answers", "empty"),
        (lambda request: " \n--- ** \n", "stop", "answers", "empty"),
        (good, "length", "answers", "cut at the token limit"),
        (lambda request: subject(request)[2], "stop", "rewritten", "copies the source"),
        (lambda request: f"Q: what?\nA: {subject(request)[2]}", "stop", "rewritten", "copies the source"),
        (lambda request: f"Here is number {subject(request)[1]}, in prose.", "stop", "rewritten", "not in the form"),
        (lambda request: good(request) + "\n" + min(load_held_out().prompts), "stop", "held out", "held-out prompt"),
        (lambda request: "Q: why?\nA: because.", "stop", "new", "repeats an earlier one"),
    ],
)
def test_each_refusal_is_counted_under_its_reason(
    teacher: SimpleNamespace, source: str, write: Any, finish: str, stage: str, reason: str
) -> None:
    teacher.write, teacher.finish = write, finish
    made, _ = rephrase(source, "refused", ["faq"], 10, 0, asker(teacher))
    kept, dropped = both(made.dataset)
    first = 1 if stage == "new" else 0  # of equal texts the first stays
    assert len(kept) == first
    assert Counter((one.stage, one.reason) for one in dropped) == {(stage, reason): 6 - first}
    counted = {one.name: one for one in made.dataset.stages}
    assert counted[stage].dropped == {reason: 6 - first}
    assert [one.entered for one in made.dataset.stages[: STAGES.index(stage) + 1]] == [6] * (STAGES.index(stage) + 1)
    assert all(one.facts["of"] for one in dropped)


@pytest.mark.parametrize("format_", FORMATS)
def test_each_format_has_its_form(teacher: SimpleNamespace, source: str, format_: str) -> None:
    other = {"table": "faq", "faq": "table", "math": "tutorial", "tutorial": "faq"}[format_]
    teacher.write = lambda request: GOOD[other].format(n=subject(request)[1], m="seven")
    made, _ = rephrase(source, "other", [format_], 10, 0, asker(teacher))
    assert {one.reason for one in both(made.dataset)[1]} == {"not in the form"}
    assert made.dataset.documents == 0


def test_one_budget_holds_for_all_formats_and_a_stopped_run_goes_on(teacher: SimpleNamespace, source: str) -> None:
    teacher.stop_after = 5
    with pytest.raises(ZooError):
        rephrase(source, "stopped", ["faq", "math"], 10, 0, asker(teacher, at_a_time=1))
    teacher.stop_after = None
    made, spending = rephrase(source, "stopped", ["faq", "math"], 10, 0, asker(teacher, at_a_time=1))
    assert spending is not None and spending.cached == 5
    assert len({json.dumps(body) for body in teacher.bodies}) == len(teacher.bodies) == 12  # none twice
    assert made.dataset.documents == 12
    with pytest.raises(ZooError, match="budget"):
        rephrase(source, "poor", list(FORMATS), 10, 1, asker(teacher, budget=0.001))


def test_a_long_document_is_read_up_to_a_stated_length(teacher: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "long.md").write_text("Number 7 begins. " + "many words " * 1500)
    made, _ = rephrase(gather(str(tmp_path), "long").dataset.name, "short", ["faq"], 10, 0, asker(teacher))
    kept, dropped = both(made.dataset)
    assert kept and all(len(body["messages"][1]["content"]) <= CHARACTERS for body in teacher.bodies)
    assert [one.facts.get("read_characters") for one in kept + dropped] == [SOURCE_CHARACTERS] * len(kept + dropped)


def test_every_request_fits(source: str) -> None:
    for format_ in FORMATS:
        assert len(write_request(format_, "x" * 10_000)) <= CHARACTERS
        assert write_request(format_, "x" * 10_000).endswith("x" * SOURCE_CHARACTERS)


def test_a_checkpoint_on_this_machine_writes_into_the_same_ledger(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str
) -> None:
    seen: list[GenerateRequest] = []
    dies_after = 3

    class Engine:
        def generate(self, requests: list[GenerateRequest]) -> Iterator[Generation]:
            for number, request in enumerate(requests):
                if number == dies_after:
                    raise KeyboardInterrupt
                seen.append(request)
                asked = request.prompt.partition("<user>")[2]
                finish: Any = "length" if number == 0 else "stop"
                yield Generation(
                    sample=request.sample, draw=0, text=good(asked), prompt_tokens=9, tokens=8, finish=finish,
                    truncated=int(number == 1),
                )  # fmt: skip

        def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr("evals.engines.connect", lambda *_args, **_options: Engine())
    monkeypatch.setattr(local_teacher, "folder_template", lambda _folder: SimpleNamespace())
    monkeypatch.setattr(
        local_teacher, "render", lambda _t, _s, messages: f"{messages[0].content}<user>{messages[1].content}"
    )
    local = LocalTeacher("small:1", "ab" * 32, tmp_path, "transformers", QUESTION, {})
    with pytest.raises(KeyboardInterrupt):
        rephrase(source, "here", ["faq"], 10, 0, local)
    dies_after = 100
    made, spending = rephrase(source, "here", ["faq"], 10, 0, local)
    assert spending is not None and (spending.cached, spending.asked, spending.money) == (3, 3, 0.0)
    assert len({request.sample for request in seen}) == len(seen) == 6
    assert len({request.seed for request in seen}) == 6
    assert {request.decoding.max_tokens for request in seen} == {QUESTION.most_written}
    # in each of the two runs the first answer was cut, and the second one's text
    assert Counter(one.reason for one in both(made.dataset)[1]) == {
        "cut at the token limit": 2, "the source does not fit into the context": 2,
    }  # fmt: skip
    assert {one.facts["teacher"] for one in both(made.dataset)[0]} == {"small:1 abababababab"}


def test_a_base_model_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(local_teacher, "folder_template", lambda _folder: None)
    with pytest.raises(ZooError, match="base model"):
        LocalTeacher("small:1", "ab" * 32, tmp_path, "transformers", QUESTION, {})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rephrase", "--format", "faq"], "needs the dataset to rewrite"),
        (["rephrase", "texts", "--checkpoint", "x"], "needs --format: table, faq, math, tutorial"),
        (["rephrase", "texts", "--format", "fag", "--checkpoint", "x"], 'nearest: "faq"'),
        (["rephrase", "texts", "--format", "faq"], "--checkpoint NAME of the zoo, or --url, and not both"),
        (["rephrase", "texts", "--format", "faq", "--checkpoint", "nobody"], 'no checkpoint "nobody"'),
        (["exercises", "texts"], "belong to rephrase"),
        (["exercises", "--format", "faq"], "belong to rephrase"),
    ],
)
def test_the_command_refuses_in_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert phizoo(["data", "synthesise", *words, "--name", "made"]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error and "\n" not in error


@given(st.text(max_size=80), st.text(max_size=80))
def test_the_copied_share(text: str, source: str) -> None:
    assert 0.0 <= copied_share(text, source) <= 1.0
    assert copied_share(text, f"{source} {text}") in (0.0, 1.0)


def test_a_rewriting_that_keeps_names_is_no_copy() -> None:
    source = "The lock lifts boats by two metres. It is a chamber with gates at both ends."
    assert (
        copied_share("Q: What does the lock do?\nA: The lock lifts boats, by two metres or so.", source) < MOST_COPIED
    )
    assert copied_share(f"Sure! {source}", source) > MOST_COPIED


@given(st.lists(st.text("abcdef", min_size=4, max_size=4), max_size=30), st.integers(1, 30), st.integers(0, 3))
def test_the_sample_follows_from_ids_and_seed(ids: list[str], count: int, seed: int) -> None:
    chosen = choose_ids(iter(ids), count, seed)
    assert chosen == choose_ids(iter(reversed(ids)), count, seed)
    assert len(chosen) == min(count, len(set(ids))) and chosen <= set(ids)
