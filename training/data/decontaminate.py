"""Drops documents that hold evaluation problems: shared word n-grams, and functions with the same syntax tree.

Every drop names the problem, the method and the matched span; every problem gets a verdict of its
own, similar or not. Source: phi-1 (arXiv 2306.11644), section 5; 13-grams of the prompt as there,
10-grams of solution and tests as GPT-3's and the corpus rules have them.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from training.data.dedup import ngrams, word_hashes
from training.data.document import Document, document_files, dropped, read_file
from training.data.make import Built, Counts, Made, each_shard, find, folder_of, make, write_result
from training.data.rules import parsed
from training.data.syntax import nameless_tree
from zoo.checkpoint import Dataset, Record
from zoo.digest import digest, write_json

VERSION = 2
PROMPT_NGRAM, CODE_NGRAM = 13, 10
TELLING_WORDS = 5  # an n-gram needs so many different words with letters: "1, 2, 3 ..." is no leak
TREE_CHARACTERS = 200  # trees shorter than this, as of `return x + y`, are everybody's
WORD = re.compile(r"[0-9A-Za-z_\x80-\U0010ffff]+")


class Problem(Record, frozen=True):
    """One evaluation sample as text: what is asked, what is right, how it is tested."""

    id: str
    prompt: str
    code: str


class Match(Record, frozen=True):
    """Where a document holds a problem: the method and the characters of the document."""

    problem: str
    method: str
    start: int
    end: int
    text: str


def problems(task: str) -> list[Problem]:
    """The samples of an evaluation set, by name. Raises ZooError when it is not at hand."""
    from evals.datasets import rows

    found = []
    for number, row in enumerate(rows(task)):
        name = f"{task}/{str(row.get('task_id', number)).rsplit('/', 1)[-1]}"
        if "canonical_solution" in row:
            code = row["prompt"] + row["canonical_solution"] + "\n" + row["test"]
            found.append(Problem(id=name, prompt=row["prompt"], code=code))
        elif "test_list" in row:
            found.append(Problem(id=name, prompt=row["text"], code="\n".join([row["code"], *row["test_list"]])))
        else:
            text = "\n".join(value for value in row.values() if isinstance(value, str))
            found.append(Problem(id=name, prompt=text, code=""))
    return found


def _telling(words: Sequence[str]) -> bool:
    return len({word for word in words if not word[0].isdigit()}) >= TELLING_WORDS


class Index:
    """All n-grams and syntax trees of the problems, to be looked up in one pass over a document."""

    def __init__(self, chosen: Sequence[Problem]) -> None:
        import numpy as np

        self.ngrams: dict[int, dict[int, str]] = {PROMPT_NGRAM: {}, CODE_NGRAM: {}}
        self.trees: dict[str, str] = {}
        for one in chosen:
            self._add_ngrams(one.id, one.prompt, PROMPT_NGRAM)
            self._add_ngrams(one.id, one.code, CODE_NGRAM)
            for _, key in _functions(one.code, None):
                self.trees.setdefault(key, one.id)
        self.shapes = frozenset(_outline(node) for one in chosen for node, _ in _functions(one.code, None))
        self.sorted = {width: np.sort(np.array(list(known), np.uint64)) for width, known in self.ngrams.items()}

    def _add_ngrams(self, name: str, text: str, width: int) -> None:
        words = WORD.findall(text)
        for place, value in enumerate(ngrams(word_hashes(text), width).tolist()):
            if _telling(words[place : place + width]):
                self.ngrams[width].setdefault(value, name)

    def matches(self, text: str) -> list[Match]:
        """Every problem the text holds, one match each (the first found)."""
        import numpy as np

        found: dict[str, Match] = {}
        words = word_hashes(text)
        for width, known in self.ngrams.items():
            hashes = ngrams(words, width)
            every = self.sorted[width]
            places = np.minimum(np.searchsorted(every, hashes), len(every) - 1)
            hits = np.flatnonzero(every[places] == hashes) if len(every) else places[:0]
            for place in hits.tolist():
                name = known[int(hashes[place])]
                if name not in found:
                    found[name] = _span(text, name, f"{width}-gram", place, width)
        for node, key in _functions(text, self.shapes):
            if (name := self.trees.get(key, "")) and name not in found:
                start, end = _offsets(text, node)
                found[name] = Match(
                    problem=name, method="syntax tree", start=start, end=end, text=text[start:end][:400]
                )
        return [found[name] for name in sorted(found)]


def _span(text: str, name: str, method: str, place: int, width: int) -> Match:
    runs = [match.span() for match in WORD.finditer(text)]
    start, end = runs[place][0], runs[place + width - 1][1]
    return Match(problem=name, method=method, start=start, end=end, text=text[start:end][:400])


def _outline(node: ast.FunctionDef) -> tuple[str, ...]:
    """A function's arguments and kinds of statements: what equal trees must share, found without a walk."""
    body = node.body
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        body = body[1:]
    return (str(len(node.args.args)), *(type(one).__name__ for one in body))


