"""Seeds are combined where a seed changes answers; every reader shows the score that stands for its cell."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dashboard.board.cells import cell_text
from dashboard.board.html_table import cell_tooltip
from dashboard.data.evidence import run_facts
from dashboard.data.source import load_board
from evals.records import Facts, Result, Run
from evals.results.choice import chosen_scores, samples_of
from evals.results.compare import compare
from evals.results.publish import publish
from evals.results.ranking import rank_columns
from evals.run import FinishedRun
from evals.stats.pass_at_k import pass_metrics
from evals.stats.seeds import combine
from zoo.cli import root
from zoo.errors import ZooError
from zoo.exchange.card import model_card
from zoo.records import ProtocolRecord, Score
from zoo.registry import open_registry

RECORD = ProtocolRecord(
    task="humaneval", task_version=1, name="openai t=0.2 p=0.95", metric="pass@1", shots=0, prompt="",
    prompts_sha256="p", samples=40, decoding={"temperature": 0.2, "top_p": 0.95},
)  # fmt: skip
Publish = Callable[..., list[Score]]


@pytest.fixture
def add(tiny_phi: Path, tmp_path: Path) -> Publish:
    """Publishes a run of a checkpoint: a row of draws for each sample, None for unscored."""

    def run(
        rows: Sequence[Sequence[float | None]], seed: int = 0, name: str = "tiny", record: ProtocolRecord = RECORD,
        allow: dict[str, Any] | None = None, **facts: Any,
    ) -> list[Score]:  # fmt: skip
        folder = tmp_path / name
        if not folder.exists():
            import shutil

            shutil.copytree(tiny_phi, folder)
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps({**config, "note": name}))
        backend = Facts(
            engine=facts.get("engine", "transformers"), version="1", dtype=facts.get("dtype", "float32"), device="cpu",
            context_tokens=1,
        )  # fmt: skip
        draws = len(rows[0])
        results = tuple(
            Result(sample=f"s{i}", draw=d, score=value, metrics={} if value is None else {"pass@1": value},
                   detail="fault", cluster=facts.get("cluster", "") and f"c{i // 4}")
            for i, row in enumerate(rows)
            for d, value in enumerate(row)
        )  # fmt: skip
        with open_registry() as registry:
            checkpoint = registry.add(folder, name)
            header = Run(
                id=f"{name}{seed}{draws}{backend.engine}{backend.dtype}{record.task_version}".encode().hex(),
                checkpoint=checkpoint.digest, checkpoint_label=checkpoint.label, task=record.task,
                protocol=msgspec.to_builtins(record), fingerprint=record.fingerprint, backend=backend, seed=seed,
                draws=draws, limit=None, samples=len(rows), hardware={}, versions={}, commit="",
            )  # fmt: skip
            path = tmp_path / f"{header.id}.jsonl"
            path.write_bytes(b"".join(msgspec.json.encode(result) + b"\n" for result in results))
            protocols = tuple(msgspec.structs.replace(record, metric=m) for m in pass_metrics(["pass@1"], draws))
            done = FinishedRun(header=header, protocols=protocols, results=results, path=path)
            return publish(registry, done, **allow or {})

    return run


def row(right: int, first: int = 0, n: int = 40) -> list[list[float]]:
    return [[float(first <= i < first + right)] for i in range(n)]


def chosen(metric: str = "pass@1") -> Score:
    with open_registry() as registry:
        (score,) = [score for score in chosen_scores(registry, "tiny") if score.metric == metric]
    return score


def test_seeds_are_combined_and_every_reader_says_so(add: Publish, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(20), row(22, 2), row(18, 1)]
    for seed, each in enumerate(rows):
        add(each, seed)
    score = chosen()
    stat = combine([[value for (value,) in each] for each in rows])
    assert (score.seeds, len(score.runs), score.n) == (3, 3, 40)
    assert (score.value, score.low, score.high) == (stat.value, stat.low, stat.high)
    with open_registry() as registry:
        (cell,) = [cell for r in load_board(registry).rows if r.own for cell in r.cells.values()]
        assert "(3 seeds)" in cell_text(cell)
        assert cell.value == pytest.approx(100 * stat.value)
        assert registry.results(cell.run).is_file()  # the page opens the newest run's samples
        assert "3 seeds" in model_card(registry, "tiny")
        assert len(registry.find(f"humaneval.value >= {stat.value - 0.001} and humaneval.value <= {stat.value + 0.001}")) == 1  # fmt: skip
        assert registry.find("humaneval.value > 0.52") == []  # seed 1 alone has 0.55
        (column,) = rank_columns(registry, "humaneval")
        assert column.rows[0].score == score
        assert samples_of(registry, score)["s1"].value == pytest.approx(2 / 3)
    assert root.run(["eval", "ranks", "humaneval"]) == 0
    assert "(3 seeds)" in capsys.readouterr().out
    assert root.run(["models", "show", "tiny"]) == 0
    assert "3 seeds" in capsys.readouterr().out


def test_every_reader_says_what_an_interval_covers(
    add: Publish, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of 40 is right: the interval of so few right answers does not cover 95%; of 20 it does."""
    note = "covers 90–99%, not 95%"
    record = msgspec.structs.replace(RECORD, decoding={})
    add(row(1), record=record)
    add(row(20), name="other", record=record)
    commands = {"ranks": ["eval", "ranks", "humaneval"], "show": ["models", "show", "tiny"],
                "print": ["leaderboard", "--suite", "own", "--print"]}  # fmt: skip
    for name, words in commands.items():
        assert root.run(words) == 0
        assert capsys.readouterr().out.count(note) == 1, name
        assert root.run([word for word in words if word != "--print"] + ["--json"]) == 0
        assert capsys.readouterr().out.count(f'"coverage_note": "{note}"') == 1, name
    for ending in ("md", "csv", "tex", "html"):
        assert root.run(["leaderboard", "--suite", "own", "--out", str(tmp_path / f"board.{ending}")]) == 0
        assert "covers 90" in (tmp_path / f"board.{ending}").read_text(), ending
    with open_registry() as registry:
        assert note in model_card(registry, "tiny")
        assert note not in model_card(registry, "other")
        (own,) = [r for r in load_board(registry).rows if r.name == "tiny"]
    (cell,) = own.cells.values()
    assert note in cell_tooltip(cell)
    assert note in dict(run_facts({}, cell))["scored"]


