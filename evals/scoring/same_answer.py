"""Whether two short answers of mathematics are the same: 1/2 and \\frac12, (x+1)^2 and x^2+2x+1, 5 cm and 5.

Text rules first, in the spirit of Lewkowycz et al. 2022 (arXiv:2206.14858, appendix D): units, degrees, money, spaces
and sizes of brackets do not matter. Then the parts of tuples, intervals, sets, matrices and equations are compared;
expressions are the same if they have the same values at a few fixed points (`evals.scoring.expressions`), where
lm-evaluation-harness asks sympy for a difference of 0. Unlike there, bare lists are sets. No algebra system is needed.
"""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from evals.scoring.expressions import NotReadable, Tree, Value, has_choice, names_of, parse_expression, value_of

SIGNS = {
    "−": "-", "–": "-", "×": "\\times ", "·": "\\cdot ", "÷": "\\div ", "π": "\\pi ", "∞": "\\infty ", "√": "\\sqrt ",
    "±": "\\pm ", "∪": "\\cup ", "°": "", "²": "^{2}", "³": "^{3}", "≤": "\\le ", "≥": "\\ge ", "θ": "\\theta ",
    "\u00a0": " ", "\u202f": " ", "\u2009": " ",
}  # fmt: skip
SPACING = re.compile(
    r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|quad|qquad|limits|hspace\{[^}]*\})(?![A-Za-z])|(?<!\\)\\[,;:!\s]|~"
)
WORDING = re.compile(r"\\(?:text(?:bf|it|rm)?|mbox|math(?:rm|bf|it)|operatorname)\s*\{([^{}]*)\}(\^\{?\d\}?)?")
DEGREES = re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ\b)|\\degree|\\circ\b")
THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d])")
# words beside a number; glued to it only the common ones, since "2xy" is a product
GLUED = (
    "cm|mm|km|kg|ft|mph|dollars?|cents?|degrees?|units?|inch(?:es)?|feet|hours?|minutes?|seconds?|meters?|miles?"
    "|pounds?"
)
UNIT = re.compile(
    rf"(?:(?<=[\d)}}.])\s*(?:(?<=\s)(?!sqrt|infty)[A-Za-z]{{3,}}[A-Za-z. ]*|(?:{GLUED})\.?)|\s(?:{GLUED}))"
    r"(?:\^\{?\d\}?)?$"
)
MATRIX = re.compile(
    r"\\begin\{[pbvB]?(?:matrix|array)\}(?:\{[lcr|]*\})?(.*?)\\end\{[pbvB]?(?:matrix|array)\}", re.DOTALL
)
MEMBER = re.compile(r"[A-Za-z]\s*\\in\s*")
NAMED = re.compile(r"(?:[A-Za-z](?:_\{?\w\}?)?|[A-Za-z]\s*\([A-Za-z]\)|\\[a-z]+)\s*=(?!=)")
OPEN, CLOSE = "([{", ")]}"
POINTS = (Fraction(7, 11), Fraction(-13, 5), Fraction(29, 17))  # far from special values
TOLERANCE = 1e-9
MOST_PARTS = 50


def same_answer(answer: str, right: str) -> bool:
    """Whether an answer equals the right one.

    >>> same_answer("0.5", "\\\\frac12"), same_answer("x^2+2x+1", "(x+1)^2"), same_answer("(1,2)", "(2,1)")
    (True, True, False)
    >>> same_answer("x = 5", "5"), same_answer("-2, 1", "1,-2"), same_answer("3.14", "\\\\pi"), same_answer("", "0")
    (True, True, False, False)
    """
    if "=" in answer and "=" not in right:
        answer = NAMED.sub("", answer.strip(" $"), count=1)
    if "=" in right and "=" not in answer:
        right = NAMED.sub("", right.strip(" $"), count=1)
    mine, theirs = tidy(answer), tidy(right)
    if not mine or not theirs:
        return False
    return _bare(mine) == _bare(theirs) or _same(mine, theirs, 0)


