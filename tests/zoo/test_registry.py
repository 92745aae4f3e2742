"""The registry's promises, on both databases: names, versions, aliases, datasets, scores."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zoo.errors import ZooError
from zoo.records import About, Dataset, Parent
from zoo.registry import open_registry


def test_the_same_bytes_give_the_same_version_and_others_the_next(
    db: str, tmp_path: Path, made: SimpleNamespace
) -> None:
    with open_registry(db) as registry:
        first = registry.add(made.phi(tmp_path / "a", 1), "one", About(licence="mit"))
        assert registry.add(tmp_path / "a", "one", About(licence="other")) == first
        second = registry.add(made.phi(tmp_path / "b", 2), "one")
        elsewhere = registry.add(tmp_path / "a", "two")
    assert (first.label, second.label, elsewhere.label) == ("one:1", "one:2", "two:1")
    assert first.digest == elsewhere.digest != second.digest
    assert first.parameters == 1059
    assert first.context_tokens == 64
    with open_registry(db, readonly=True) as registry:
        assert [found.label for found in registry.list()] == ["one:2", "two:1"]
        assert [found.label for found in registry.list("one", all_versions=True)] == ["one:1", "one:2"]
        assert registry.get("one:1") == first


def test_every_way_to_name_a_checkpoint(db: str, tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry(db) as registry:
        first = registry.add(made.phi(tmp_path / "a", 1), "one")
        second = registry.add(made.phi(tmp_path / "b", 2), "one")
        registry.alias("one", "best", 1)
        for spec, wanted in {"one": second, "one:1": first, "one@best": first, second.digest[:8]: second}.items():
            assert registry.get(spec) == wanted, spec


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("oen", '(nearest: "one")'),
        ("one:7", "it has 1 to 1"),
        ("one:x", "it has 1 to 1"),
        ("one@bset", '(nearest: "best")'),
        ("none@best", "no checkpoint"),
        ("0123456789", "no checkpoint"),
        ("../etc/passwd", "no checkpoint"),
        ("", "no checkpoint"),
    ],
)
def test_an_unknown_name_is_reported_with_its_nearest(
    tmp_path: Path, made: SimpleNamespace, spec: str, said: str
) -> None:
    with open_registry() as registry:
        registry.add(made.phi(tmp_path / "a"), "one")
        registry.alias("one", "best", 1)
        with pytest.raises(ZooError) as raised:
            registry.get(spec)
    assert said in str(raised.value)
    assert "phizoo models" in str(raised.value)


@pytest.mark.parametrize("name", ["", "A", "a b", "../a", "a/b", "-a", "a" * 97, "a\n", "é"])
def test_a_name_that_could_be_a_path_is_refused(tmp_path: Path, made: SimpleNamespace, name: str) -> None:
    with open_registry() as registry:
        with pytest.raises(ZooError, match="cannot be a name"):
            registry.add(made.phi(tmp_path / "a"), name)
        assert registry.list() == []


def test_an_alias_moves_only_from_where_it_is_expected_and_keeps_its_history(
    db: str, tmp_path: Path, made: SimpleNamespace
) -> None:
    with open_registry(db) as registry:
        for number in range(3):
            registry.add(made.phi(tmp_path / str(number), number), "one")
        registry.alias("one", "best", 1, expect=0)
        with pytest.raises(ZooError, match="is at version 1, expected 2"):
            registry.alias("one", "best", 3, expect=2)
        with pytest.raises(ZooError, match="is at version 1, expected 0"):
            registry.alias("one", "best", 3, expect=0)
        registry.alias("one", "best", 3, expect=1)
        with pytest.raises(ZooError, match="no version 9"):
            registry.alias("one", "best", 9)
        assert registry.aliases("one") == {"best": 3}
        registry.unalias("one", "best")
        assert registry.aliases("one") == {}
        moves = [(move.alias, move.previous, move.version) for move in registry.alias_history("one")]
    assert moves == [("best", 0, 1), ("best", 1, 3), ("best", 3, 0)]


def test_what_is_referenced_is_not_removed_and_a_number_is_not_given_twice(
    db: str, tmp_path: Path, made: SimpleNamespace
) -> None:
    with open_registry(db) as registry:
        base = registry.add(made.phi(tmp_path / "a", 1), "one")
        about = About(parents=(Parent(digest=base.digest, relation="finetune"),))
        child = registry.add(made.phi(tmp_path / "b", 2), "one", about)
        registry.alias("one", "best", 2)
        registry.add_scores(
            {"id": "run", "checkpoint": child.digest}, made.protocol(), [made.score(child.digest, "run")]
        )
        with pytest.raises(ZooError, match="parent of one:2"):
            registry.remove("one:1")
        with pytest.raises(ZooError, match="one@best"):
            registry.remove("one:2")
        registry.unalias("one", "best")
        with pytest.raises(ZooError, match="1 scores"):
            registry.remove("one:2")
        registry.remove("one:2", with_scores=True)
        assert registry.scores() == []
        assert registry.add(tmp_path / "b", "one").version == 3


def test_one_of_two_names_for_the_same_bytes_may_go(tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry() as registry:
        registry.add(made.phi(tmp_path / "a", 1), "one")
        kept = registry.add(tmp_path / "a", "two")
        registry.add_scores({"id": "run", "checkpoint": kept.digest}, made.protocol(), [made.score(kept.digest, "run")])
        registry.remove("one:1")
        registry.gc(most=1.0, grace=0)
        assert registry.verify() == []
        assert len(registry.scores("two")) == 1


def test_renaming_moves_versions_aliases_and_history(db: str, tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry(db) as registry:
        first = registry.add(made.phi(tmp_path / "a", 1), "one")
        registry.add(made.phi(tmp_path / "b", 2), "other")
        registry.alias("one", "best", 1)
        with pytest.raises(ZooError, match="other is or was a name"):
            registry.rename("one", "other")
        registry.rename("one", "new")
        assert registry.get("new@best").digest == first.digest
        assert registry.get(first.digest[:10]).label == "new:1"
        assert [move.version for move in registry.alias_history("new")] == [1]
        with pytest.raises(ZooError, match="no checkpoint"):
            registry.get("one")
        assert registry.add(made.phi(tmp_path / "c", 3), "new").version == 2
        assert registry.add(made.phi(tmp_path / "d", 4), "new").version == 3


def test_tags_and_notes_change_and_nothing_else_does(db: str, tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry(db) as registry:
        before = registry.add(made.phi(tmp_path / "a", 1), "one", About(tags=("b", "a", "a")))
        assert before.tags == ("a", "b")
        registry.tag("one", add=["c"], remove=["a"])
        after = registry.note("one", "seen")
        assert (after.tags, after.notes, after.digest, after.created) == (
            ("b", "c"),
            "seen",
            before.digest,
            before.created,
        )
        assert [found.label for found in registry.find(tag="c")] == ["one:1"]
        assert registry.find(tag="a") == []


def test_datasets_are_found_by_name_and_digest(db: str) -> None:
    def dataset(name: str, digit: str, **told: Any) -> Dataset:
        return Dataset(name=name, digest=digit * 64, kind="documents", documents=3, tokens=4, **told)

    with open_registry(db) as registry:
        first = registry.add_dataset(dataset("code", "a", recipe={"threshold": 3}))
        registry.add_dataset(dataset("code", "b"))
        assert registry.add_dataset(dataset("code", "a")) == first
        assert registry.dataset("code").digest == "b" * 64
        assert registry.dataset("aaaaaaaa").recipe_digest == first.recipe_digest
        assert registry.recipe(str(first.recipe_digest)) == {"threshold": 3}
        assert [found.digest[0] for found in registry.datasets()] == ["a", "b"]
        with pytest.raises(ZooError, match='nearest: "code"'):
            registry.dataset("cod")


def test_a_dataset_may_have_two_names(db: str) -> None:
    def dataset(name: str, digit: str, **told: Any) -> Dataset:
        return Dataset(name=name, digest=digit * 64, kind="documents", documents=3, tokens=4, **told)

    with open_registry(db) as registry:
        first = registry.add_dataset(dataset("code", "a", licence="mit"))
        second = registry.add_dataset(dataset("code-again", "a", recipe={"threshold": 3}))
        assert registry.dataset("code") == first
        assert registry.dataset("code-again") == second
        assert registry.dataset("a" * 12) == first  # a digest is told by its first name
        assert registry.recipe(str(second.recipe_digest)) == {"threshold": 3}
        assert [one.name for one in registry.datasets()] == ["code", "code-again"]
        registry.add_dataset(dataset("code", "b"))
        assert registry.add_dataset(dataset("code", "a"), newest=True) == first
        assert registry.dataset("code") == first
        assert [(one.name, one.digest[0]) for one in registry.datasets()] == [
            ("code-again", "a"),
            ("code", "b"),
            ("code", "a"),
        ]


def test_a_run_kept_again_replaces_itself(db: str, tmp_path: Path, made: SimpleNamespace) -> None:
    (tmp_path / "results.jsonl").write_text("one\n")
    with open_registry(db) as registry:
        found = registry.add(made.phi(tmp_path / "a", 1), "one")
        protocol, header = made.protocol(), {"id": "run-12345678", "checkpoint": found.digest, "seed": 1}
        scores = [made.score(found.digest, "run-12345678", 0.5)]
        for _ in range(2):
            registry.add_scores(header, protocol, scores, tmp_path / "results.jsonl")
        registry.add_scores(header, protocol, [*scores, made.score(found.digest, "run-12345678", 0.4, subset="clean")])
        assert [(score.subset, score.value) for score in registry.scores("one")] == [("all", 0.5), ("clean", 0.4)]
        assert registry.scores(task="mbpp") == []
        assert registry.scores(found.digest, "humaneval") == registry.scores("one")
        assert registry.protocols() == {protocol.fingerprint: protocol}
        assert registry.runs() == [header]
        assert registry.run("run-1234") == header
        assert registry.results("run-1234").read_text() == "one\n"
        with pytest.raises(ZooError, match="no run"):
            registry.run("other")
        with pytest.raises(ZooError, match="no run"):
            registry.run("%")


def test_scores_of_a_checkpoint_that_is_not_here_are_kept(made: SimpleNamespace) -> None:
    with open_registry() as registry:
        registry.add_scores({"id": "run", "checkpoint": "f" * 64}, made.protocol(), [made.score("f" * 64, "run")])
        assert len(registry.scores("f" * 64)) == 1


def test_an_empty_zoo_can_be_read_and_is_not_made_by_reading(tmp_path: Path) -> None:
    with open_registry(readonly=True) as registry:
        assert registry.list() == []
        assert registry.runs() == []
        with pytest.raises(ZooError, match="is read-only"):
            registry.rename("a", "b")
    assert not (tmp_path / "home").exists()
