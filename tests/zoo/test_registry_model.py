"""The registry against a plain dict, step by step in any order.

add, alias, tag, rename, remove, gc, verify; datasets under several names; scores, which keep their checkpoint.
"""

import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.zoo.conftest import protocol, score
from zoo.errors import ZooError
from zoo.records import About, Dataset
from zoo.registry import open_registry

NAMES = st.sampled_from(["a", "b", "c"])
FOLDERS = 5
MADE: dict[str, Path] = {}


@pytest.fixture(scope="module", autouse=True)
def _folders(tmp_path_factory: pytest.TempPathFactory, made: object) -> None:
    """Folders of weights and an empty zoo to start from (making its schema takes longer than a whole run)."""
    root = tmp_path_factory.mktemp("model")
    for number in range(FOLDERS):
        made.phi(root / str(number), number)  # type: ignore[attr-defined]
    with open_registry(f"sqlite:///{root / 'zoo.db'}", str(root / "store")):
        pass
    MADE["root"] = root


class Zoo(RuleBasedStateMachine):
    """`versions` is what a registry should be: name -> version -> (folder number, tags)."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        shutil.copy(MADE["root"] / "zoo.db", self.home / "zoo.db")
        self.opened = contextlib.ExitStack()
        self.registry = self.opened.enter_context(
            open_registry(f"sqlite:///{self.home / 'zoo.db'}", str(self.home / "store"))
        )
        self.versions: dict[str, dict[int, tuple[int, frozenset[str]]]] = {}
        self.aliases: dict[tuple[str, str], int] = {}
        self.last: dict[str, int] = {}
        self.datasets: dict[str, list[str]] = {}  # name -> digests, the newest last
        self.scored: dict[str, int] = {}  # digest -> runs

    def teardown(self) -> None:
        self.opened.close()
        shutil.rmtree(self.home)

    @rule(name=NAMES, folder=st.integers(0, FOLDERS - 1), tag=st.sampled_from(["", "x"]))
    def add(self, name: str, folder: int, tag: str) -> None:
        found = self.registry.add(MADE["root"] / str(folder), name, About(tags=(tag,) if tag else ()))
        own = self.versions.setdefault(name, {})
        known = [version for version, (number, _) in own.items() if number == folder]
        if not known:
            self.last[name] = self.last.get(name, 0) + 1
            own[self.last[name]] = (folder, frozenset({tag} if tag else ()))
            known = [self.last[name]]
        assert found.version == known[0]

    @rule(
        name=NAMES,
        version=st.integers(1, 6),
        alias=st.sampled_from(["best", "last"]),
        expect=st.none() | st.integers(0, 3),
    )
    def alias(self, name: str, version: int, alias: str, expect: int | None) -> None:
        held = self.aliases.get((name, alias), 0)
        if version in self.versions.get(name, {}) and expect in (None, held):
            self.registry.alias(name, alias, version, expect)
            self.aliases[name, alias] = version
        else:
            with pytest.raises(ZooError):
                self.registry.alias(name, alias, version, expect)

    @rule(name=NAMES, alias=st.sampled_from(["best", "last"]))
    def unalias(self, name: str, alias: str) -> None:
        if self.aliases.pop((name, alias), None):
            self.registry.unalias(name, alias)
        else:
            with pytest.raises(ZooError):
                self.registry.unalias(name, alias)

    @rule(name=NAMES, version=st.integers(1, 6), tag=st.sampled_from(["x", "y"]), take=st.booleans())
    def tag(self, name: str, version: int, tag: str, take: bool) -> None:
        if version not in self.versions.get(name, {}):
            with pytest.raises(ZooError):
                self.registry.tag(f"{name}:{version}", [tag])
            return
        self.registry.tag(f"{name}:{version}", [] if take else [tag], [tag] if take else [])
        folder, tags = self.versions[name][version]
        self.versions[name][version] = (folder, tags - {tag} if take else tags | {tag})

    @rule(name=NAMES, version=st.integers(1, 6))
    def remove(self, name: str, version: int) -> None:
        aliased = version in {at for (of, _), at in self.aliases.items() if of == name}
        held = version in self.versions.get(name, {})
        digest = self.registry.get(f"{name}:{version}").digest if held else ""
        last = [one.digest for one in self.registry.list(all_versions=True)].count(digest) == 1
        if held and not aliased and not (last and self.scored.get(digest)):
            self.registry.remove(f"{name}:{version}")
            del self.versions[name][version]
        else:
            with pytest.raises(ZooError):
                self.registry.remove(f"{name}:{version}")

    @rule(old=NAMES, new=NAMES)
    def rename(self, old: str, new: str) -> None:
        if self.versions.get(old) and new not in self.last:
            self.registry.rename(old, new)
            self.versions[new] = self.versions.pop(old)
            self.last[new] = self.last.pop(old)
            self.aliases = {(new if of == old else of, alias): at for (of, alias), at in self.aliases.items()}
        else:
            with pytest.raises(ZooError):
                self.registry.rename(old, new)

    @rule(name=NAMES, digit=st.sampled_from("de"), newest=st.booleans())
    def add_dataset(self, name: str, digit: str, newest: bool) -> None:
        told = Dataset(name=name, digest=digit * 64, kind="tokens", documents=1, tokens=1)
        assert self.registry.add_dataset(told, newest).digest == told.digest
        own = self.datasets.setdefault(name, [])
        if told.digest in own and newest:
            own.remove(told.digest)
        if told.digest not in own:
            own.append(told.digest)

    @rule(name=NAMES, number=st.integers(0, 9))
    def score(self, name: str, number: int) -> None:
        if not self.versions.get(name):
            return
        digest = self.registry.get(name).digest
        run = f"run-{digest[:8]}-{number}"
        known = any(header["id"] == run for header in self.registry.runs())
        self.registry.add_scores({"id": run, "checkpoint": digest}, protocol(), [score(digest, run)])
        self.scored[digest] = self.scored.get(digest, 0) + (not known)

    @rule()
    def collect(self) -> None:
        self.registry.gc(most=1.0, grace=0)
        wanted = {file.sha256 for one in self.registry.list(all_versions=True) for file in one.files}
        assert {sha256 for sha256, _ in self.registry.store.objects()} == wanted

    @invariant()
    def is_what_the_dict_says(self) -> None:
        held = {(one.name, one.version): frozenset(one.tags) for one in self.registry.list(all_versions=True)}
        assert held == {
            (name, version): tags for name, own in self.versions.items() for version, (_, tags) in own.items()
        }
        for (name, alias), version in self.aliases.items():
            assert self.registry.get(f"{name}@{alias}").version == version
        for name, own in self.versions.items():
            if own:
                assert self.registry.get(name).version == max(own)
        tagged = {(one.name, one.version) for one in self.registry.find(tag="x")}
        assert tagged == {at for at, tags in held.items() if "x" in tags}

    @invariant()
    def knows_its_datasets_and_scores(self) -> None:
        held: dict[str, list[str]] = {}
        for one in self.registry.datasets():
            held.setdefault(one.name, []).append(one.digest)
        assert held == {name: own for name, own in self.datasets.items() if own}
        for name, own in self.datasets.items():
            assert self.registry.dataset(name).digest == own[-1]
        for digest, runs in self.scored.items():
            assert len(self.registry.scores(digest)) == runs

    @invariant()
    def is_whole(self) -> None:
        assert self.registry.verify() == []


TestZoo = Zoo.TestCase
TestZoo.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