def tidy(text: str) -> str:
    """An answer without units, degrees, money, sizes of brackets; fractions and roots in one spelling.

    >>> tidy("$\\\\left(\\\\dfrac{3}{2}, 5\\\\right) \\\\text{ cm}$."), tidy("\\\\$1,\\\\!000"), tidy("\\\\frac12")
    ('(\\\\frac{3}{2}, 5)', '1000', '\\\\frac{1}{2}')
    """
    for sign, latex in SIGNS.items():
        text = text.replace(sign, latex)
    text = re.sub(r"\\(?:%|#)|(?<=\d)\s*%|\\?\$|\\\(|\\\)|\\\[(?!\d)|\\\](?!\d)", "", text)
    text = SPACING.sub("", text.replace("{,}", ","))
    text = DEGREES.sub("", text).strip().rstrip(".").strip()
    outside = WORDING.sub("", text).strip()
    # words beside a number are its unit; words alone are the answer
    text = outside if re.search(r"[\dA-Za-z]", outside) and not outside.startswith("_") else WORDING.sub(r"\1", text)
    text = re.sub(r"\\[dtc]frac(?![A-Za-z])", r"\\frac", text)
    text = (
        THOUSANDS.sub(lambda match: match[0].replace(",", ""), re.sub(r",\s", ",", text)) if _one_number(text) else text
    )
    text = re.sub(r"\\frac\s*(\d)\s*(\d)(?!\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac\s*(\d)\s*(?=\{)", r"\\frac{\1}", text)
    text = re.sub(r"(\\frac\{[^{}]*\})\s*(\d)", r"\1{\2}", text)
    text = re.sub(r"\\sqrt\s*(\d|[A-Za-z](?![A-Za-z]))", r"\\sqrt{\1}", text)
    text = UNIT.sub("", text.strip())
    return MEMBER.sub("", text).strip()


def _one_number(text: str) -> bool:
    """Whether the commas of a text can only be those of thousands: one number, perhaps with a unit or money."""
    return re.fullmatch(r"\s*[-+]?\s*\d{1,3}(?:,\s?\d{3})+(?:\.\d+)?\s*[A-Za-z ]*", text) is not None


def _bare(text: str) -> str:
    """The text without spaces and braces around one sign; words without case."""
    text = re.sub(r"\{(\w)\}", r"\1", re.sub(r"\s+", "", text))
    text = re.sub(r"^\(([A-Za-z])\)$", r"\1", text)
    return text.lower() if re.fullmatch(r"[A-Za-z]{2,}", text) else text


def _same(mine: str, theirs: str, depth: int) -> bool:
    """Whether two tidy texts are the same, part by part."""
    if depth > 4:
        return False
    matrices = MATRIX.findall(mine), MATRIX.findall(theirs)
    if matrices[0] or matrices[1]:
        return _same_matrices(mine, theirs, depth)
    for splitter, ordered in ((_split_union, False), (_split_list, False), (_split_tuple, True)):
        parts = splitter(mine), splitter(theirs)
        if parts[0] or parts[1]:
            return _same_parts(*parts, ordered, depth)
    if "=" in mine or "=" in theirs:
        return _same_equations(mine, theirs)
    return _same_expressions(mine, theirs)


def _same_parts(mine: Sequence[str], theirs: Sequence[str], ordered: bool, depth: int) -> bool:
    if len(mine) != len(theirs) or len(mine) > MOST_PARTS:
        return False
    equal: Callable[[str, str], bool] = lambda a, b: _bare(a) == _bare(b) or _same(a.strip(), b.strip(), depth + 1)  # noqa: E731
    if ordered:
        return all(equal(a, b) for a, b in zip(mine, theirs, strict=True))
    left = list(theirs)
    for part in mine:
        match = next((other for other in left if equal(part, other)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _split_union(text: str) -> list[str]:
    return re.split(r"\s*\\cup\s*", text) if "\\cup" in text else []


def _split_list(text: str) -> list[str]:
    """The parts of "1, 2 and 3" or \\{1, 2\\}; none if it is no list."""
    inside = re.fullmatch(r"\\\{(.*)\\\}", text.strip())
    body = inside[1] if inside else text
    parts = _split_commas(re.sub(r",?\s+(?:and|or)\s+", ",", body))
    if len(parts) > 1 or inside:
        return [part for whole in parts for part in _both_signs(whole)]
    both = _both_signs(body)
    return both if len(both) > 1 else []


def _both_signs(text: str) -> list[str]:
    """The two values of an expression with a sign of plus or minus."""
    if "\\pm" not in text or _is_bracketed(text):
        return [text]
    return [text.replace("\\pm", "+"), text.replace("\\pm", "-")]


def _split_tuple(text: str) -> list[str]:
    """The brackets and the parts of a tuple or interval: "(1, 2]" is "(", "1", "2", "]"; none if it is neither."""
    text = text.strip()
    if not _is_bracketed(text):
        return []
    parts = _split_commas(text[1:-1])
    return [f"bracket{text[0]}", *parts, f"bracket{text[-1]}"] if len(parts) > 1 else []


def _is_bracketed(text: str) -> bool:
    """Whether the first bracket of a text closes at its end; an interval may mix the kinds."""
    text = text.strip()
    if len(text) < 2 or text[0] not in "([" or text[-1] not in ")]":
        return False
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign in OPEN) - (sign in CLOSE)
        if depth == 0:
            return at == len(text) - 1
    return False


def _split_commas(text: str) -> list[str]:
    """The parts between commas outside brackets."""
    parts, depth, first = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign in OPEN) - (sign in CLOSE)
        if sign == "," and depth <= 0:
            parts.append(text[first:at].strip())
            first = at + 1
    return [*parts, text[first:].strip()]


