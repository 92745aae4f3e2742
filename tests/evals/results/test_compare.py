"""Comparison: paired on shared samples, unpaired and said so otherwise, and what the command prints."""

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from evals.cli.compare import compare as command
from evals.records import Facts, Result, Run
from evals.results.compare import compare
from evals.stats.summary import summarise
from zoo.cli.root import run as phizoo
from zoo.digest import digest
from zoo.errors import ZooError
from zoo.records import Checkpoint, ProtocolRecord, Score
from zoo.registry import Registry, open_registry


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PHIZOO_DB", raising=False)
    monkeypatch.delenv("PHIZOO_STORE", raising=False)
    with open_registry() as opened:
        yield opened


def entered(registry: Registry, name: str) -> Checkpoint:
    return registry.enter(
        Checkpoint(
            name=name,
            version=0,
            digest=digest(name),
            files=(),
            architecture={},
            parameters=1,
            context_tokens=64,
            prompt_style="completion",
            training_tokens=None,
            recipe_digest=None,
            parents=(),
            datasets=(),
            licence="unknown",
            created="2026-01-01T00:00:00Z",
            source="",
        )
    )


def protocol(task: str = "humaneval", name: str = "raw", metric: str = "pass@1") -> ProtocolRecord:
    return ProtocolRecord(
        task=task,
        task_version=1,
        name=name,
        metric=metric,
        shots=0,
        prompt="def",
        prompts_sha256="0" * 64,
        samples=164,
        decoding={},
    )


def published_run(
    registry: Registry,
    checkpoint: Checkpoint,
    results: Sequence[Result],
    record: ProtocolRecord | None = None,
    path: Path | None = None,
    seed: int = 0,
) -> Score:
    """Publishes results as `evals.results.publish` does; without a path the samples are not kept."""
    told = record or protocol()
    summary = summarise(results, told.metric, "clusters")
    run = Run(
        id=digest([checkpoint.digest, told.fingerprint, seed]),
        checkpoint=checkpoint.digest,
        checkpoint_label=checkpoint.label,
        task=told.task,
        protocol=msgspec.to_builtins(told),
        fingerprint=told.fingerprint,
        backend=Facts(engine="test", version="1", dtype="float32", device="cpu", context_tokens=64),
        seed=seed,
        draws=1,
        limit=None,
        samples=len(results),
        hardware={},
        versions={},
        commit="",
    )
    score = Score(
        checkpoint=checkpoint.digest,
        run=run.id,
        task=told.task,
        protocol=told.fingerprint,
        metric=told.metric,
        value=summary.value,
        low=summary.low,
        high=summary.high,
        n=summary.n,
        clusters=summary.clusters,
        unscored=summary.unscored,
    )
    if path is not None:
        path.write_bytes(b"".join(msgspec.json.encode(result) + b"\n" for result in results))
    clean = msgspec.structs.replace(score, subset="clean", value=0.0, low=0.0, high=0.1, n=20, clusters=20)
    registry.add_scores(msgspec.to_builtins(run), told, [score, clean], path)
    return score


def answers(right: set[int], n: int = 164, metric: str = "pass@1", cluster: str = "") -> list[Result]:
    return [
        Result(
            sample=f"HumanEval/{i}",
            draw=0,
            score=float(i in right),
            metrics={metric: float(i in right)},
            verdict="passed" if i in right else "failed",
            cluster=cluster and f"{cluster}/{i // 4}",
        )
        for i in range(n)
    ]


def two(registry: Registry, tmp_path: Path) -> tuple[Checkpoint, Checkpoint]:
    """phi-a solves 91, phi-b 84 of 164; 20 only the one, 13 only the other."""
    one, other = entered(registry, "phi-a"), entered(registry, "phi-b")
    published_run(registry, one, answers(set(range(91))), path=tmp_path / "a.jsonl")
    published_run(registry, other, answers(set(range(20, 104))), path=tmp_path / "b.jsonl")
    return one, other


def test_paired_on_the_same_samples(registry: Registry, tmp_path: Path) -> None:
    two(registry, tmp_path)
    found = compare(registry, "phi-a", "phi-b", flips=True)
    assert (found.first, found.second) == ("phi-a:1", "phi-b:1")
    (row,) = found.rows
    assert row.kind == "paired"
    assert row.difference is not None
    assert (row.difference.wins, row.difference.losses, row.difference.ties) == (20, 13, 131)
    assert row.difference.value == pytest.approx(7 / 164)
    assert row.difference.method == "mcnemar"
    from scipy.stats import binomtest

    assert row.difference.p == pytest.approx(binomtest(20, 33).pvalue)
    assert row.p_holm == row.difference.p
    assert [flip.sample for flip in row.flips if flip.first > flip.second] == [f"HumanEval/{i}" for i in range(20)]
    assert len(row.flips) == 33
    assert compare(registry, "phi-a", "phi-b").rows[0].flips == ()


