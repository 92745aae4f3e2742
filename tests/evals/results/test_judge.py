"""Grades: asked for once and kept, what is no grade never a 0, tests never shown, agreement as defined."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from evals.cli.judge import judge
from evals.datasets.load import rows
from evals.engines.http.endpoint import Endpoint, EndpointError, Limits
from evals.results.judge import (
    MOST,
    Grade,
    GradeAgreement,
    Grader,
    Solution,
    auc,
    grade_all,
    measure_agreement,
    parse_grade,
    protocol_digest,
    request_body,
)

RIGHT, WRONG = '{"evaluation": "It does it.", "grade": 10}', '{"evaluation": "Nothing.", "grade": 0}'


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Callable[[dict[str, Any]], tuple[int, Any]]
    asked: list[dict[str, Any]]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append({"path": self.path, **told})
        status, answer = type(self).script(told)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextlib.contextmanager
def serving(script: Callable[[dict[str, Any]], tuple[int, Any]]) -> Iterator[tuple[str, type[Handler]]]:
    """(base URL, the handler with what it was asked) of a running grader."""
    handler = type("Scripted", (Handler,), {"script": staticmethod(script), "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", handler
        finally:
            server.shutdown()
            thread.join()


def spoken(content: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content}}], "usage": {"prompt_tokens": 9, "completion_tokens": 9}}


def reader(told: dict[str, Any]) -> tuple[int, Any]:
    """A grader that knows a wrong solution by its text."""
    wrong = "return None" in told["messages"][1]["content"].rpartition("Solution:")[2]
    return 200, spoken(WRONG if wrong else RIGHT)


@pytest.fixture
def served() -> Iterator[tuple[str, type[Handler]]]:
    with serving(reader) as found:
        yield found


def solution(code: str = "return 1", passed: bool | None = True, sample: str = "a") -> Solution:
    return Solution(sample=sample, draw=0, task="def f():", code=code, passed=passed)


def grader(url: str, cache: Path) -> Grader:
    return Grader(Endpoint(url, None, Limits(tries=1)), "g", cache)


def test_a_grade_is_asked_for_once_and_is_the_same_again(served: tuple[str, type[Handler]], tmp_path: Path) -> None:
    url, handler = served
    asked = [solution("x = 1"), solution("return None", False, "b")]
    first = list(grade_all(asked, grader(url, tmp_path), 2))
    again = list(grade_all(asked, grader(url, tmp_path), 1))
    assert first == again
    assert [one.grade for one in first] == [10, 0]
    assert len(handler.asked) == 2
    request = handler.asked[0]
    assert request["path"].endswith("/chat/completions")
    assert (request["temperature"], request["seed"], request["response_format"]["type"]) == (0, 0, "json_schema")
    list(grade_all(asked, Grader(Endpoint(url, None, Limits(tries=1)), "another", tmp_path), 1))
    assert len(handler.asked) == 4, "another grader's grades are not this one's"


@pytest.mark.parametrize(
    "content",
    ["9", "null", "[]", "{}", '{"grade": 9}', '{"evaluation": "", "grade": 11}', '{"evaluation": "", "grade": -1}',
     '{"evaluation": "", "grade": true}', '{"evaluation": "", "grade": 7.5}', '{"evaluation": 1, "grade": 7}',
     '{"evaluation": "", "grade": 7, "more": 1}', "I give it a 9.", None, 5],
)  # fmt: skip
def test_what_is_no_grade_is_not_graded_and_not_kept(content: Any, tmp_path: Path) -> None:
    with serving(lambda told: (200, spoken(content))) as (url, handler):
        for _ in range(2):
            one = grader(url, tmp_path).grade(solution())
            assert one.grade is None
            assert one.fault
        assert len(handler.asked) == 2


def test_a_refusal_is_told_and_a_dead_endpoint_ends_the_command(tmp_path: Path) -> None:
    with serving(lambda told: (400, {"error": {"message": "no schema"}})) as (url, _):
        assert "no schema" in grader(url, tmp_path).grade(solution()).fault
    with pytest.raises(EndpointError):
        grader("http://127.0.0.1:9/v1", tmp_path).grade(solution())


def test_the_grader_sees_no_test_and_its_words_are_pinned() -> None:
    words = protocol_digest()
    assert words == protocol_digest()
    told = json.dumps(request_body(solution(passed=True), "g"))
    assert told == json.dumps(request_body(solution(passed=False), "g"))
    assert "assert" not in told


def test_agreement_of_a_perfect_an_inverted_and_a_constant_grader() -> None:
    def grades(high: bool, low: bool) -> list[Grade]:
        return [
            Grade(sample=str(i), draw=0, grade=9 if (high if i % 2 else low) else 1, passed=bool(i % 2))
            for i in range(40)
        ]

    perfect, inverted, constant = (measure_agreement(grades(*w)) for w in ((True, False), (False, True), (True, True)))
    assert isinstance(perfect, GradeAgreement)
    assert isinstance(inverted, GradeAgreement)
    assert isinstance(constant, GradeAgreement)
    assert (perfect.accuracy, perfect.kappa, perfect.auc) == (1.0, 1.0, 1.0)
    assert perfect.auc_low is not None
    assert perfect.kappa_low is not None
    assert 0.8 < perfect.auc_low < 1.0
    assert 0.7 < perfect.kappa_low < 1.0
    assert (perfect.auc_high, perfect.kappa_high) == (1.0, 1.0)
    assert (inverted.accuracy, inverted.kappa, inverted.auc) == (0.0, -1.0, 0.0)
    assert (constant.accuracy, constant.kappa, constant.auc) == (0.5, 0.0, 0.5)
    assert constant.accuracy_low < 0.5 < constant.accuracy_high
    assert measure_agreement([Grade(sample="a", draw=0, grade=None, passed=True)]) is None
    one = measure_agreement([Grade(sample="a", draw=0, grade=9, passed=True)])
    assert one is not None
    assert (one.n, one.auc, one.kappa) == (1, None, None)


def simulated_grades(generator: np.random.Generator, problems: int, draws: int, gap: float) -> list[Grade]:
    """Draws of one problem share a part of how they are graded and of whether they pass."""
    grades = []
    for problem in range(problems):
        shared, easy = generator.normal(0, 1), generator.random()
        for draw in range(draws):
            passed = bool(generator.random() < easy)
            grade = int(np.clip(round(5 + gap * (passed - 0.5) + 0.7 * shared + 0.7 * generator.normal()), 0, MOST))
            grades.append(Grade(sample=str(problem), draw=draw, grade=grade, passed=passed))
    return grades


@pytest.mark.parametrize(("problems", "draws"), [(60, 1), (40, 4)])
def test_intervals_of_auc_and_kappa_cover(problems: int, draws: int) -> None:
    whole: Any = measure_agreement(simulated_grades(np.random.default_rng(0), 20_000, 1, 1.5))
    generator = np.random.default_rng(1)
    seen: list[Any] = [measure_agreement(simulated_grades(generator, problems, draws, 1.5)) for _ in range(400)]
    areas = [one.auc_low <= whole.auc <= one.auc_high for one in seen]
    kappas = [one.kappa_low <= whole.kappa <= one.kappa_high for one in seen]
    assert 0.92 <= np.mean(areas) <= 0.99
    assert 0.92 <= np.mean(kappas) <= 0.99


def test_several_solutions_of_a_problem_do_not_narrow_the_interval() -> None:
    once = [Grade(sample=str(i), draw=0, grade=i % 7 + 2 * (i % 2), passed=bool(i % 2)) for i in range(40)]
    copies = [msgspec.structs.replace(grade, draw=draw) for grade in once for draw in range(5)]
    first, second = measure_agreement(once), measure_agreement(copies)
    assert first is not None
    assert second is not None
    assert second.auc == first.auc
    assert second.auc_low == pytest.approx(first.auc_low, abs=0.01)


def test_auc_counts_ties_half() -> None:
    assert auc([5], [5]) == 0.5
    assert auc([10, 0], [5]) == 0.5


def test_a_file_is_graded_beside_its_tests(served: tuple[str, type[Handler]], tmp_path: Path) -> None:
    url, handler = served
    problems = rows("unconventional")
    lines = [
        {
            "task_id": row["task_id"],
            "completion": "\n    return None\n" if number % 5 == 0 else row["canonical_solution"],
        }
        for number, row in enumerate(problems)
    ]
    path, out = tmp_path / "s.jsonl", tmp_path / "grades.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = [str(path), "--task", "unconventional", "--url", url, "--model", "m", "--out", str(out)]
    first = CliRunner().invoke(judge, [*words, "--json"], catch_exceptions=False)
    row = json.loads(first.stdout)
    assert (row["n"], row["ungraded"], row["asked"], row["grade"]) == (25, 0, 25, 8.0)
    assert row["tests"]["value"] == 0.8
    assert (row["agreement"]["accuracy"], row["agreement"]["kappa"], row["agreement"]["auc"]) == (1.0, 1.0, 1.0)
    again = CliRunner().invoke(judge, words, catch_exceptions=False)
    assert "0 sent now" in again.stdout
    assert "of 10: 8.00 [" in again.stdout
    assert len(handler.asked) == 25
    assert [json.loads(line)["sample"] for line in out.read_text().splitlines()] == [p["task_id"] for p in problems]
    assert "def check" not in json.dumps(handler.asked)


def test_parsed_reads_the_object() -> None:
    assert parse_grade(RIGHT) == (10, "It does it.")
