"""Flags and the split: phi-1's published table as counts, and a file that records its search."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evals.contamination.flags import (
    Flag,
    Flags,
    FlagsHeader,
    MatchedDocument,
    checked_samples,
    make_search,
    read,
    write,
)
from evals.records import Result
from evals.results.split import sides
from evals.stats.summary import summarise
from zoo import published
from zoo.coverage import Coverage
from zoo.errors import ZooError
from zoo.records import Reported, SearchedBy, SearchedSet

# docs/phi.md, Contamination (arXiv 2306.11644, Table 3): tau -> (similar, others), then solved of each by
# phi-1, by phi-1 retrained without the similar exercises, and by StarCoder-Prompted
SIZES = {0.95: (71, 93), 0.90: (93, 71), 0.85: (106, 58), 0.80: (116, 48)}
SOLVED = {
    "phi-1": {0.95: (58, 25), 0.90: (59, 24), 0.85: (66, 17), 0.80: (69, 14)},
    "retrained": {0.95: (53, 30), 0.90: (48, 26), 0.85: (56, 20), 0.80: (61, 13)},
    "StarCoder-Prompted": {0.95: (41, 27), 0.90: (45, 23), 0.85: (50, 18), 0.80: (53, 15)},
}
PRINTED = {
    "phi-1": {0.95: (81.7, 26.9, 50.6), 0.90: (63.4, 33.8, 50.6), 0.85: (62.3, 29.3, 50.6), 0.80: (59.5, 29.2, 50.6)},
    "retrained": {
        0.95: (74.6, 32.3, 50.6),
        0.90: (51.6, 36.6, 45.1),
        0.85: (52.8, 34.5, 46.3),
        0.80: (52.6, 27.1, 45.1),
    },
    "StarCoder-Prompted": {
        0.95: (57.7, 29.0, 41.5),
        0.90: (48.4, 32.4, 41.5),
        0.85: (47.2, 31.0, 41.5),
        0.80: (45.7, 31.2, 41.5),
    },
}  # fmt: skip
CASES = [(model, tau) for model in SOLVED for tau in SIZES]


def solved(row: Reported) -> int | None:
    """The count behind a printed share, which may be rounded or cut; None where no count gives it to its last digit."""
    if row.n is None or row.op != "=":
        return None
    count = round(row.value / 100 * row.n)
    return count if abs(100 * count / row.n - row.value) < 0.1 else None


def searched(flagged: list[str], checked: int = 164, threshold: float = 0.95) -> Flags:
    search = FlagsHeader(task="humaneval", datasets=("d" * 64,), method="ast", threshold=threshold, checked=checked)
    return Flags(search=search, flagged=tuple(Flag(sample=sample) for sample in flagged))


def results(similar: int, right_similar: int, right_others: int, n: int = 164) -> list[Result]:
    """The first `similar` samples overlap; so many of them and of the others are right."""
    right = {*range(right_similar), *range(similar, similar + right_others)}
    return [Result(sample=f"HumanEval/{i}", draw=0, score=float(i in right)) for i in range(n)]


@pytest.mark.parametrize(("model", "tau"), CASES)
def test_the_published_table_from_its_counts(model: str, tau: float) -> None:
    (similar, others), (right, right_others) = SIZES[tau], SOLVED[model][tau]
    flags = searched([f"HumanEval/{i}" for i in range(similar)], threshold=tau)
    run = results(similar, right, right_others)
    ids = [result.sample for result in run]
    search = make_search(flags, "c" * 64, "humaneval", ids)
    by_side = sides(ids, [search], Coverage(sets={"d" * 64: 0}))
    chosen = {"all": set(ids), "clean": by_side.clean, "overlapping": by_side.overlapping}
    parts = {
        name: summarise([result for result in run if result.sample in part], "pass@1", "clusters")
        for name, part in chosen.items()
    }
    shown = tuple(round(100 * parts[name].value, 1) for name in ("overlapping", "clean", "all"))
    assert shown == pytest.approx(PRINTED[model][tau], abs=0.06)  # 31.25 is printed as 31.2, 26.83 as 26.9
    assert (parts["overlapping"].n, parts["clean"].n, parts["all"].n) == (similar, others, 164)
    for part in parts.values():
        assert part.low < part.value < part.high


@pytest.mark.parametrize(("model", "tau"), CASES)
def test_the_printed_shares_are_whole_counts_that_add_up(model: str, tau: float) -> None:
    name = f"phi-1 retrained on CodeExercises pruned at tau={tau:.2f}" if model == "retrained" else model
    rows = {row.subset.split(" at ")[0]: row for row in published.by_model()[name] if f"tau={tau:.2f}," in row.subset}
    assert (rows["similar"].n, rows["non-similar"].n, rows["total"].n) == (*SIZES[tau], 164)
    assert tuple(row.value for row in rows.values()) == PRINTED[model][tau]
    counts = tuple(solved(row) for row in rows.values())
    assert counts == (*SOLVED[model][tau], sum(SOLVED[model][tau]))


def test_phi_1_has_no_lead_on_what_it_did_not_train_on() -> None:
    """phi-1 solves 25 of 93 others at tau 0.95, StarCoder-Prompted 27: the lead is in the similar part."""
    assert all(SOLVED["phi-1"][tau][0] > SOLVED["StarCoder-Prompted"][tau][0] for tau in SIZES)
    assert all(abs(SOLVED["phi-1"][tau][1] - SOLVED["StarCoder-Prompted"][tau][1]) <= 2 for tau in SIZES)


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, 83),
        ({"value": 50.5}, None),
        ({"n": None}, None),
        ({"op": "<"}, None),
        ({"value": 48.7, "n": 164}, 80),  # 48.78, cut
    ],
)
def test_a_share_that_no_count_gives_has_none(fields: dict[str, object], count: int | None) -> None:
    row = next(row for row in published.by_model()["phi-1"] if row.benchmark == "humaneval")
    assert solved(replace(row, **fields)) == count


NAMES = st.lists(st.text(min_size=1, max_size=20), unique=True, max_size=8)


@given(NAMES, st.text(max_size=40), st.floats(0, 1))
def test_what_is_written_is_read(names: list[str], text: str, similarity: float) -> None:
    import tempfile

    match = MatchedDocument(document="code/12", similarity=similarity, text=text)
    flags = Flags(
        search=searched([], checked=len(names)).search,
        flagged=tuple(Flag(sample=name, matches=(match,)) for name in names),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flags.jsonl"
        write(path, flags)
        assert read(path) == flags


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("nonsense\n", "line 1 is no search"),
        ('{"task":"t","datasets":[],"method":"guess","threshold":1,"checked":2}\n', "line 1 is no search"),
        ('{"task":"t","datasets":[],"method":"ast","threshold":1,"checked":2}\n{"id":"a"}\n', "line 2 is no flag"),
        ('{"task":"t","datasets":[],"method":"ast","threshold":1,"checked":2}\n{"sample":"a"}\n{"sample":"a"}\n', "flags a twice"),
        ('{"task":"t","datasets":[],"method":"ast","threshold":1,"checked":0}\n{"sample":"a"}\n', "1 samples of 0 checked"),
    ],
)  # fmt: skip
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "flags.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ZooError, match=said):
        read(path)


def test_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"no flags in .*: No such file"):
        read(tmp_path / "flags.jsonl")


def test_flags_of_other_samples_are_refused() -> None:
    samples = ["a", "b", "c"]
    assert checked_samples(searched(["b"], checked=3), "humaneval", samples) == ("a", "b", "c")
    with pytest.raises(ZooError, match="come from 2 samples of humaneval, the run has 3"):
        checked_samples(searched(["b"], checked=2), "humaneval", samples)
    with pytest.raises(ZooError, match='no sample "d"'):
        checked_samples(searched(["d"], checked=3), "humaneval", samples)
    with pytest.raises(ZooError, match='of task "humaneval", the run is of "mbpp"'):
        checked_samples(searched(["b"], checked=3), "mbpp", samples)


def part_flags(part: tuple[str, ...], flagged: list[str], unsearched: tuple[str, ...] = ()) -> Flags:
    flags = searched(flagged, checked=len(part))
    return replace(flags, search=replace(flags.search, part=part, unsearched=unsearched))


def test_a_search_of_a_part_names_its_samples() -> None:
    samples = ["a", "b", "c"]
    assert checked_samples(part_flags(("a", "b"), ["b"]), "humaneval", samples) == ("a", "b")
    with pytest.raises(ZooError, match="name c, which is not among the samples that were checked"):
        checked_samples(part_flags(("a", "b"), ["c"]), "humaneval", samples)
    with pytest.raises(ZooError, match='no sample "z"'):
        checked_samples(part_flags(("a", "z"), []), "humaneval", samples)


def test_flags_become_a_search_of_one_checkpoint() -> None:
    flags = part_flags(("a", "b", "c"), ["b"], unsearched=("b", "c"))
    flags = replace(flags, search=replace(flags.search, names=("code",), documents=9, how="trees"))
    search = make_search(flags, "c" * 64, "humaneval", ["a", "b", "c", "d"])
    assert search.datasets == (SearchedSet(digest="d" * 64, name="code", documents=9),)
    assert search.methods == (SearchedBy(method="ast", threshold=0.95, form="trees"),)
    assert (search.samples, search.flagged) == (("a", "b", "c"), ("b",))
    assert search.unsearchable == ("c",)  # another method may have found b
    two = replace(flags.search, datasets=("d" * 64, "e" * 64), names=("code", "text"))
    older = make_search(replace(flags, search=two), "c" * 64, "humaneval", ["a", "b", "c", "d"])
    assert [each.documents for each in older.datasets] == [None, None]  # an older file has only the sum
    newer = make_search(replace(flags, search=replace(two, sizes=(4, 5))), "c" * 64, "humaneval", ["a", "b", "c", "d"])
    assert [each.documents for each in newer.datasets] == [4, 5]