def test_pairs_by_sample_and_not_by_line(registry: Registry, tmp_path: Path) -> None:
    one, other = entered(registry, "phi-a"), entered(registry, "phi-b")
    published_run(registry, one, answers({0, 1, 2}, 10), path=tmp_path / "a.jsonl")
    published_run(registry, other, answers({0, 1, 2}, 10)[::-1], path=tmp_path / "b.jsonl")
    (row,) = compare(registry, "phi-a", "phi-b").rows
    assert row.difference is not None
    assert (row.difference.wins, row.difference.losses, row.difference.ties) == (0, 0, 10)
    assert row.difference.low < 0 < row.difference.high


def test_a_sample_without_a_score_is_left_out_of_both(registry: Registry, tmp_path: Path) -> None:
    one, other = entered(registry, "phi-a"), entered(registry, "phi-b")
    faulty = [
        msgspec.structs.replace(result, score=None, metrics={}, verdict="unscored") if i == 0 else result
        for i, result in enumerate(answers({0, 1}, 10))
    ]
    published_run(registry, one, answers({0, 1}, 10), path=tmp_path / "a.jsonl")
    published_run(registry, other, faulty, path=tmp_path / "b.jsonl")
    (row,) = compare(registry, "phi-a", "phi-b").rows
    assert row.difference is not None
    assert (row.difference.n, row.difference.wins) == (9, 0)
    assert row.note == "1 samples that only one of them has scored are left out"
    assert row.first == row.second == pytest.approx(1 / 9)


def test_several_draws_are_paired_by_their_mean(registry: Registry, tmp_path: Path) -> None:
    one, other = entered(registry, "phi-a"), entered(registry, "phi-b")

    def drawn(right: int) -> list[Result]:
        return [
            msgspec.structs.replace(
                result, draw=draw, score=float(draw < right), metrics={"pass@1": float(draw < right)}
            )
            for result in answers(set(), 10)
            for draw in range(4)
        ]

    published_run(registry, one, drawn(3), path=tmp_path / "a.jsonl")
    published_run(registry, other, drawn(1), path=tmp_path / "b.jsonl")
    (row,) = compare(registry, "phi-a", "phi-b").rows
    assert row.difference is not None
    assert (row.difference.wins, row.difference.n, row.difference.value) == (10, 10, 0.5)
    assert row.difference.method == "sign flips, exact"
    assert row.difference.p == pytest.approx(2 / 2**10)


def test_clusters_are_flipped_whole(registry: Registry, tmp_path: Path) -> None:
    one, other = entered(registry, "phi-a"), entered(registry, "phi-b")
    published_run(registry, one, answers(set(range(40)), 40, cluster="passage"), path=tmp_path / "a.jsonl")
    published_run(registry, other, answers(set(), 40, cluster="passage"), path=tmp_path / "b.jsonl")
    (row,) = compare(registry, "phi-a", "phi-b").rows
    assert row.difference is not None
    assert row.difference.clusters == 10
    assert row.difference.p == pytest.approx(2 / 2**10)


def test_unpaired_only_without_samples_and_said_so(registry: Registry, tmp_path: Path) -> None:
    one, other = entered(registry, "phi-a"), entered(registry, "phi-b")
    published_run(registry, one, answers(set(range(91))), path=tmp_path / "a.jsonl")
    published_run(registry, other, answers(set(range(84))))
    (row,) = compare(registry, "phi-a", "phi-b", flips=True).rows
    assert row.kind == "unpaired"
    assert (row.first, row.second) == (91 / 164, 84 / 164)  # over all samples, not the clean ones
    assert row.note.startswith("unpaired, samples are missing")
    assert row.flips == ()
    assert row.difference is not None
    assert row.difference.method == "unpaired"
    assert row.difference.p == pytest.approx(0.438, abs=0.001)  # z 0.78
    # a pulled score may have an interval that no formula of ours gives
    registry.database.run("UPDATE scores SET low = value, high = value")
    (row,) = compare(registry, "phi-a", "phi-b").rows
    assert row.difference is not None
    assert row.difference.p == pytest.approx(0.438, abs=0.001)


def test_only_the_same_protocol_is_compared(registry: Registry, tmp_path: Path) -> None:
    one, other = entered(registry, "phi-a"), entered(registry, "phi-b")
    published_run(registry, one, answers({1}), protocol(name="healed"), tmp_path / "a.jsonl")
    published_run(registry, other, answers({1}), protocol(name="raw"), tmp_path / "b.jsonl")
    with pytest.raises(ZooError, match=r"share no protocol.*phizoo eval run phi-b:1 --task humaneval@healed"):
        compare(registry, "phi-a", "phi-b")
    published_run(registry, other, answers({1, 2}), protocol(name="healed"), tmp_path / "c.jsonl")
    assert [row.column for row in compare(registry, "phi-a", "phi-b").rows] == ["humaneval [healed] pass@1"]


