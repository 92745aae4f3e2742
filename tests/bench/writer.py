"""One of many writers of `faults_registry.py`, and the count of what they all did.

    python tests/bench/writer.py DATABASE HOME NUMBER OPERATIONS

Every operation that the registry acknowledged is written to HOME/NUMBER.jsonl first thing after it;
`check` holds the zoo against these lists.
"""

import itertools
import json
import random
import sys
from collections import Counter
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent / "zoo"))

import conftest as make

from zoo.errors import ZooError
from zoo.records import Dataset
from zoo.registry import Registry, open_registry

# kind -> how many of a hundred operations are of it
MIX = {"enter": 25, "add": 6, "scores": 15, "alias": 14, "expect": 8, "dataset": 10, "tag": 10, "remove": 6, "rename": 3, "gc": 3}  # fmt: skip


def write(db: str, home: Path, me: int, operations: int) -> None:
    """Does its share of operations in an order of its own."""
    chance = random.Random(me)
    kinds = chance.choices(list(MIX), list(MIX.values()), k=operations)
    with open_registry(db, str(home / "store")) as registry, (home / f"{me}.jsonl").open("w") as done:
        for number, kind in enumerate(kinds):
            facts = one(registry, home, me, number, kind, chance)
            done.write(json.dumps([kind, facts]) + "\n")


def one(registry: Registry, home: Path, me: int, number: int, kind: str, chance: random.Random) -> object:
    """One operation; gives back what to hold the zoo against."""
    base = registry.get("base:1")
    digest = f"{me:02x}{number:062x}"
    if kind == "enter":  # a version of a name that all writers share, or of one's own
        name = chance.choice(["shared", f"own-{me}"])
        found = registry.enter(msgspec.structs.replace(base, name=name, digest=digest))
        return [found.name, found.version]
    if kind == "add":  # real bytes, the same that others add and remove at this moment
        found = registry.add(home / f"x{chance.randrange(2, 6)}", f"bytes-{me}")
        return [found.name, found.version]
    if kind == "scores":
        run = f"run-{me}-{number}"
        registry.add_scores({"id": run, "checkpoint": base.digest}, make.protocol(), [make.score(base.digest, run)])
        return run
    if kind == "alias":
        registry.alias("base", f"alias-{me}", 1 + number % 2)
        return [f"alias-{me}", 1 + number % 2]
    if kind == "expect":  # all move one alias, each only from where it saw it
        held = registry.aliases("base").get("fought", 0)
        try:
            registry.alias("base", "fought", 3 - held if held else 1, expect=held)
        except ZooError:
            return False
        return True
    if kind == "dataset":
        registry.add_dataset(Dataset(name=f"data-{number % 7}", digest=digest, kind="tokens", documents=1, tokens=1))
        return [f"data-{number % 7}", digest]
    if kind == "tag":
        registry.tag("base:2", add=[f"tag-{me}-{number}"])
        return f"tag-{me}-{number}"
    if kind == "remove":
        own = registry.list(f"bytes-{me}", all_versions=True)
        return [own[0].name, registry.remove(own[0].label).version] if own else None
    if kind == "rename":
        found = registry.enter(msgspec.structs.replace(base, name=f"old-{me}-{number}", digest=digest))
        registry.rename(found.name, f"new-{me}-{number}")
        return f"new-{me}-{number}"
    registry.gc(most=1.0, grace=0)
    return None


def check(registry: Registry, home: Path, processes: int) -> list[str]:
    """What the zoo lacks of what was acknowledged, or has too much."""
    done: dict[str, list[object]] = {kind: [] for kind in MIX}
    for me in range(processes):
        for line in (home / f"{me}.jsonl").read_text().splitlines():
            kind, facts = json.loads(line)
            done[kind].append(facts)
    found = list(registry.verify())
    versions = {(one.name, one.version) for one in registry.list(all_versions=True)}
    entered = [tuple(facts) for facts in done["enter"]]  # type: ignore[arg-type]
    found += [f"lost: {facts}" for facts in entered if facts not in versions]
    found += [f"given twice: {facts}" for facts, times in Counter(entered).items() if times > 1]
    shared = sorted(version for name, version in versions if name == "shared")
    if shared != list(range(1, len(shared) + 1)):
        found.append("a version number of the shared name is missing or twice")
    removed = {tuple(facts) for facts in done["remove"] if facts}  # type: ignore[arg-type]
    added = {tuple(facts) for facts in done["add"]}  # type: ignore[arg-type]
    if {one for one in versions if one[0].startswith("bytes-")} != added - removed:
        found.append("the added versions are not those that were added and not removed")
    runs, scores = {run["id"] for run in registry.runs()}, {score.run for score in registry.scores()}
    if not runs == scores == set(done["scores"]):
        found.append(f"{len(done['scores'])} runs were kept, {len(runs)} with {len(scores)} scores are there")
    held = {(one.name, one.digest) for one in registry.datasets()}
    if held != {tuple(facts) for facts in done["dataset"]}:  # type: ignore[arg-type]
        found.append("datasets are lost")
    if set(registry.get("base:2").tags) != set(done["tag"]):
        found.append("tags are lost")
    found += [f"not renamed: {name}" for name in done["rename"] if (name, 1) not in versions]
    found += _aliases(registry, done)
    return found


def _aliases(registry: Registry, done: dict[str, list[object]]) -> list[str]:
    last = dict(facts for facts in done["alias"])  # type: ignore[misc]  # each writer has an alias of its own
    held, found = registry.aliases("base"), []
    if {alias: version for alias, version in held.items() if alias != "fought"} != last:
        found.append("an alias is not where its only writer put it last")
    moves = [move for move in registry.alias_history("base") if move.alias == "fought"]
    if len(moves) != sum(map(bool, done["expect"])):
        found.append("compare-and-swap: moves that were acknowledged and moves in the history differ in number")
    if any(after.previous != before.version for before, after in itertools.pairwise(moves)):
        found.append("compare-and-swap: a move started from where the alias was not")
    return found


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