def test_pairs_are_the_means_over_seeds(add: Publish) -> None:
    for seed, first in enumerate((0, 10)):
        add(row(20, first), seed)
    add(row(10), name="other")
    with open_registry() as registry:
        (line,) = compare(registry, "tiny", "other").rows
    assert "means over 2 and 1 seeds" in line.note
    assert line.first == 0.5
    assert line.difference is not None
    assert (line.difference.wins, line.difference.losses) == (20, 10)  # 10 to 29 half or whole, 0 to 9 half


def test_another_seed_of_a_greedy_run_is_the_same_measurement(add: Publish) -> None:
    greedy = msgspec.structs.replace(RECORD, name="openai", decoding={"temperature": 0.0})
    (alone,) = add(row(20), 0, record=greedy)
    add(row(20), 1, record=greedy)
    assert (chosen().seeds, chosen().low, chosen().high) == (1, alone.low, alone.high)


def test_seeds_that_answer_alike_are_no_more_certain_than_one(add: Publish) -> None:
    for seed in range(4):
        (alone, *_) = add(row(20), seed)
    assert chosen().seeds == 4
    assert chosen().high - chosen().low >= (alone.high - alone.low) * 0.999


def test_combined_seeds_keep_their_clusters(add: Publish) -> None:
    for seed in range(2):
        (alone, *_) = add(row(20, seed * 4), seed, cluster="passage")
    score = chosen()
    assert (score.clusters, alone.clusters) == (10, 10)
    assert score.high - score.low > 0.4  # 10 passages that are right or wrong as a whole, not 40 samples


