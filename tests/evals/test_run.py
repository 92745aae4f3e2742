"""The loop: every answer written once, resumed after a kill, unscored never a silent zero."""

import contextlib
import errno
import itertools
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evals import run_folder
from evals.records import (
    Choice,
    ChoiceRequest,
    ChoiceScores,
    Decoding,
    Facts,
    GenerateRequest,
    Generation,
    Sample,
    Scored,
)
from evals.results.publish import publish, scores
from evals.run import FinishedRun, RunOptions, draw_seed, evaluate
from evals.run_folder import read_results
from evals.task import Task
from zoo.errors import ZooError

CHECKPOINT = ("c" * 64, "tiny:1")


class Engine:
    """Writes the prompt back; dies after `lives` answers; cannot answer the samples in `faults`."""

    def __init__(self, lives: int = 10**9, faults: frozenset[str] = frozenset()) -> None:
        self.facts = Facts(engine="echo", version="1", dtype="none", device="none", context_tokens=99)
        self.lives, self.faults, self.asked = lives, faults, []  # type: int, frozenset[str], list[tuple[str, int]]

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Generation]:
        for request in requests:
            self._live(request.sample, request.draw)
            fault = "engine broke" if request.sample in self.faults else ""
            text = f"{request.prompt}/{request.seed}" if request.decoding.temperature else request.prompt
            yield Generation(
                sample=request.sample, draw=request.draw, text=text, prompt_tokens=1, tokens=1,
                finish="fault" if fault else "stop", fault=fault,
            )  # fmt: skip

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        for request in reversed(requests):
            self._live(request.sample, 0)
            read = tuple(Choice(logprob=-float(len(text)), tokens=1, greedy=False) for _, text in request.pairs)
            fault = "engine broke" if request.sample in self.faults else ""
            yield ChoiceScores(sample=request.sample, choices=() if fault else read, fault=fault)

    def _live(self, sample: str, draw: int) -> None:
        if not self.lives:
            raise KeyboardInterrupt
        self.lives -= 1
        self.asked.append((sample, draw))

    def close(self) -> None:
        pass


def samples() -> Iterator[Sample]:
    for number in range(10):
        yield Sample(id=f"s/{number}", question=f"q{number}", target=number % 2, choices=("a", "bb"))


def score(sample: Sample, answer: str) -> Scored:
    return Scored(metrics={"accuracy": float(answer.startswith(("q1", "q2", "q3")))})


def judge(sample: Sample, read: tuple[Choice, ...]) -> Scored:
    pick = max(range(len(read)), key=lambda index: read[index].logprob)
    return Scored(metrics={"acc": float(pick == sample.target), "acc_norm": 1.0})


def pairs(sample: Sample) -> tuple[tuple[str, str], ...]:
    return tuple((sample.question, f" {choice}") for choice in sample.choices)


def extract(sample: Sample, text: str) -> str | None:
    return None if text == "q9" else text


def written(temperature: float = 0.0) -> Task:
    return Task(
        name="echo", version=1, kind="generate", about="", samples=samples, prompt=lambda sample: sample.question,
        extract=extract, score=score, decoding=Decoding(max_tokens=4, temperature=temperature), size=10,
    )  # fmt: skip


CHOICES = Task(
    name="pick", version=1, kind="choices", about="", samples=samples, pairs=pairs, judge=judge,
    metrics=("acc", "acc_norm"), size=10,
)  # fmt: skip


def run(engine: Engine, task: Task, runs: Path, **asked: object) -> FinishedRun:
    return evaluate(engine, task, CHECKPOINT, runs, RunOptions(**asked))  # type: ignore[arg-type]


