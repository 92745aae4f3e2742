"""Searches hold for a checkpoint and a task: every run is split by them, and clean needs all of the training data."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evals.records import Facts, Result, Run
from evals.results.publish import publish
from evals.results.renew import Renewed, renew
from evals.results.split import current_scores, make_split, sides, split_runs
from evals.run import FinishedRun
from evals.stats.summary import summarise
from zoo.coverage import Coverage, coverage, find_splits, split_line
from zoo.digest import digest
from zoo.errors import ZooError
from zoo.exchange.zoo_remote import pull, push
from zoo.records import (
    About,
    Checkpoint,
    Dataset,
    Parent,
    ProtocolRecord,
    Relation,
    Search,
    SearchedBy,
    SearchedSet,
    TrainedOn,
)
from zoo.registry import Registry, open_registry

OWN, BASE, OTHER = "a" * 64, "b" * 64, "c" * 64
SAMPLES = tuple(f"humaneval/{number}" for number in range(10))


def protocol(samples: Sequence[str] = SAMPLES, name: str = "phizoo") -> ProtocolRecord:
    return ProtocolRecord(
        task="humaneval", task_version=1, name=name, metric="pass@1", shots=0, prompt="p", prompts_sha256="0" * 64,
        samples=len(samples), decoding={},
    )  # fmt: skip


def finished(
    folder: Path, of: Checkpoint, right: int, dtype: str = "float32", samples: Sequence[str] = SAMPLES,
    name: str = "phizoo",
) -> FinishedRun:  # fmt: skip
    """A run whose first `right` samples are right, with its lines in a file."""
    asked = protocol(samples, name)
    results = tuple(
        Result(sample=sample, draw=0, score=float(number < right), metrics={"pass@1": float(number < right)})
        for number, sample in enumerate(samples)
    )
    run = digest([of.digest, dtype, name, right])[:32]
    path = folder / f"{run}.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in results))
    facts = Facts(engine="transformers", version="5", dtype=dtype, device="cpu", context_tokens=64)
    header = Run(
        id=run, checkpoint=of.digest, checkpoint_label=of.label, task="humaneval", fingerprint=asked.fingerprint,
        protocol=msgspec.to_builtins(asked), backend=facts, seed=0, draws=1, limit=None, samples=len(samples),
        hardware={}, versions={}, commit="",
    )  # fmt: skip
    return FinishedRun(header=header, protocols=(asked,), results=results, path=path)


def search(of: Checkpoint, sets: dict[str, int | None], flagged: Sequence[str] = (), **fields: Any) -> Search:
    """A search of sets (digest -> documents) for all samples."""
    given: dict[str, Any] = {
        "methods": (SearchedBy(method="ast", threshold=0.95),), "samples": SAMPLES, "created": "2026-01-01",
    } | fields  # fmt: skip
    return Search(
        checkpoint=of.digest, task="humaneval", flagged=tuple(flagged),
        datasets=tuple(SearchedSet(digest=key, name="set", documents=size) for key, size in sets.items()), **given,
    )  # fmt: skip


def data(registry: Registry) -> None:
    for name, key in (("own", OWN), ("base-text", BASE), ("other", OTHER)):
        registry.add_dataset(Dataset(name=name, digest=key, kind="documents", documents=5, tokens=9))


def trained_on(*digests: str) -> tuple[TrainedOn, ...]:
    return tuple(TrainedOn(digest=each, tokens=9) for each in digests)


def child(
    registry: Registry, of: Checkpoint, *digests: str, relation: Relation = "finetune", **fields: Any
) -> Checkpoint:
    """A checkpoint made from another, entered without bytes of its own."""
    parents = (Parent(digest=of.digest, relation=relation),)
    made = msgspec.structs.replace(
        of, name="tuned", digest="e" * 64, parents=parents, datasets=trained_on(*digests), **fields
    )
    return registry.enter(made)


@pytest.fixture
def tiny(tiny_phi: Path) -> Checkpoint:
    with open_registry() as registry:
        data(registry)
        return registry.add(tiny_phi, "tiny", About(datasets=trained_on(OWN)))


def by_subset(registry: Registry, run: FinishedRun) -> dict[str, tuple[int, float]]:
    return {s.subset: (s.n, round(s.value, 3)) for s in registry.scores() if s.run == run.header.id}


def test_a_search_splits_the_runs_before_it_and_after_it_whatever_the_dtype(tiny: Checkpoint, tmp_path: Path) -> None:
    early, late = finished(tmp_path, tiny, 5), finished(tmp_path, tiny, 8, "bfloat16")
    with open_registry() as registry:
        publish(registry, early)
        assert by_subset(registry, early) == {"all": (10, 0.5)}
        registry.add_search(search(tiny, {OWN: 5}, SAMPLES[:4], unsearchable=SAMPLES[9:]))
        split_runs(registry, tiny.digest, "humaneval")
        published = publish(registry, late)
        assert [score.subset for score in published] == ["all", "clean", "overlapping"]
        assert by_subset(registry, early) == {"all": (10, 0.5), "clean": (5, 0.2), "overlapping": (4, 1.0)}
        assert by_subset(registry, late) == {"all": (10, 0.8), "clean": (5, 0.8), "overlapping": (4, 1.0)}
        splits = registry.splits()
        assert {key: (s.overlapping, s.unsearchable, s.unsearched) for key, s in splits.items()} == {
            run.header.id: (4, 1, "") for run in (early, late)
        }
        line = split_line(splits[early.header.id], published[0], registry.scores())
        assert line.startswith("4 of 10 in training data, 1 could not be searched for; without them 80.0 [")
        assert line.endswith("n=5")
        again = publish(registry, early)  # publishing again changes nothing
        assert len(again) == 3


def test_searches_unite(tiny: Checkpoint, tmp_path: Path) -> None:
    run = finished(tmp_path, tiny, 5)
    with open_registry() as registry:
        publish(registry, run)
        registry.add_search(search(tiny, {OWN: 5}, SAMPLES[:2], unsearchable=SAMPLES[8:]))
        other = (SearchedBy(method="ngram", threshold=13),)
        registry.add_search(
            search(tiny, {OWN: 5}, SAMPLES[1:4], unsearchable=SAMPLES[9:], methods=other, created="2026-02-01")
        )
        registry.add_search(
            search(tiny, {OWN: 5}, SAMPLES[1:4], unsearchable=SAMPLES[9:], methods=other, created="2026-02-01")
        )
        assert len(registry.searches("tiny")) == 2  # the same search twice is one
        split_runs(registry, tiny.digest, "humaneval")
        assert by_subset(registry, run) == {"all": (10, 0.5), "clean": (5, 0.2), "overlapping": (4, 1.0)}
        assert registry.splits()[run.header.id].unsearchable == 1  # n-grams searched for the other one
        registry.remove_search(registry.searches("tiny")[1].id[:12])
        assert by_subset(registry, run) == {"all": (10, 0.5)}  # nothing stale stays
        split_runs(registry, tiny.digest, "humaneval")
        assert by_subset(registry, run)["overlapping"] == (2, 1.0)
        with pytest.raises(ZooError, match='no search "ffff"'):
            registry.remove_search("ffff")


def test_an_empty_search_reads_differently_from_none(tiny: Checkpoint, tmp_path: Path) -> None:
    run = finished(tmp_path, tiny, 5)
    with open_registry() as registry:
        (whole,) = publish(registry, run)
        assert split_line(None, whole, [whole]) == "not searched for in training data"
        registry.add_search(search(tiny, {OWN: 5}))
        renew(registry)
        line = split_line(registry.splits()[run.header.id], whole, registry.scores())
    assert line == "0 of 10 in training data, searched in full"


@pytest.mark.parametrize(
    ("sets", "fields", "reason"),
    [
        ({OTHER: 5}, {}, "own (aaaaaaaaaaaa) was not searched"),
        ({OWN: 4}, {}, "only 4 of the 5 documents of own were searched"),
        ({OWN: None}, {}, "the search of own does not say how many documents it read"),
        ({OWN: 5}, {"samples": SAMPLES[:9]}, "1 of its samples were not searched for"),
        ({"f" * 64: 5}, {}, "own (aaaaaaaaaaaa) was not searched"),
    ],
)
def test_a_search_that_is_not_of_everything_makes_nothing_clean(
    tiny: Checkpoint, tmp_path: Path, sets: dict[str, int | None], fields: dict[str, Any], reason: str
) -> None:
    run = finished(tmp_path, tiny, 5)
    with open_registry() as registry:
        publish(registry, run)
        registry.add_search(search(tiny, sets, SAMPLES[:4], **fields))
        split_runs(registry, tiny.digest, "humaneval")
        assert by_subset(registry, run) == {"all": (10, 0.5), "overlapping": (4, 1.0)}
        split = registry.splits()[run.header.id]
        assert (split.overlapping, split.unsearched) == (4, reason)
        assert registry.find("humaneval.clean.value >= 0") == []
        assert registry.find("humaneval.overlapping.value > 0.9") == [tiny]


def test_an_older_version_of_a_dataset_is_another_dataset(tiny: Checkpoint) -> None:
    older = search(tiny, {OTHER: 5})
    older = msgspec.structs.replace(older, datasets=(SearchedSet(digest=OTHER, name="own", documents=5),))
    with open_registry() as registry:
        assert (
            "own (aaaaaaaaaaaa) was not searched, only another version of it"
            in coverage(registry, tiny.digest, [older]).unsearched
        )


def test_the_whole_lineage_must_be_searched(tiny_phi: Path, tiny: Checkpoint, tmp_path: Path) -> None:
    with open_registry() as registry:
        tuned = child(registry, tiny, BASE)
        both = search(tuned, {OWN: 5, BASE: 5})
        assert coverage(registry, tuned.digest, [both]) == Coverage(sets={BASE: 5, OWN: 5})
        only = coverage(registry, tuned.digest, [search(tuned, {BASE: 5})])
        assert only.unsearched == "own (aaaaaaaaaaaa) was not searched"
        split, _ = make_split("r", SAMPLES, [search(tuned, {BASE: 5})], only)
        assert split.unsearched == only.unsearched
        apart = [search(tuned, {BASE: 5}), search(tuned, {OWN: 5}, SAMPLES[:1])]
        assert coverage(registry, tuned.digest, apart).unsearched == ""
        assert sides(SAMPLES, apart, coverage(registry, tuned.digest, apart)).clean == set(SAMPLES[1:])


def test_a_parent_without_data_is_a_gap(tiny_phi: Path, tmp_path: Path) -> None:
    with open_registry() as registry:
        data(registry)
        base = registry.add(tiny_phi, "base")
        tuned = child(registry, base, OWN)
        full = coverage(registry, tuned.digest, [search(tuned, {OWN: 5})])
        assert full.unsearched == "no training data is recorded for base:1"
        run = finished(tmp_path, tuned, 5)
        publish(registry, run)
        registry.add_search(search(tuned, {OWN: 5}, SAMPLES[:4]))
        renew(registry)
        assert "clean" not in by_subset(registry, run)
        converted = msgspec.structs.replace(
            tuned, name="gguf", digest="f" * 64, datasets=(), parents=(Parent(digest=tuned.digest, relation="convert"),)
        )
        registry.enter(converted)  # a conversion adds no data, a fine-tune of unknown data does
        assert "gguf" not in coverage(registry, "f" * 64, [search(converted, {OWN: 5})]).unsearched
        lost = msgspec.structs.replace(
            tuned, name="lost", digest="9" * 64, parents=(Parent(digest="8" * 64, relation="finetune"),)
        )
        registry.enter(lost)
        gap = coverage(registry, lost.digest, [search(lost, {OWN: 5})]).unsearched
        assert gap == "888888888888, from which lost:1 was made, is not in this zoo"


def test_packed_tokens_are_covered_by_their_documents(tiny_phi: Path) -> None:
    with open_registry() as registry:
        data(registry)
        registry.add_dataset(Dataset(name="bpe", digest="1" * 64, kind="tokenizer", documents=9, tokens=0))
        registry.add_dataset(
            Dataset(
                name="packed", digest="2" * 64, kind="tokens", documents=10, tokens=9, parents=(OWN, BASE, "1" * 64)
            )
        )
        packed = registry.add(tiny_phi, "packed", About(datasets=trained_on("2" * 64)))
        assert coverage(registry, packed.digest, [search(packed, {OWN: 5, BASE: 5})]).unsearched == ""
        assert "base-text" in coverage(registry, packed.digest, [search(packed, {OWN: 5})]).unsearched


def test_samples_are_judged_by_their_ids(tiny: Checkpoint, tmp_path: Path) -> None:
    """A search of the whole task serves a part of it; a search of a part leaves the whole unclean."""
    quick = finished(tmp_path, tiny, 3, samples=SAMPLES[2:8], name="phizoo-quick2")
    whole = finished(tmp_path, tiny, 5)
    with open_registry() as registry:
        publish(registry, quick)
        publish(registry, whole)
        registry.add_search(search(tiny, {OWN: 5}, SAMPLES[2:4], samples=SAMPLES[2:8]))
        renew(registry)
        assert by_subset(registry, quick) == {"all": (6, 0.5), "clean": (4, 0.25), "overlapping": (2, 1.0)}
        assert by_subset(registry, whole) == {"all": (10, 0.5), "overlapping": (2, 1.0)}
        registry.add_search(search(tiny, {OWN: 5}, SAMPLES[:4]))
        renew(registry)
        assert by_subset(registry, quick)["clean"] == (4, 0.25)
        assert by_subset(registry, whole)["clean"] == (6, 0.167)


def test_the_published_counts(tiny: Checkpoint, tmp_path: Path) -> None:
    """docs/phi.md, Contamination: phi-1 at tau 0.95, 58 of 71 similar and 25 of 93 others, 83 of 164."""
    samples = tuple(f"humaneval/{number}" for number in range(164))
    run = finished(tmp_path, tiny, 83, samples=samples)
    lines = [msgspec.structs.replace(line, score=float(i < 58 or 71 <= i < 96), metrics={})
             for i, line in enumerate(run.results)]  # fmt: skip
    run.path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    run = msgspec.structs.replace(run, results=tuple(lines))
    with open_registry() as registry:
        registry.add_search(search(tiny, {OWN: 5}, samples[:71], samples=samples))
        parts = {score.subset: score for score in publish(registry, run)}
    assert {name: (round(100 * part.value, 1), part.n) for name, part in parts.items()} == {
        "all": (50.6, 164),
        "clean": (26.9, 93),
        "overlapping": (81.7, 71),
    }
    assert all(part.low < part.value < part.high for part in parts.values())


def test_unscored_samples_are_counted_by_part(tiny: Checkpoint, tmp_path: Path) -> None:
    run = finished(tmp_path, tiny, 5)
    lines = [
        msgspec.structs.replace(line, score=None, metrics={}, verdict="unscored") if i in (3, 7) else line
        for i, line in enumerate(run.results)
    ]
    run.path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    run = msgspec.structs.replace(run, results=tuple(lines))
    with open_registry() as registry:
        registry.add_search(search(tiny, {OWN: 5}, SAMPLES[:4]))
        parts = {score.subset: score for score in publish(registry, run, max_unscored=20)}
        assert {name: part.unscored for name, part in parts.items()} == {"all": 2, "clean": 1, "overlapping": 1}
        assert registry.splits()[run.header.id].overlapping == 4


def test_a_search_travels_and_holds_for_the_runs_there(tiny: Checkpoint, tmp_path: Path, tiny_phi: Path) -> None:
    run, remote = finished(tmp_path, tiny, 5), str(tmp_path / "remote")
    theirs = f"sqlite:///{tmp_path / 'theirs' / 'zoo.db'}", str(tmp_path / "theirs" / "store")
    with open_registry() as registry:
        registry.add_search(search(tiny, {OWN: 5}, SAMPLES[:4]))
        publish(registry, run)
        kept = registry.searches()
        push(registry, "tiny", remote)
    with open_registry(*theirs) as registry:
        registry.add_dataset(Dataset(name="own", digest=OWN, kind="documents", documents=5, tokens=9))
        registry.add(tiny_phi, "mine", About(datasets=trained_on(OWN)))
        here = finished(tmp_path, tiny, 7, "bfloat16")
        publish(registry, here)
        pull(registry, "tiny", remote)
        pull(registry, "tiny", remote)
        assert registry.searches() == kept
        # the page splits the run of its cell at once, in a zoo that it may not write too
        scores, splits = current_scores(registry)
        (stands,) = {score.run for score in scores}  # the newer one
        assert {score.subset: score.n for score in scores} == {"all": 10, "clean": 6, "overlapping": 4}
        assert splits[stands].unsearched == ""
        waiting = find_splits(registry, registry.scores())
        assert "eval runs --renew" in split_line(waiting[here.header.id], registry.scores()[0], ())
        assert renew(registry) == Renewed(splits=2)
        assert renew(registry) == Renewed()
        assert by_subset(registry, here)["clean"] == (6, 0.5)
        assert by_subset(registry, run)["clean"] == (6, 0.167)
        assert current_scores(registry)[1] == registry.splits() == registry.splits(run.header.checkpoint, "humaneval")
        assert registry.splits(task="piqa") == registry.splits("0" * 64) == {}
        assert sorted(score.subset for score in current_scores(registry)[0]) == ["all", "clean", "overlapping"]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"flagged": ["humaneval/0", "humaneval/0"]}, "flagged names a sample twice"),
        ({"flagged": ["humaneval/77"]}, "'humaneval/77' was not among the samples"),
        ({"unsearchable": ["humaneval/77"]}, "'humaneval/77' was not among the samples"),
        ({"samples": ["a\u001b[31m"], "flagged": []}, "is not printable"),
        ({"datasets": [{"digest": "xyz"}]}, "'xyz' is no digest"),
        ({"datasets": [{"digest": OWN, "documents": -1}]}, "-1 documents"),
        ({"methods": []}, "no method"),
        ({"task": ""}, "names no task"),
        ({"checkpoint": "7" * 64}, "has a search of 777777777777"),
    ],
)
def test_a_search_is_checked_at_the_door(tiny: Checkpoint, tmp_path: Path, fields: dict[str, Any], fault: str) -> None:
    remote = tmp_path / "remote"
    with open_registry() as registry:
        registry.add_search(search(tiny, {OWN: 5}, SAMPLES[:1]))
        push(registry, "tiny", str(remote))
    (path,) = remote.glob("entries/*/*.json")
    entry = json.loads(path.read_text())
    entry["searches"][0] |= fields
    path.write_text(json.dumps(entry))
    theirs = f"sqlite:///{tmp_path / 'theirs' / 'zoo.db'}", str(tmp_path / "theirs" / "store")
    with open_registry(*theirs) as registry:
        with pytest.raises(ZooError, match=fault.replace("(", r"\(").replace("[", r"\[")):
            pull(registry, "tiny", str(remote))
        assert registry.list() == []


def test_an_entry_of_an_older_version_brings_its_flags(tiny: Checkpoint, tmp_path: Path) -> None:
    run, remote = finished(tmp_path, tiny, 5), tmp_path / "remote"
    with open_registry() as registry:
        publish(registry, run)
        push(registry, "tiny", str(remote))
    (path,) = remote.glob("entries/*/*.json")
    entry = json.loads(path.read_text())
    del entry["searches"]
    entry["runs"][0]["header"]["overlapping"] = list(SAMPLES[:4])
    whole = entry["runs"][0]["scores"][0]
    entry["runs"][0]["scores"].append(
        whole | {"subset": "clean", "value": 0.99, "low": 0.9, "high": 1.0, "n": 6, "clusters": 6}
    )
    path.write_text(json.dumps(entry))
    theirs = f"sqlite:///{tmp_path / 'theirs' / 'zoo.db'}", str(tmp_path / "theirs" / "store")
    with open_registry(*theirs) as registry:
        pull(registry, "tiny", str(remote))
        renew(registry)
        assert by_subset(registry, run) == {"all": (10, 0.5), "overlapping": (4, 1.0)}
        split = registry.splits()[run.header.id]
        assert split.overlapping == 4
        assert "own (aaaaaaaaaaaa) was not searched" in split.unsearched


def test_scores_go_with_their_checkpoint_and_so_do_its_searches(tiny: Checkpoint, tmp_path: Path) -> None:
    with open_registry() as registry:
        registry.add_search(search(tiny, {OWN: 5}, SAMPLES[:4]))
        publish(registry, finished(tmp_path, tiny, 5))
        registry.remove("tiny", with_scores=True)
        assert (registry.searches(), registry.splits(), list(registry.scores())) == ([], {}, [])


def test_a_run_without_its_lines_is_not_split(tiny: Checkpoint, tmp_path: Path) -> None:
    run = finished(tmp_path, tiny, 5)
    stat = summarise(run.results, "pass@1", "clusters")
    with open_registry() as registry:
        (score,) = publish(registry, run)
        registry.add_scores({"id": "bare", "checkpoint": tiny.digest}, run.protocols[0],
                            [msgspec.structs.replace(score, run="bare", value=stat.value)])  # fmt: skip
        registry.add_search(search(tiny, {OWN: 5}, SAMPLES[:4]))
        renew(registry)
        split = registry.splits()["bare"]
        assert (split.overlapping, split.samples) == (None, 10)
        line = split_line(split, msgspec.structs.replace(score, run="bare"), registry.scores())
        assert line == "searched for in training data, not split: its result lines are not here"


def test_combined_seeds_are_split_with_all_their_runs(tiny: Checkpoint, tmp_path: Path) -> None:
    """And the parts of a combination that a third seed replaced do not stay."""
    asked = msgspec.structs.replace(protocol(), decoding={"temperature": 0.2})
    with open_registry() as registry:
        registry.add_search(search(tiny, {OWN: 5}, SAMPLES[:4]))
        for seed, right in enumerate((5, 7, 9)):
            run = finished(tmp_path, tiny, right)
            header = msgspec.structs.replace(
                run.header, seed=seed, protocol=msgspec.to_builtins(asked), fingerprint=asked.fingerprint
            )
            publish(registry, msgspec.structs.replace(run, header=header, protocols=(asked,)))
        combined = [score for score in registry.scores() if score.seeds > 1]
        kept = [(score.subset, score.seeds, score.n, round(score.value, 3)) for score in combined]
        assert sorted(kept) == [("all", 3, 10, 0.7), ("clean", 3, 6, 0.5), ("overlapping", 3, 4, 1.0)]
        stands = registry.scores(chosen=True)
        assert sorted((score.subset, score.seeds) for score in stands) == [
            ("all", 3), ("clean", 3), ("overlapping", 3),
        ]  # fmt: skip
