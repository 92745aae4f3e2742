"""Finds where a chat answer states its result: "the answer is …", a box, "#### …", an answer tag.

The statements come in their order, so that a reader takes the last: a model that corrects itself means its last word.
Markdown's emphasis and LaTeX's wrappings are removed. The readers of each kind of answer are in
`evals.scoring.chat_answers` and `evals.scoring.chat_letter`.
"""

import re

LINK = r"(?:is|are|was|would be|will be|must be|should be|equals|=|:|-+>|→)"
NOUN = r"(?:answer|final (?:result|solution|value|total|conclusion)|correct (?:choice|option))"
CUE = re.compile(
    rf"\b{NOUN}\b[\"'’”]?(?:[ \t]+(?:to|for|of)\s+[^.:\n]{{0,80}}?)?(?:[ \t]+(?:choice|option|letter))?[ \t]*"
    rf"(?P<link>{LINK})[ \t:=\"'“]*(?:(?:that|therefore|simply|indeed|thus|option|choice|letter)\b,?[ \t]*)*",
    re.IGNORECASE,
)
MARK = re.compile(r"####[ \t]*|<answer>\s*", re.IGNORECASE)
BOX = re.compile(r"\\(?:boxed|fbox)\s*(?=\{)|\\boxed\s+(?=[^\s{])")
END = re.compile(r"[.!?](?=\s|$)|\n|</answer>|\Z", re.IGNORECASE)
MOST_WORDS = 8  # after a colon; a longer clause is working, not a result
SHORT_WORDS = 3  # of a result on the line after its cue
WRAPPED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mbox|emph)\s*\{([^{}]*)\}")
EMPHASIS = re.compile(r"\*\*|__|(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])|`")
ABSTENTION = re.compile(
    r"\b(?:(?:do not|don['’]t) know|(?:cannot|can['’]t|can not|(?:am|is) (?:not able|unable) to|could not|couldn['’]t)"
    r"(?: be)? (?:answer|determine|solve|help|say|tell|provide|give|calculate|compute|decide)\w*"
    r"|not enough information|insufficient information|impossible to (?:say|tell|determine|know|answer)"
    r"|cannot be|no (?:correct|right|valid)? ?answer|none of (?:the|these|them)|unknown|unclear|undetermined"
    r"|not (?:given|sure|certain|clear|stated|provided|possible))\b",
    re.IGNORECASE,
)
RETRACTION = re.compile(
    r"\b(?:wait|actually|correction|sorry|scratch that|on second thoughts?|on reflection|let me (?:re|correct)"
    r"|I (?:made|was) (?:a mistake|an error|wrong|mistaken)|my mistake|hold on|rather)\b|(?:^|[.!?\n]\s*)no\b[,.:!—-]",
    re.IGNORECASE,
)  # fmt: skip


def plain(text: str) -> str:
    """A text without emphasis, text commands and mathematics' delimiters.

    >>> plain("**The answer is $\\\\text{B}$.**")
    'The answer is B.'
    """
    text = EMPHASIS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    for _ in range(3):  # wrappings inside wrappings
        text = WRAPPED.sub(r"\1", text)
    return re.sub(r"\\?\$|\\[()\[\]]", lambda sign: "$" if sign[0] == "\\$" else "", text)


def statements(text: str) -> list[str]:
    """The clauses in which an answer states its result, in their order, plain.

    >>> statements("It is 4. Thus the answer is 5. No: the final answer is \\\\boxed{6}.")
    ['5', '6']
    """
    return [clause for _, clause in statement_places(plain(text))]


def statement_places(text: str) -> list[tuple[int, str]]:
    """The statements of a plain text: (place of the cue, clause), in their order."""
    boxes = [(match.start(), match.end(), braced(text, match.end())) for match in BOX.finditer(text)]
    places = [(start, content.removeprefix("{").strip()) for start, _, content in boxes]
    for pattern in (MARK, CUE):
        for match in pattern.finditer(text):
            first, last = _clause(text, match.end())
            if any(first <= start <= last for start, _, _ in boxes):
                continue  # the box says it
            clause = text[first:last].strip()
            colon = pattern is CUE and match["link"] == ":"
            if clause and not (colon and len(clause.split()) > MOST_WORDS):
                places.append((match.start(), clause))
    return [(place, clause) for place, clause in sorted(places) if clause]


def _clause(text: str, at: int) -> tuple[int, int]:
    """The place of the clause after a cue: the rest of its sentence and line, or a short next line, or the last one."""
    line = re.match(r"[^\n]*", text[at:])
    if line is not None and line[0].strip(" \t.:"):
        end = END.search(text, at)
        return at, end.start() if end else len(text)
    after = re.match(r"\s*([^\n]+)(\s*)", text[at:].lstrip(".:"))
    if after is None:
        return at, at
    start = len(text) - len(text[at:].lstrip(".:")) + after.start(1)
    stop = start + len(after[1])
    short = len(after[1].split()) <= SHORT_WORDS or not text[stop:].strip()
    return (start, stop) if short else (at, at)


def braced(text: str, at: int) -> str:
    """The text in the braces that open at a place, with inner braces; up to the end if they do not close.

    >>> braced("a{b{c}}d", 1), braced("x 5$", 2)
    ('{b{c}', '5')
    """
    if text[at : at + 1] != "{":
        match = re.match(r"[^$\s]+", text[at:])
        return match[0] if match else ""
    depth = 0
    for end in range(at, len(text)):
        depth += (text[end] == "{") - (text[end] == "}")
        if depth == 0:
            return text[at:end]
    return text[at:]


def last_boxed(text: str) -> str | None:
    """The content of the last box, or None.

    >>> last_boxed("so \\\\boxed{1} or $\\\\boxed{\\\\frac{1}{2}}$")
    '\\\\frac{1}{2}'
    """
    ends = [match.end() for match in BOX.finditer(text)]
    return braced(text, ends[-1]).removeprefix("{").strip() or None if ends else None


def abstains(text: str) -> bool:
    """Whether a text says that there is no answer.

    >>> abstains("It cannot be determined."), abstains("I don't know"), abstains("It is 4.")
    (True, True, False)
    """
    return ABSTENTION.search(text) is not None