def test_the_header_keeps_the_path_that_is_known_after_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, choose = Engine(), Engine.choose

    def load_and_choose(requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        engine.facts = msgspec.structs.replace(engine.facts, path="plain")
        return choose(engine, requests)

    monkeypatch.setattr(engine, "choose", load_and_choose)
    header = run(engine, CHOICES, tmp_path / "with").header
    assert header.backend.path == "plain"
    assert header.id == run(Engine(), CHOICES, tmp_path / "without").header.id


def test_results_stand_in_the_tasks_order_whatever_order_they_came_in(tmp_path: Path) -> None:
    done = run(Engine(), CHOICES, tmp_path)
    assert [result.sample for result in done.results] == [sample.id for sample in samples()]
    assert [result.score for result in done.results] == [1.0, 0.0] * 5
    assert done.results[0].metrics == {"acc": 1.0, "acc_norm": 1.0}
    assert read_results(done.path) == list(done.results)
    assert done.complete


def test_no_answer_is_a_zero_and_says_so(tmp_path: Path) -> None:
    last = run(Engine(), written(), tmp_path).results[-1]
    assert (last.score, last.answer, last.verdict, last.detail) == (0.0, None, "failed", "no answer found")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=st.lists(st.integers(0, 12), max_size=6), sampled=st.booleans())
def test_killed_anywhere_nothing_is_asked_twice_or_lost(
    tmp_path_factory: pytest.TempPathFactory, lives: list[int], sampled: bool
) -> None:
    runs = tmp_path_factory.mktemp("runs")
    task, draws = (written(0.8), 3) if sampled else (CHOICES, 1)
    asked: list[tuple[str, int]] = []
    for life in [*lives, 10**9]:
        engine = Engine(lives=life)
        with contextlib.suppress(KeyboardInterrupt):
            done = run(engine, task, runs, draws=draws)
        asked += engine.asked
    assert len(asked) == len(set(asked)) == 10 * draws
    undisturbed = run(Engine(), task, tmp_path_factory.mktemp("other"), draws=draws)
    assert done.path.read_bytes() == undisturbed.path.read_bytes()
    assert done.header.id == undisturbed.header.id


def test_a_line_cut_short_is_done_again(tmp_path: Path) -> None:
    done = run(Engine(), CHOICES, tmp_path)
    whole = done.path.read_bytes()
    for cut in (1, 20, len(whole) // 2):
        done.path.write_bytes(whole[:-cut])
        engine = Engine()
        assert run(engine, CHOICES, tmp_path).path.read_bytes() == whole
        assert engine.asked


def test_unscored_is_no_zero_is_not_published_and_is_tried_again(tmp_path: Path) -> None:
    for task in (CHOICES, written()):
        done = run(Engine(faults=frozenset({"s/3"})), task, tmp_path)
        fault = done.results[3]
        assert (fault.score, fault.verdict, fault.detail) == (None, "unscored", "engine broke")
        with pytest.raises(ZooError, match=r"1 of 10 samples .* s/3, engine broke"):
            publish(None, done)  # type: ignore[arg-type]
        summary = scores(done)[0]
        assert (summary.n, summary.unscored) == (9, 1)
        again = Engine()
        assert run(again, task, tmp_path).results[3].score is not None
        assert again.asked == [("s/3", 0)]


def test_pass_at_more_than_the_draws_is_refused_before_anything_runs(tmp_path: Path) -> None:
    task = msgspec.structs.replace(written(), metrics=("pass@1",), decoding=Decoding(temperature=0.5))
    engine = Engine()
    with pytest.raises(ZooError, match=r"pass@5 needs at least 5 draws a problem, not 3; add --draws 5"):
        run(engine, task, tmp_path, draws=3, pass_at=(5,))
    assert engine.asked == []


def test_a_part_of_a_task_is_not_published(tmp_path: Path) -> None:
    done = run(Engine(), CHOICES, tmp_path, limit=3)
    assert (len(done.results), done.complete) == (3, False)
    with pytest.raises(ZooError, match="3 of 10"):
        publish(None, done)  # type: ignore[arg-type]
    assert done.header.id != run(Engine(), CHOICES, tmp_path).header.id
    assert done.header.fingerprint == run(Engine(), CHOICES, tmp_path).header.fingerprint


def test_an_unknown_sample_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match='nearest: "s/1"'):
        run(Engine(), CHOICES, tmp_path, samples=("s/11",))


