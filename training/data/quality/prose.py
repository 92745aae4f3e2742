"""Labels the educational value of prose from 0 to 5, and measures a text for the classifier of prose.

The question is phi-1's (arXiv 2306.11644, section 2.1) put to text: would a student learn a subject from it? The scale
is additive, as FineWeb-Edu's (arXiv 2406.17557), in our own words: prose, reasons, general statements, connected
sentences, definitions or examples. Each point is a rule about words that a person can check. It is a heuristic for
English, and the records name it as the annotator. Advertising, legal text, lists, markup and release notes lose points.
"""

import re
from collections.abc import Sequence
from typing import Any

from training.data.quality.rubric import RubricLabel
from training.tables import read_table

VERSION = 1
EDUCATIONAL = 3  # points from which a text counts as educational, as FineWeb-Edu keeps them
CHARACTERS = 4_000  # of a text; the beginning stands for the rest

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
SENTENCE = re.compile(r"(?<=[.!?])[\"'”)]*\s+|\n\s*\n")


CUES = {
    name: re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)
    for name, words in read_table("data/quality/prose.toml", dict[str, tuple[str, ...]]).items()
}
RATES = ("reasons", "definitions", "examples", "personal", "sells", "legal", "release", "past")
PRONOUN = re.compile(r"(?:this|that|it|they|these|such|so|if|then|thus|therefore)\b", re.IGNORECASE)
MARKUP = re.compile(
    r"^\s*(?:[-*+#>|=~^.]{1,}|\d+\.|``|@|\$|\w+:$)|https?://|`|::|\[.*\]\(|[{}<>|\\]|\(\)|\w\(\w*[,=)]|__", re.MULTILINE
)
NAMES = (
    "log words", "words a sentence", "letters", "little words", *RATES, "markup", "shouts", "capitals", "digits",
    "different words", "word length", "whole sentences", "linked sentences",
)  # fmt: skip


def measure_prose(text: str) -> list[float]:
    """The measures of a text, one for each of NAMES; rates are a hundred words'.

    >>> measures = dict(zip(NAMES, measure_prose("Ice floats because water expands when it freezes."), strict=True))
    >>> round(measures["reasons"], 1), measures["whole sentences"]
    (12.5, 1.0)
    """
    import math

    text = text[:CHARACTERS]
    words = [word.lower() for word in WORD.findall(text)]
    sentences = [part for part in SENTENCE.split(text.strip()) if part and WORD.search(part)]
    number, characters = max(1, len(words)), max(1, len(text))

    def rate(cues: re.Pattern[str]) -> float:
        return 100 * len(cues.findall(text)) / number

    whole = sum(
        part.rstrip("\"'”) ").endswith((".", "?", "!")) and part.lstrip("\"'“(")[:1].isupper() for part in sentences
    )
    return [
        math.log1p(len(words)), len(words) / max(1, len(sentences)),
        sum(map(str.isalpha, text)) / max(1, characters - sum(map(str.isspace, text))), rate(CUES["little"]),
        *(rate(CUES[name]) for name in RATES), rate(MARKUP),
        100 * (text.count("!") + text.count("...")) / number, sum(map(str.isupper, text)) / characters,
        sum(map(str.isdigit, text)) / characters, len(set(words)) / number, sum(map(len, words)) / number,
        whole / max(1, len(sentences)), _linked(sentences),
    ]  # fmt: skip


def _linked(sentences: Sequence[str]) -> float:
    """The share of neighbouring sentences that share a word of five letters or more, or link by a pronoun."""
    sets = [{word.lower()[:6] for word in WORD.findall(part) if len(word) > 4} for part in sentences]
    links = [
        bool(first & second) or bool(PRONOUN.match(part))
        for first, second, part in zip(sets, sets[1:], sentences[1:], strict=False)
    ]
    return sum(links) / max(1, len(links))


def prose_vectors(texts: Sequence[str]) -> Any:
    """The measures of each text, shape (texts, len(NAMES)), float32."""
    import numpy as np

    return np.array([measure_prose(text) for text in texts], dtype=np.float32).reshape(len(texts), len(NAMES))


def label_prose(text: str) -> RubricLabel:
    """Labels one text.

    >>> label_prose("Ice floats because water expands when it freezes. Most liquids become denser as they cool, but "
    ...     "the molecules of water form an open lattice. This is called an anomaly of water, and as a result a pond "
    ...     "freezes from the top, so that the fish below survive the winter.").points
    5
    >>> label_prose("SALE! Up to 70% OFF all dresses. Order now, free shipping. Click here!").points
    0
    """
    m = dict(zip(NAMES, measure_prose(text), strict=True))
    long_enough = m["log words"] >= 3.4  # 29 words
    gains = [
        ("prose", long_enough and 6 <= m["words a sentence"] <= 40 and m["letters"] >= 0.86
         and m["whole sentences"] >= 0.6 and m["little words"] >= 20),
        ("gives reasons", m["reasons"] >= 0.9),
        ("general", long_enough and m["personal"] <= 2.5 and m["sells"] <= 2.5),
        ("connected", long_enough and m["linked sentences"] >= 0.3),
        ("defines or gives examples", m["definitions"] + m["examples"] >= 3),
    ]  # fmt: skip
    losses = [
        ("sells or asks to click", m["sells"] > 3.5),
        ("legal", m["legal"] > 2),
        ("about a package or its versions", m["release"] > 2.5),
        ("markup, code or a list", m["markup"] > 4 or m["letters"] < 0.8 or m["digits"] > 0.06),
        ("shouts", m["shouts"] > 2.5),
        ("personal", m["personal"] > 6),
        ("the same words again", m["different words"] < 0.35),
    ]
    given, taken = [name for name, holds in gains if holds], [name for name, holds in losses if holds]
    points = max(0, len(given) - 2 * len(taken))
    if "prose" not in given:
        points = min(points, EDUCATIONAL - 1)
    return RubricLabel(points=points, reasons=(*given, *(f"not: {name}" for name in taken)))