def _functions(text: str, shapes: frozenset[tuple[str, ...]] | None) -> Iterator[tuple[ast.FunctionDef, str]]:
    """The functions and methods of a text with their nameless trees; only of these shapes if given."""
    tree = parsed(text) if "def " in text else None
    if tree is None:
        return
    inner = [node for one in tree.body if isinstance(one, ast.ClassDef) for node in one.body]
    for node in [*tree.body, *inner]:
        if not isinstance(node, ast.FunctionDef) or (shapes is not None and _outline(node) not in shapes):
            continue
        if node.name == "check":
            continue  # HumanEval's own test harness
        key = nameless_tree(node)
        if len(key) >= TREE_CHARACTERS:
            yield node, key


def _offsets(text: str, node: ast.FunctionDef) -> tuple[int, int]:
    lines = text.split("\n")
    start = sum(len(line) + 1 for line in lines[: node.lineno - 1])
    return start, min(len(text), sum(len(line) + 1 for line in lines[: node.end_lineno]))


class Job(Record, frozen=True):
    """One file of documents to look through."""

    documents: str
    tasks: tuple[str, ...]


class Found(Record, frozen=True):
    """The matches of a file's documents, by place in the file."""

    places: dict[int, list[Match]]


@lru_cache(maxsize=4)
def index(tasks: tuple[str, ...]) -> Index:
    """The index of several evaluation sets, built once a process."""
    return Index([one for task in tasks for one in problems(task)])


def search_file(job: Job) -> Found:
    """What each document of a file holds."""
    known = index(job.tasks)
    found = {place: known.matches(one.text) for place, one in enumerate(read_file(Path(job.documents)))}
    return Found(places={place: matches for place, matches in found.items() if matches})


def decontaminate_dataset(source: str, name: str, tasks: Sequence[str]) -> Made:
    """The documents that hold no problem of these evaluation sets."""
    given = find(source, ("documents",))
    chosen = tuple(dict.fromkeys(task.strip() for task in tasks if task.strip()))
    content = digest([[one.id, one.prompt, one.code] for task in chosen for one in problems(task)])
    recipe = {
        "stage": "decontaminate", "version": VERSION, "source": given.digest, "against": list(chosen),
        "problems": content, "prompt_ngram": PROMPT_NGRAM, "code_ngram": CODE_NGRAM,
        "tree": "ast.dump without names, docstrings, annotations and decorators; equality",
    }  # fmt: skip
    return make(name, recipe, None, lambda work: _build(work, given, chosen))


def _build(work: Path, given: Dataset, tasks: tuple[str, ...]) -> Built:
    jobs = [Job(documents=str(path), tasks=tasks) for path in document_files(folder_of(given))]
    counts, lost = Counts("decontaminate"), list[Document]()
    similar: dict[str, int] = {one.id: 0 for task in tasks for one in problems(task)}

    def kept() -> Iterator[Document]:
        for job, found in zip(jobs, each_shard(work, "search", jobs, search_file, Found), strict=True):
            for place, one in enumerate(read_file(Path(job.documents))):
                matches = found.places.get(place, [])
                if not matches:
                    counts.keep()
                    yield one
                    continue
                for match in matches:
                    similar[match.problem] += 1
                first = matches[0]
                reason = f"holds {first.problem.split('/')[0]} ({first.method})"
                counts.drop(reason)
                told = [{"problem": m.problem, "method": m.method, "start": m.start, "end": m.end, "text": m.text}
                        for m in matches]  # fmt: skip
                lost.append(dropped(one, "decontaminate", reason, matches=told))

    number, tokens = write_result(work / "out", kept(), lost)
    write_json(work / "out" / "contamination.json", similar)
    return Built(
        kind="documents", documents=number, tokens=tokens, stages=(counts.stage(),), parents=(given.digest,),
        licence=given.licence, recipe={"similar": sum(value > 0 for value in similar.values()), "of": len(similar)},
    )  # fmt: skip
