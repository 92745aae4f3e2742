"""What a search says of the problems: similar or not by method, the paper's table by match rate, flags for scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.contamination import syntax_trees
from training.data.document import Document
from training.data.problems import Problem, solutions
from zoo.digest import write_json
from zoo.records import Dataset, Record

if TYPE_CHECKING:
    from training.data.decontaminate import Match, Search

CLOSEST = 3  # documents named for each problem and method
FILE = "contamination.json"


class Row(Record, frozen=True):
    """One match rate of the table: problems with a document at least as alike, and documents removed by trees."""

    rate: float
    similar: int
    other: int
    removed: int


class Table(Record, frozen=True):
    """A search's result.

    problems   name -> method -> its closest documents (id, value, text), closest first
    rows       the table by match rate of trees, of all documents
    too_short  problems whose solution's tree is too short to tell anything
    """

    problems: dict[str, dict[str, list[dict[str, Any]]]]
    rows: tuple[Row, ...]
    too_short: tuple[str, ...]
    similar: int
    documents: int
    search: dict[str, Any]


class Verdicts:
    """Gathers the closest documents of each problem while the documents go by."""

    def __init__(self, every: Sequence[Problem], search: "Search") -> None:
        self.every, self.search = list(every), search
        self.closest: dict[tuple[str, str], list[tuple[float, str, str]]] = {}
        self.best: dict[str, float] = {}
        self.removed = dict.fromkeys(syntax_trees.PRESETS, 0)
        self.similar: set[str] = set()
        self.documents = 0

    def add(self, one: Document, matches: "Sequence[Match]") -> None:
        """One document's matches."""
        self.documents += 1
        rate = max((match.value for match in matches if match.method == "tree"), default=0.0)
        for preset in syntax_trees.PRESETS:
            self.removed[preset] += rate >= preset - 1e-9
        for match in matches:
            if match.method == "tree":
                self.best[match.problem] = max(self.best.get(match.problem, 0.0), match.value)
            if not self.search.holds(match):
                continue
            self.similar.add(match.problem)
            sign = 1.0 if match.method == "embedding" else -1.0
            held = self.closest.setdefault((match.problem, match.method), [])
            held.append((sign * match.value, one.id, match.text))
            held.sort(key=lambda near: near[:2])
            del held[CLOSEST:]

    def table(self) -> Table:
        """What was gathered."""
        told: dict[str, dict[str, list[dict[str, Any]]]] = {one.id: {} for one in self.every}
        for (name, method), held in sorted(self.closest.items()):
            told[name][method] = [{"document": mark, "value": abs(value), "text": text} for value, mark, text in held]
        coded = [one for one in self.every if one.code]
        rows = tuple(
            Row(rate=rate, similar=(near := sum(value >= rate - 1e-9 for value in self.best.values())),
                other=len(coded) - near, removed=self.removed[rate])
            for rate in syntax_trees.PRESETS
        )  # fmt: skip
        short = tuple(
            one.id for one in coded
            if all(len(function.symbols) < syntax_trees.SHORTEST for function in solutions(one))
        )  # fmt: skip
        search = {
            "methods": list(self.search.methods), "rate": self.search.rate, "distance": self.search.distance,
            "embedding": self.search.encoder.name if self.search.encoder else None,
            "serialisation": syntax_trees.SERIALISATION,
        }  # fmt: skip
        return Table(
            problems=told, rows=rows if "tree" in self.search.methods else (), too_short=short,
            similar=len(self.similar), documents=self.documents, search=search,
        )  # fmt: skip

    def write(self, out: Path, given: Dataset) -> Table:
        """Writes the table, and a flags file for each evaluation set and method."""
        table = self.table()
        write_json(out / FILE, table)
        thresholds = {"ngram": 13.0, "tree": self.search.rate, "embedding": self.search.distance}
        from evals.contamination.flags import Flag, Flags, Match, write
        from evals.contamination.flags import Search as Asked

        names: dict[str, Any] = {"ngram": "ngram", "tree": "ast", "embedding": "embedding"}
        for task in self.search.tasks:
            own = [one for one in self.every if one.task == task]
            for method in self.search.methods:
                asked = Asked(
                    task=task, datasets=(given.digest,), method=names[method], threshold=thresholds[method],
                    checked=len(own),
                )  # fmt: skip
                flagged = tuple(
                    Flag(sample=one.sample or one.id, matches=tuple(
                        Match(document=near["document"], similarity=near["value"], text=near["text"])
                        for near in table.problems[one.id][method]))
                    for one in own if method in table.problems[one.id]
                )  # fmt: skip
                write(out / "flags" / f"{task}-{method}.jsonl", Flags(search=asked, flagged=flagged))
        return table