def _same_matrices(mine: str, theirs: str, depth: int) -> bool:
    left, right = MATRIX.fullmatch(mine.strip()), MATRIX.fullmatch(theirs.strip())
    if left is None or right is None:
        return False
    bodies = [part[1].strip().removesuffix("\\\\") for part in (left, right)]
    rows = [[row.split("&") for row in re.split(r"\\\\", body)] for body in bodies]
    if [len(row) for row in rows[0]] != [len(row) for row in rows[1]]:
        return False
    cells = [[cell.strip() for row in part for cell in row] for part in rows]
    return _same_parts(cells[0], cells[1], True, depth)


def _same_equations(mine: str, theirs: str) -> bool:
    """Whether x = 5 is 5, y = 2x is 2x, and 2x + 2y = 4 is x + y - 2 = 0; an equation alone is no number."""
    plain = [NAMED.sub("", text, count=1).strip() for text in (mine, theirs)]
    if not any("=" in text for text in plain):
        named = [NAMED.match(text) for text in (mine, theirs)]
        if all(named) and _bare(named[0][0]) != _bare(named[1][0]):  # type: ignore[index]
            return _proportional(mine, theirs)
        return _bare(plain[0]) == _bare(plain[1]) or _same(plain[0], plain[1], 3)
    return _proportional(mine, theirs)


def _proportional(mine: str, theirs: str) -> bool:
    """Whether two equations hold at the same places: their differences of sides are multiples of each other."""
    trees = []
    for text in (mine, theirs):
        sides = text.split("=")
        if len(sides) != 2 or not all(side.strip() for side in sides):
            return False
        try:
            trees.append(("+", parse_expression(sides[0]), ("neg", parse_expression(sides[1]))))
        except NotReadable:
            return False
    values = _values(trees[0], trees[1])
    if values is None or any(abs(complex(b)) < TOLERANCE for _, b in values):
        return False
    ratios = [complex(a) / complex(b) for a, b in values]
    return abs(ratios[0]) > TOLERANCE and all(_close(ratio, ratios[0]) for ratio in ratios)


def _same_expressions(mine: str, theirs: str) -> bool:
    try:
        trees = parse_expression(mine), parse_expression(theirs)
    except NotReadable:
        return False
    if has_choice(trees[0]) or has_choice(trees[1]):
        return False
    values = _values(*trees)
    return values is not None and all(_close(a, b) for a, b in values)


def _values(mine: Tree, theirs: Tree) -> list[tuple[Value, Value]] | None:
    """The values of two trees at the same points; None where one has none."""
    names = sorted(names_of(mine) | names_of(theirs))
    pairs = []
    for turn in range(len(POINTS) if names else 1):
        point: dict[str, Value] = {
            name: POINTS[(turn + at) % len(POINTS)] + Fraction(at, 7) for at, name in enumerate(names)
        }
        try:
            pairs.append((value_of(mine, point), value_of(theirs, point)))
        except (ArithmeticError, ValueError, KeyError):
            return None
    return pairs


def _close(a: Value, b: Value) -> bool:
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    first, second = complex(a), complex(b)
    return abs(first - second) <= TOLERANCE * max(1.0, abs(first), abs(second))