def test_other_engines_and_dtypes_are_not_combined_and_the_cell_names_its_own(add: Publish) -> None:
    add(row(20), 0)
    add(row(22), 1, dtype="bfloat16")
    add(row(24), 2, engine="vllm", name="other")
    assert chosen().seeds == 1
    with open_registry() as registry:
        (line,) = compare(registry, "tiny", "other").rows
        texts = {r.name: [cell_text(cell) for cell in r.cells.values()] for r in load_board(registry).rows if r.own}
    assert "(transformers bfloat16)" in texts["tiny"][0]
    assert "(vllm float32)" in texts["other"][0]
    assert "A ran with transformers bfloat16, B with vllm float32" in line.note


def test_one_setting_is_not_named(add: Publish) -> None:
    add(row(20), 0)
    add(row(24), 0, name="other")
    with open_registry() as registry:
        assert {cell.setting for r in load_board(registry).rows if r.own for cell in r.cells.values()} == {""}


def test_every_reader_takes_the_larger_run(add: Publish, capsys: pytest.CaptureFixture[str]) -> None:
    add([*row(20, n=39), [None]], dtype="bfloat16", allow={"max_unscored": 5})
    add(row(10))
    add([*row(30, n=39), [None]], dtype="float16", allow={"max_unscored": 5})
    with open_registry() as registry:
        (cell,) = [cell for r in load_board(registry).rows if r.own for cell in r.cells.values()]
        add(row(10), name="other")
        (line,) = compare(registry, "tiny", "other").rows
        ranked = {r.checkpoint: r.score.value for r in rank_columns(registry, "humaneval")[0].rows}
        (score,) = registry.scores("tiny", chosen=True)
    assert (cell.value, line.first, ranked["tiny:1"], score.value) == (25.0, 0.25, 0.25, 0.25)


def test_unscored_samples_have_a_floor_and_leave_bounds(add: Publish, capsys: pytest.CaptureFixture[str]) -> None:
    record = msgspec.structs.replace(RECORD, samples=200)
    rows: list[list[float | None]] = [[1.0] for _ in range(50)] + [[0.0] for _ in range(148)] + [[None], [None]]
    with pytest.raises(ZooError, match=r"2 of 200 samples .*\(1%.*--allow-unscored"):
        add(rows, record=record)
    with pytest.raises(ZooError, match=r"4 of 200 samples .*\(2%, more than 1%.*--max-unscored 2"):
        add([*rows[2:], [None], [None]], record=record, allow={"allow_unscored": True})
    add(rows, record=record, allow={"allow_unscored": True})
    assert (chosen().worst, chosen().best) == (0.25, 0.26)
    with open_registry() as registry:
        (cell,) = [cell for r in load_board(registry).rows if r.own for cell in r.cells.values()]
    assert "(2 unscored: 25.0 to 26.0)" in cell_text(cell)
    assert root.run(["leaderboard", "--suite", "own", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    cells = [cell for r in data["rows"] if r["own"] for cell in r["cells"].values()]
    assert [(cell["worst"], cell["best"]) for cell in cells] == [(25.0, 26.0)]


def test_every_pass_at_k_has_its_column(add: Publish) -> None:
    scores = add([[float(d < i) for d in range(20)] for i in range(20)] * 2)
    assert [score.metric for score in scores] == [f"pass@{k}" for k in (1, 2, 5, 10, 20)]
    with open_registry() as registry:
        board = load_board(registry)
        columns = {column.metric for r in board.rows if r.own for column in board.columns if column.key in r.cells}
        assert columns == {f"pass@{k}" for k in (1, 2, 5, 10, 20)}
        assert len(rank_columns(registry, "humaneval", metric="pass@5")) == 1
    values = [score.value for score in scores]
    assert values == sorted(values)
    assert values[-1] == 0.95


def test_pass_at_k_stands_by_more_draws(add: Publish) -> None:
    add([[float(d < i) for d in range(20)] for i in range(20)] * 2)
    add(row(40))
    assert (chosen().draws, chosen().value) == (20, 0.475)