def test_a_sampled_protocol_is_asked_for_with_its_temperature(registry: Registry, tmp_path: Path) -> None:
    one = entered(registry, "phi-a")
    entered(registry, "phi-b")
    sampled = msgspec.structs.replace(protocol(name="raw t=0.2 p=0.95"), decoding={"temperature": 0.2, "top_p": 0.95})
    published_run(registry, one, answers({1}), sampled, tmp_path / "a.jsonl")
    with pytest.raises(ZooError, match=r"run phi-b:1 --task humaneval@raw --temperature 0.2 --top-p 0.95$"):
        compare(registry, "phi-a", "phi-b")


def test_nothing_measured_says_what_to_run(registry: Registry) -> None:
    entered(registry, "phi-a"), entered(registry, "phi-b")
    with pytest.raises(ZooError, match="Next: phizoo eval run phi-a:1 --task mbpp"):
        compare(registry, "phi-a", "phi-b", ["mbpp"])


def test_holm_runs_over_the_table_and_tasks_choose_it(registry: Registry, tmp_path: Path) -> None:
    one, other = two(registry, tmp_path)
    record = protocol(task="mbpp")
    published_run(registry, one, answers(set(range(60))), record, tmp_path / "c.jsonl")
    published_run(registry, other, answers(set(range(30))), record, tmp_path / "d.jsonl")
    both = compare(registry, "phi-a", "phi-b").rows
    assert [row.task for row in both] == ["humaneval", "mbpp"]
    p = [row.difference.p for row in both if row.difference]
    assert [row.p_holm for row in both] == pytest.approx([p[0], 2 * p[1]])
    (only,) = compare(registry, "phi-a", "phi-b", ["mbpp"]).rows
    assert only.p_holm == p[1]
    assert [row.task for row in compare(registry, "phi-a", "phi-b", ["mbpp@raw"]).rows] == ["mbpp"]
    with pytest.raises(ZooError, match='nearest: "humaneval"'):
        compare(registry, "phi-a", "phi-b", ["humanevl"])


def test_the_newest_run_counts(registry: Registry, tmp_path: Path) -> None:
    one, _ = two(registry, tmp_path)
    published_run(registry, one, answers(set()), path=tmp_path / "again.jsonl", seed=1)
    assert compare(registry, "phi-a", "phi-b").rows[0].first == 0.0


def test_a_published_model_is_reported_and_unpaired(registry: Registry, tmp_path: Path) -> None:
    one, _ = two(registry, tmp_path)
    (row,) = compare(registry, "phi-a", "Code Llama 34B").rows
    assert row.kind == "reported"
    assert row.second == pytest.approx(0.537)
    assert "talk slides" in row.note
    assert row.difference is not None
    assert row.difference.low < 0 < row.difference.high
    record = protocol(task="mbpp")
    published_run(registry, one, answers({1}), record, tmp_path / "c.jsonl")
    rows = compare(registry, "phi-a", "published:Code Llama 34B").rows
    assert [(row.task, row.difference is None, row.p_holm is None) for row in rows] == [
        ("humaneval", False, True),
        ("mbpp", True, True),
    ]
    assert "no n, so no interval" in rows[1].note


