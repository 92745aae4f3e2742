"""Drops documents that hold evaluation problems: shared word n-grams, alike syntax trees, near embeddings.

Every drop names the problem, the method, how alike, and the matched span; every problem gets a verdict of
its own, similar or not, by method. Source: phi-1 (arXiv 2306.11644), section 5; 13-grams of the prompt as
there, 10-grams of solution and tests as GPT-3's and the corpus rules have them. An equal method and
threshold on the other side of a leaderboard is a flags file of `evals.contamination.flags`, written here too.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from evals import encoders
from evals.contamination import syntax_trees as tree_text
from evals.encoders import Encoder
from training.data import contaminated
from training.data.build import Built, Counts, Made, find, folder_of, make, write_result
from training.data.document import Document, document_files, dropped, read_file
from training.data.ngram_index import CODE_NGRAM, PROMPT_NGRAM, NgramIndex
from training.data.problems import Problem, problems, solutions
from training.data.shards import each_shard
from zoo.digest import digest
from zoo.errors import ZooError
from zoo.records import Dataset, Record

VERSION = 4
RATE = 0.95  # of a program's trees: the strictest preset of the paper drops least that is innocent
FLOOR = min(tree_text.PRESETS)  # trees are searched down to here, so that the table of all presets is told
# L2 distance within which 1% of 2,000 functions of packages have a HumanEval problem: `phizoo data leaks` measured it
DISTANCES = {encoders.MINILM: 0.92}
DISTANCE = DISTANCES[encoders.MINILM]

Method = Literal["ngram", "tree", "embedding"]
METHODS: tuple[Method, ...] = ("ngram", "tree", "embedding")


class Match(Record, frozen=True):
    """Where a document holds a problem: method, how alike, and the characters of the document.

    value  n of the n-gram, match rate of the trees, or distance of the vectors
    """

    problem: str
    method: Method
    value: float
    start: int
    end: int
    text: str


class Search(Record, frozen=True):
    """What is looked for and how: evaluation sets, methods, thresholds, the model of the vectors."""

    tasks: tuple[str, ...]
    methods: tuple[Method, ...]
    rate: float = RATE
    distance: float = DISTANCE
    encoder: Encoder | None = None

    def holds(self, match: Match) -> bool:
        """Whether a match is close enough to drop its document."""
        if match.method == "ngram":
            return True
        return match.value <= self.distance if match.method == "embedding" else match.value >= self.rate - 1e-9


class Job(Record, frozen=True):
    """One file of documents to look through."""

    documents: str
    search: Search


class Found(Record, frozen=True):
    """The matches of a file's documents, by place in the file; trees down to FLOOR."""

    places: dict[int, list[Match]]


class Index:
    """All problems in the forms in which they are looked for."""

    def __init__(self, chosen: Sequence[Problem], encoder: Encoder | None = None) -> None:
        self.problems = list(chosen)
        self.ngrams = NgramIndex(chosen)
        every = [(one.id, function.symbols) for one in chosen for function in solutions(one)]
        self.trees = [(name, text) for name, text in every if len(text) >= tree_text.SHORTEST]
        self.encoder, self.vectors = encoder, None
        if encoder is not None:
            self.vectors = encoders.encoded([one.worked for one in chosen], encoder)

    def matches(self, texts: Sequence[str], search: Search) -> list[list[Match]]:
        """What each text holds, the closest match of each problem and method, in the order of the problems' names."""
        found: list[dict[tuple[str, str], Match]] = [{} for _ in texts]
        if "ngram" in search.methods:
            for place, text in enumerate(texts):
                for name, width, start, end in self.ngrams.matches(text):
                    _closest(found[place], _match(name, "ngram", float(width), start, end, text))
        if "tree" in search.methods:
            self._by_tree(texts, min(search.rate, FLOOR), found)
        if self.vectors is not None and self.encoder is not None and "embedding" in search.methods:
            self._by_vector(texts, search.distance, found)
        return [[one[key] for key in sorted(one)] for one in found]

    def _by_tree(self, texts: Sequence[str], rate: float, found: list[dict[tuple[str, str], Match]]) -> None:
        here = [(place, function) for place, text in enumerate(texts) for function in tree_text.functions(text)]
        here = [(place, function) for place, function in here if len(function.symbols) >= tree_text.SHORTEST]
        unique = {symbols: number for number, symbols in enumerate(dict.fromkeys(f.symbols for _, f in here))}
        by_tree: dict[int, list[tuple[str, float]]] = {}
        for pair in tree_text.close_pairs([text for _, text in self.trees], list(unique), rate):
            by_tree.setdefault(pair.second, []).append((self.trees[pair.first][0], pair.rate))
        for place, one in here:
            for name, value in by_tree.get(unique[one.symbols], ()):
                _closest(found[place], _match(name, "tree", round(value, 4), one.start, one.end, texts[place]))

    def _by_vector(self, texts: Sequence[str], most: float, found: list[dict[tuple[str, str], Match]]) -> None:
        import numpy as np
        from scipy.spatial.distance import cdist

        assert self.encoder is not None
        apart = cdist(encoders.encoded(texts, self.encoder), self.vectors) if texts else np.zeros((0, 1))
        for place, number in np.argwhere(apart <= most).tolist():
            name, text = self.problems[number].id, texts[place]
            value = round(float(apart[place, number]), 4)
            _closest(found[place], _match(name, "embedding", value, 0, len(text), text))


