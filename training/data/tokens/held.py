"""Keeps validation apart from training: by template, and by near duplicates of the validation texts.

About 1% of the documents are for validation. A text of the teachers goes by the templates of its functions (their
syntax trees without names and constants), so that no solution stands on both sides under other names or numbers; any
other text by its content. A training document that shares a template with a validation text, or is nearly one, is left
out.
"""

import ast
import hashlib
import itertools
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from evals.contamination.fold import fold_case
from evals.contamination.syntax_trees import parsed, too_deep
from training.data.dedup import minhash, shingles
from training.data.document import Document, read_file
from training.data.synthesis.nameless import strip_tree_names
from zoo.digest import whole_file
from zoo.records import Record

VALIDATION_EVERY = 100  # one document in a hundred, chosen by content, so that it is the same in every dataset
ALIKE = minhash.THRESHOLD
FENCE = "```"


class ApartJob(Record, frozen=True):
    """The documents of one file, and the file of what the validation texts are made of."""

    documents: str
    held: str


def templates(document: Document) -> frozenset[int]:
    """The templates of a teacher's functions, each 63 bits of a hash; none for other documents.

    >>> from training.data.document import make_document
    >>> one, two = (make_document(text, "x", "p", "MIT", "exercise") for text in
    ...     ("def f(a):\\n    return a + 1\\n", "def g(b):\\n    'Adds.'\\n    return b + 22\\n"))
    >>> templates(one) == templates(two)
    True
    """
    if document.kind not in ("exercise", "textbook"):
        return frozenset()
    tree = parsed(document.text)
    blocks = [document.text] if tree else _code_blocks(document.text)
    functions = [node for block in blocks if (tree := parsed(block)) and not too_deep(tree)
                 for node in tree.body if isinstance(node, ast.FunctionDef)]  # fmt: skip
    return frozenset(_template(function) for function in functions)


def _code_blocks(text: str) -> list[str]:
    """The parts of a passage that begin with `def`, up to the next line that is not indented."""
    blocks, inside = list[list[str]](), False
    for line in text.replace(FENCE, "\n").split("\n"):
        if line.startswith("def "):
            blocks, inside = [*blocks, []], True
        elif line.strip() and not line.startswith((" ", "\t")):
            inside = False
        if inside:
            blocks[-1].append(line)
    return ["\n".join(block) + "\n" for block in blocks]


def _template(function: ast.FunctionDef) -> int:
    for node in ast.walk(function):
        if isinstance(node, ast.Constant) and not isinstance(node.value, str | bool | None):
            node.value = 0
    text = strip_tree_names(ast.Module([function], []))
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 1


def is_held(document: Document, mark: bytes) -> bool:
    """Whether a document is for validation: all its templates are chosen, or without any its content is."""
    keys = templates(document) or {int.from_bytes(mark[:8], "big")}
    return all(key % VALIDATION_EVERY == 0 for key in keys)


def write_held(path: Path, documents: Sequence[Document]) -> None:
    """Writes the templates, signatures and n-grams of the validation texts."""
    import numpy as np

    grams = shingles.grams([fold_case(document.text) for document in documents])
    keys = sorted(key for document in documents for key in templates(document))
    with whole_file(path) as file:
        np.savez(file, keys=np.array(keys, np.int64), signatures=minhash.minhash(grams).astype("<u4"),
                 flat=grams.flat, offsets=grams.offsets)  # fmt: skip


@lru_cache(maxsize=1)
def _read_held(path: str) -> tuple[frozenset[int], Any, list[Any]]:
    import numpy as np

    with np.load(path, allow_pickle=False) as kept:
        flat, bounds = kept["flat"], kept["offsets"]
        sets = [shingles.sort_distinct(flat[a:b]) for a, b in itertools.pairwise(bounds)]
        return frozenset(kept["keys"].tolist()), kept["signatures"], sets


def apart_file(job: ApartJob) -> bytes:
    """Whether each document of a file shares a template with a validation text or is nearly one, as bytes 0 and 1."""
    import numpy as np

    keys, signatures, sets = _read_held(job.held)
    documents = list(read_file(Path(job.documents)))
    grams = shingles.grams([fold_case(document.text) for document in documents])
    own = minhash.minhash(grams).astype("<u4")
    least = ALIKE * minhash.PERMUTATIONS - minhash.ERRORS * (ALIKE * (1 - ALIKE) * minhash.PERMUTATIONS) ** 0.5
    flags = bytearray()
    for place, document in enumerate(documents):
        flag = bool(keys & templates(document))
        part = grams.flat[grams.offsets[place] : grams.offsets[place + 1]]
        if not flag and len(part) and len(signatures):
            mine = shingles.sort_distinct(part)
            alike = np.flatnonzero((signatures == own[place]).sum(axis=1) >= least)
            flag = any(minhash.jaccard(mine, sets[other]) >= ALIKE for other in alike if len(sets[other]))
        flags.append(flag)
    return bytes(flags)
