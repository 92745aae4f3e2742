"""Reads the letter of the choice that a chat answer takes: where it says so, else where it plainly gives one.

The last statement counts. An answer that says it has none, or names several choices at once, gives None. Functions of
text; a change that can move a score raises the version of the tasks that use it.
"""

import re
from collections.abc import Sequence

from evals.scoring.answer import plain_words
from evals.scoring.statements import RETRACTION, abstains, plain, statement_places

# words that follow a letter, and no noun after an article: "A because …"
CONNECTIVES = frozenset(
    ("because", "since", "as", "and", "for", "which", "with", "due", "the", "it", "this", "in", "on", "so", "but", "is",
     "or", "given", "by", "from", "based", "according")
)  # fmt: skip
CHOSEN = r"(?:choose|chose|select|pick|answer(?: with)?|go with|opt for|choice is)"
RIGHT = (
    r"(?:(?:the|a|indeed|only|most|single)\s+)*(?:correct|right|best|answer|true|appropriate|accurate|likely)\b"
    r"(?!\s+(?:that|to say))"
)


def read_letter(text: str, letters: str, choices: Sequence[str] = ()) -> str | None:
    """The letter of the choice that an answer takes, or None if it takes none or several.

    letters  the letters that stand for choices: "ABCD"
    choices  their texts; an answer that is exactly one of them takes it

    >>> read_letter("The answer is (C).", "ABCD"), read_letter("B. Paris", "ABCD"), read_letter("A cat is one.", "ABCD")
    ('C', 'B', None)
    >>> read_letter("It is Paris.", "AB", ["London", "Paris"]), read_letter("Either A or B.", "AB")
    ('B', None)
    """
    body = plain(text).strip()
    verdicts = _verdicts(body, letters)
    last = verdicts[-1][0] if verdicts else 0
    retracted = max((match.start() for match in RETRACTION.finditer(body, 0, last)), default=-1)  # before the last one
    for place, clause in reversed(statement_places(body)):
        if place <= retracted:
            return verdicts[-1][1] or None
        letter = _letter_of_clause(clause, letters, choices)
        if letter is not None:
            return letter or None
        if abstains(clause):
            return None
    if verdicts:
        return verdicts[-1][1] or None
    lines = [line.strip() for line in body.split("\n") if line.strip()]
    for line in (lines[-1], lines[0]) if lines else ():
        if letter := _lone_letter(line, letters):
            return letter
    heads = {letter for line in lines if (letter := _head_letter(line, letters))}
    if len(heads) == 1 and _head_letter(lines[0], letters):
        return heads.pop()
    for line in (lines[-1], lines[0]) if lines and not heads else ():
        if letter := _of_choice(line, letters, choices):
            return letter
    marked = set(re.findall(rf"\(([{letters}])\)", body))
    return marked.pop() if len(marked) == 1 and not abstains(body) else None


def _letter_of_clause(clause: str, letters: str, choices: Sequence[str]) -> str | None:
    """The letter that a clause begins with; "" if it names several; None if it names none."""
    match = re.match(
        rf"(?:(?:option|choice|letter|answer)\s+)?[(\[{{\"'“<]*(?P<letter>[{letters}]|(?<=\()[{letters.lower()}](?=\)))"
        rf"(?:[)\]}}\"'”>.:,;!]+|(?![\w'’-]))(?P<rest>.*)",
        clause.strip(), re.DOTALL,
    )  # fmt: skip
    if match is None:
        return _of_choice(clause, letters, choices)
    rest = match["rest"]
    after = r"(?:[.,;!]|$|\b(?:both|are|together|equally|alike|as well)\b)"
    other = rf"(?:option\s+|choice\s+)?[(\[]?[{letters}][)\]]?\s*{after}"
    if re.match(rf"\s*(?:,|/|&|\bor\b|\band\b)\s*(?:both\s+)?{other}", rest):
        return ""
    word = re.match(r" ([a-z]+)", rest)
    before = clause.strip()[match.start("letter") - 1 : match.start("letter")]
    ends = clause.strip()[match.end("letter") : match.end("letter") + 1]
    bare = not before.strip() and ends in (" ", "")
    if match["letter"] in "AI" and bare and word and word[1] not in CONNECTIVES:
        return _of_choice(clause, letters, choices)  # an article, a pronoun
    return match["letter"].upper()


def _verdicts(text: str, letters: str) -> list[tuple[int, str]]:
    """The letters that a text calls right or says it takes, (place, letter) in order; "" where it names several."""
    mark = rf"[(\[\"']?(?P<letter>[{letters}])[)\]\"']?"
    both = rf"(?P<both>\s*(?:/|,|&|or|and)\s*(?:option\s+)?[(\[]?[{letters}][)\]]?(?!\w))?"
    filler = rf"(?:(?!\b[{letters}]\s+(?:is|are|seems|must|would)\b)[^.\n]){{0,80}}?"  # the choice's text
    patterns = (
        rf"(?<![\w'])(?:option|choice|answer|letter)?\s*{mark}(?:[.:)]\s*{filler}|{both})"
        rf"\s*(?:is|are|seems|must be|would be)\s+{RIGHT}",
        rf"\b{CHOSEN}\s+(?:option|choice|answer|letter)?\s*:?\s*{mark}(?![\w'’]){both}",
        rf"\b[Ii]t(?:['’]s| is| must be)\s+(?:option|choice|answer)?\s*{mark}{both}(?=[.!]?\s*(?:\n|$))",
    )
    return sorted(
        (match.start("letter"), "" if match["both"] else match["letter"])
        for pattern in patterns for match in re.finditer(pattern, text)
    )  # fmt: skip


def _lone_letter(line: str, letters: str) -> str | None:
    match = re.fullmatch(rf"\W*([{letters}])\W*", line)
    return match[1] if match else None


def _head_letter(line: str, letters: str) -> str | None:
    """The letter before a line's text: "C. Paris", "(C) Paris", "C) Paris", "C: Paris"."""
    match = re.match(rf"(?:[(\[]([{letters}])[)\]]|([{letters}])[).:\]])(?=\s|$)", line)
    return (match[1] or match[2]) if match else None


def _of_choice(text: str, letters: str, choices: Sequence[str]) -> str | None:
    """The letter of the one choice whose words a text consists of, perhaps after "it is"."""
    words = plain_words(re.sub(r"^\s*(?:it|this|that)\s+(?:is|was|would be)\s+", "", text, flags=re.IGNORECASE))
    same = [letter for letter, choice in zip(letters, choices, strict=False) if words and plain_words(choice) == words]
    return same[0] if len(same) == 1 else None