def _match(name: str, method: Method, value: float, start: int, end: int, text: str) -> Match:
    return Match(problem=name, method=method, value=value, start=start, end=end, text=text[start:end][:400])


def _closest(found: dict[tuple[str, str], Match], match: Match) -> None:
    key = (match.problem, match.method)
    other = found.get(key)
    sign = -1 if match.method == "embedding" else 1
    if other is None or sign * match.value > sign * other.value:
        found[key] = match


@lru_cache(maxsize=4)
def index(search: Search) -> Index:
    """The index of a search, built once a process."""
    return Index([one for task in search.tasks for one in problems(task)], search.encoder)


def search_file(job: Job) -> Found:
    """What each document of a file holds."""
    known = index(job.search)
    matches = known.matches([one.text for one in read_file(Path(job.documents))], job.search)
    return Found(places={place: found for place, found in enumerate(matches) if found})


def decontaminate_dataset(
    source: str,
    name: str,
    tasks: Sequence[str],
    methods: Sequence[str] = ("ngram", "tree"),
    rate: float = RATE,
    distance: float | None = None,
    embedding: str = encoders.MINILM,
) -> Made:
    """The documents that hold no problem of these evaluation sets.

    methods   of `ngram`, `tree`, `embedding`
    rate      least match rate of two syntax trees that counts; the paper's presets are 0.95, 0.90, 0.85, 0.80
    distance  most L2 distance of two vectors that counts; None takes what is calibrated for the embedding
    """
    given = find(source, ("documents",))
    if strange := sorted(set(methods) - set(METHODS)):
        raise ZooError(f'no method "{strange[0]}"; the methods are {", ".join(METHODS)}')
    chosen = tuple(dict.fromkeys(task.strip() for task in tasks if task.strip()))
    encoder = encoders.find_encoder(embedding) if "embedding" in methods else None
    if encoder is not None and distance is None and embedding not in DISTANCES:
        raise ZooError(
            f"no distance is calibrated for {embedding}: give --distance; "
            f"phizoo data leaks --embedding {embedding} tells which"
        )
    search = Search(
        tasks=chosen, methods=tuple(one for one in METHODS if one in methods), rate=rate,
        distance=DISTANCES.get(embedding, DISTANCE) if distance is None else distance, encoder=encoder,
    )  # fmt: skip
    content = digest([[one.id, one.prompt, one.code] for task in chosen for one in problems(task)])
    recipe: dict[str, Any] = {
        "stage": "decontaminate", "version": VERSION, "source": given.digest, "against": list(chosen),
        "problems": content, "methods": list(search.methods), "prompt_ngram": PROMPT_NGRAM, "code_ngram": CODE_NGRAM,
        "tree": tree_text.SERIALISATION, "rate": rate, "shortest_tree": tree_text.SHORTEST,
    }  # fmt: skip
    if encoder is not None:
        recipe |= {"embedding": encoder.name, "embedding_digest": encoder.digest, "distance": search.distance}
    return make(name, recipe, None, lambda work: _build(work, given, search))


def _build(work: Path, given: Dataset, search: Search) -> Built:
    jobs = [Job(documents=str(path), search=search) for path in document_files(folder_of(given))]
    every = [one for task in search.tasks for one in problems(task)]
    counts, verdicts = Counts("decontaminate"), contaminated.Verdicts(every, search)

    def outcomes() -> Iterator[Document]:
        for job, found in zip(jobs, each_shard(work, "search", jobs, search_file, Found), strict=True):
            for place, one in enumerate(read_file(Path(job.documents))):
                near = found.places.get(place, [])
                verdicts.add(one, near)
                matches = [match for match in near if search.holds(match)]
                if not matches:
                    counts.keep()
                    yield one
                    continue
                reason = f"holds {matches[0].problem.split('/')[0]} ({matches[0].method})"
                counts.drop(reason)
                told = [{"problem": m.problem, "method": m.method, "value": m.value, "start": m.start, "end": m.end,
                         "text": m.text} for m in matches]  # fmt: skip
                yield dropped(one, "decontaminate", reason, matches=told)

    number, tokens = write_result(work / "out", outcomes())
    table = verdicts.write(work / "out", given)
    return Built(
        kind="documents", documents=number, tokens=tokens, stages=(counts.stage(),), parents=(given.digest,),
        licence=given.licence, recipe={"similar": table.similar, "of": len(every)},
    )  # fmt: skip