def test_greedy_draws_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="greedily"):
        run(Engine(), written(), tmp_path, draws=5)


def test_two_writers_of_one_run_are_refused(tmp_path: Path) -> None:
    done = run(Engine(), CHOICES, tmp_path)
    with run_folder.open_run(tmp_path, done.header), pytest.raises(ZooError, match="another process"):
        run(Engine(), CHOICES, tmp_path)


def test_what_determines_the_answer_determines_the_run(tmp_path: Path) -> None:
    def header(**asked: object) -> str:
        return run(Engine(), written(0.5), tmp_path, **asked).header.id

    ids = [header(), header(seed=1), header(draws=2), header(limit=4)]
    assert len(set(ids)) == 4
    assert header() == ids[0]


def test_a_draws_seed_is_its_own() -> None:
    seeds = [draw_seed(s, sample, d) for s, sample, d in itertools.product(range(3), ("a", "b"), range(3))]
    assert len(set(seeds)) == len(seeds)
    assert draw_seed(0, "a", 1) == draw_seed(0, "a", 1)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_changed_prompt_changes_the_column(tmp_path: Path) -> None:
    one = run(Engine(), written(), tmp_path).protocols[0]
    other = Task(**{**{f: getattr(written(), f) for f in Task.__struct_fields__}, "prompt": lambda s: s.question + " "})
    assert one.fingerprint != run(Engine(), other, tmp_path).protocols[0].fingerprint


def test_code_is_not_run_where_the_selftest_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from evals.tasks import task

    def fails(tier: str, workers: int | None = None) -> None:
        raise ZooError("the sandbox misjudges 1 programs on this machine")

    monkeypatch.setattr("evals.sandbox.selftest.require", fails)
    engine = Engine()
    with pytest.raises(ZooError, match="misjudges"):
        run(engine, task("humaneval"), tmp_path, limit=1)
    assert engine.asked == []


def test_a_full_disk_ends_the_run_and_the_next_start_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_results(run(Engine(), CHOICES, tmp_path / "whole").path)
    append, left = run_folder._append, [3]

    def full(file: FileIO, line: bytes) -> None:
        if not left[0]:
            file.write(line[:7])  # as much as went in
            raise OSError(errno.ENOSPC, "No space left on device", str(file.name))
        left[0] -= 1
        append(file, line)

    monkeypatch.setattr(run_folder, "_append", full)
    with pytest.raises(OSError, match="No space left"):
        run(Engine(), CHOICES, tmp_path / "runs")
    monkeypatch.setattr(run_folder, "_append", append)
    rest = Engine()
    assert read_results(run(rest, CHOICES, tmp_path / "runs").path) == whole
    assert len(rest.asked) == 7


def test_a_short_write_goes_on_and_a_refused_one_names_its_file() -> None:
    class Disk:
        name, kept = "results.jsonl", b""

        def write(self, data: memoryview) -> int:
            if len(self.kept) >= 9:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.kept += bytes(data[:3])
            return min(3, len(data))

    disk = Disk()
    run_folder._append(disk, b"12345678")  # type: ignore[arg-type]
    assert disk.kept == b"12345678"
    with pytest.raises(OSError, match=r"results\.jsonl") as caught:
        run_folder._append(disk, b"abcdef")  # type: ignore[arg-type]
    assert caught.value.errno == errno.ENOSPC


def test_progress_tells_the_running_score_its_interval_and_tokens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(Engine(), written(), tmp_path)
    told = capsys.readouterr().err
    assert "echo tiny:1: 10/10 samples" in told
    assert "30.0% [10.8–60.3]" in told
    assert "tokens/s" in told