def test_other_shots_have_no_p_and_both_are_printed(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, _ = two(registry, tmp_path)
    record = msgspec.structs.replace(protocol(), name="two", shots=2, prompts_sha256="9" * 64)
    published_run(registry, one, answers(set(range(60))), record, tmp_path / "shots.jsonl")
    rows = {row.shots: row for row in compare(registry, "phi-a", "Code Llama 34B").rows}
    assert rows[0, 0].difference is not None
    assert (rows[2, 0].difference, rows[2, 0].p_holm) == (None, None)
    assert "not comparable: 0-shot there, 2-shot here" in rows[2, 0].note
    assert phizoo(["eval", "compare", "phi-a", "Code Llama 34B"]) == 0
    out = capsys.readouterr().out
    assert "0-shot there, 2-shot here" in out
    assert "unadjusted" in out


def test_the_family_is_one_reading_of_each_task(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = two(registry, tmp_path)
    (alone,) = compare(registry, "phi-a", "phi-b").rows
    assert alone.difference is not None
    for name, metric in (("healed", "pass@1"), ("raw", "pass@5"), ("openai", "exact")):
        record = msgspec.structs.replace(protocol(name=name, metric=metric), prompts_sha256=digest([name, metric]))
        for checkpoint, right in ((one, 90), (other, 20)):
            lines = answers(set(range(right)), metric=metric if metric == "exact" else "pass@1")
            if metric != "pass@5":
                published_run(registry, checkpoint, lines, record, tmp_path / f"{name}{right}{metric}.jsonl")
    rows = compare(registry, "phi-a", "phi-b").rows
    assert len(rows) == 3
    (family,) = [row for row in rows if row.family]
    assert family.difference is not None
    assert family.p_holm == family.difference.p  # further readings do not enlarge it
    assert all(row.p_holm is None for row in rows if not row.family)
    assert phizoo(["eval", "compare", "phi-a", "phi-b"]) == 0
    assert "each p is for that row alone" in capsys.readouterr().out


def test_contamination_parts_of_a_published_model_stay_out(registry: Registry, tmp_path: Path) -> None:
    two(registry, tmp_path)
    assert {round(row.second, 3) for row in compare(registry, "phi-a", "phi-1").rows} == {0.506}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("phi-x", "phi-b"), 'no checkpoint "phi-x"'),
        (("phi-a", "phi-bb"), 'nearest: "phi-b"'),
        (("phi-a", "Code Lama 34B"), 'Among published models \\(nearest: "Code Llama 34B"\\)'),
        (("phi-a", "published:phi-b"), "no published model"),
        (("Code Llama 34B", "phi-a"), "give it second"),
        (("phi-a", "Phi-4-mini-instruct"), "no score of a task published for Phi-4-mini-instruct"),
    ],
)
def test_wrong_names_say_what_is_near(registry: Registry, tmp_path: Path, names: tuple[str, str], said: str) -> None:
    two(registry, tmp_path)
    with pytest.raises(ZooError, match=said):
        compare(registry, *names)


def test_the_command_prints_a_table(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    two(registry, tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    assert phizoo(["eval", "compare", "phi-a", "phi-b", "--flips"]) == 0
    out = capsys.readouterr().out
    assert "task [protocol] metric" in out
    assert "humaneval [raw] pass@1  55.5  51.2  +4.3 [-2.7 to +11.4]      20/13/131  0.30    0.30" in out
    assert "phi-a:1 is better on none of 1 benchmark, worse on none, undecided on 1." in out
    assert "B phi-b:1 (the baseline: every difference is A minus B)" in out
    assert "\x1b" not in out
    assert "No row is significant" in out
    assert "better with phi-a:1, 20 samples" in out
    assert "  HumanEval/0  1 against 0" in out
    theirs = out.index("better with phi-b:1, 13 samples")
    assert out.index("  HumanEval/0  ") < theirs < out.index("  HumanEval/91  0 against 1")


def test_a_drawn_p_says_from_how_many_flips(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = random.Random(0)
    for name in ("phi-a", "phi-b"):
        lines = [
            msgspec.structs.replace(line, score=score, metrics={"pass@1": score})
            for line in answers(set())
            for score in [generator.random()]
        ]
        published_run(registry, entered(registry, name), lines, path=tmp_path / f"{name}.jsonl")
    assert phizoo(["eval", "compare", "phi-a", "phi-b"]) == 0
    said = "humaneval: p is drawn from 20,000 sign flips, so it is never below 0.00005"
    assert said in capsys.readouterr().out


def test_an_exact_p_says_nothing_of_flips(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two(registry, tmp_path)
    assert phizoo(["eval", "compare", "phi-a", "phi-b"]) == 0
    assert "sign flips" not in capsys.readouterr().out


def test_a_reported_number_without_n_has_a_difference_and_no_interval(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, _ = two(registry, tmp_path)
    published_run(registry, one, answers(set(range(41))), protocol(task="mbpp"), tmp_path / "c.jsonl")
    assert phizoo(["eval", "compare", "phi-a", "Code Llama 34B", "--task", "mbpp"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "25.0 56.2 -31.2 reported" in shown
    assert "no n, so no interval" in shown


def test_the_command_gives_json(registry: Registry, tmp_path: Path) -> None:
    two(registry, tmp_path)
    told = CliRunner().invoke(command, ["phi-a", "phi-b", "--json"])
    (row,) = json.loads(told.output)["rows"]
    assert (row["kind"], row["difference"]["wins"], row["difference"]["losses"]) == ("paired", 20, 13)


def test_a_clear_difference_is_named(registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = entered(registry, "phi-a"), entered(registry, "phi-b")
    published_run(registry, one, answers(set(range(20))), path=tmp_path / "a.jsonl")
    published_run(registry, other, answers(set(range(80))), path=tmp_path / "b.jsonl")
    assert phizoo(["eval", "compare", "phi-a", "phi-b"]) == 0
    assert "phi-b:1 is better (p Holm <0.001)" in capsys.readouterr().out


def test_a_wrong_name_ends_with_two_and_no_traceback(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert phizoo(["eval", "compare", "phi-a", "phi-b"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
