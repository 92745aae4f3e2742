"""Reads an expression in LaTeX's or in a keyboard's notation and gives its value where its variables have values.

Numbers are exact (`Fraction`) as long as they are rational, else complex floats. The text is a model's: nothing is
evaluated by Python or by an algebra system, sizes and depth are bounded, and anything unknown is a `NotReadable`.
"""

import cmath
import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

Value = Fraction | complex
Tree = tuple[Any, ...]

MOST_CHARACTERS = 400
MOST_DEPTH = 40
MOST_BITS = 4096  # of an exact power; a larger one is a float
FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "ln", "log", "exp"}
)
GREEK = frozenset(
    {"alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda", "mu", "phi", "varphi", "rho", "sigma", "tau",
     "omega", "psi", "eta", "kappa", "infty"}
)  # fmt: skip
WORDS = FUNCTIONS | {"sqrt", "pi", "infty"}
TOKEN = re.compile(r"\d[\d ]*(?:\.\d+)?|\.\d+|\\[A-Za-z]+|[A-Za-z]+|[-+*/^!(){}\[\]|_]")
PLUS, TIMES = ("+", "-", "\\pm", "\\mp"), ("*", "/", "\\cdot", "\\times", "\\div", "\\ast")
CLOSING = {"(": ")", "{": "}", "[": "]"}


class NotReadable(ValueError):
    """A text that is no expression of the kind that is read here."""


def parse_expression(text: str) -> Tree:
    """The tree of an expression. Raises NotReadable.

    >>> parse_expression("-2x")
    ('neg', ('*', ('number', Fraction(2, 1)), ('name', 'x')))
    """
    if len(text) > MOST_CHARACTERS:
        raise NotReadable("too long")
    tokens, at = [], 0
    for match in TOKEN.finditer(text):
        if text[at : match.start()].strip():
            raise NotReadable(f"{text[at : match.start()]!r}")
        tokens += _split_word(match[0])
        at = match.end()
    if text[at:].strip() or not tokens:
        raise NotReadable(f"{text[at:]!r}")
    reader = _LatexReader(tokens)
    tree = reader.sum(0)
    if reader.next is not None:
        raise NotReadable(f"{reader.next!r}")
    return tree


def names_of(tree: Tree) -> set[str]:
    """The variables of a tree."""
    if tree[0] == "name":
        return {str(tree[1])}
    return set().union(*(names_of(part) for part in tree[1:] if isinstance(part, tuple)))


def has_choice(tree: Tree) -> bool:
    """Whether a tree has a sign of plus or minus."""
    return tree[0] == "pm" or any(has_choice(part) for part in tree[1:] if isinstance(part, tuple))


def value_of(tree: Tree, values: Mapping[str, Value], sign: int = 1) -> Value:
    """The value of a tree. sign: 1 or -1, which each sign of plus or minus stands for.

    Raises  NotReadable, OverflowError, ValueError or ZeroDivisionError where there is none

    >>> value_of(parse_expression("\\\\frac{x}{4} + 2^{-1}"), {"x": Fraction(3)})
    Fraction(5, 4)
    """
    kind, *parts = tree
    if kind == "number":
        return Fraction(parts[0])
    if kind == "name":
        return values[parts[0]]
    if kind == "constant":
        return {"pi": complex(math.pi), "e": complex(math.e), "i": 1j}[parts[0]]
    inner = [value_of(part, values, sign) for part in parts if isinstance(part, tuple)]
    if kind == "function":
        return _apply(parts[0], inner[0])
    return _combine(kind, inner, sign)


def _combine(kind: str, inner: list[Value], sign: int) -> Value:
    first = inner[0]
    if kind == "neg":
        return -first
    if kind == "abs":
        return abs(first) if isinstance(first, Fraction) else complex(abs(first))
    if kind == "factorial":
        if isinstance(first, Fraction) and first.denominator == 1 and 0 <= first <= 200:
            return Fraction(math.factorial(int(first)))
        raise NotReadable("factorial")
    second = inner[1]
    if kind == "+":
        return first + second
    if kind == "pm":
        return first + sign * second
    if kind == "*":
        return first * second
    if kind == "/":
        return first / second
    if kind == "binomial":
        if isinstance(first, Fraction) and isinstance(second, Fraction) and 0 <= first <= 200 and second >= 0:
            return Fraction(math.comb(int(first), int(second)))
        raise NotReadable("binomial")
    return _power(first, second)


def _power(base: Value, exponent: Value) -> Value:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if exponent.denominator == 1 and abs(exponent) * size <= MOST_BITS:
            return Fraction(base ** int(exponent))
        root = _exact_root(base, exponent.denominator)
        if root is not None and abs(exponent.numerator) * size <= MOST_BITS:
            return Fraction(root**exponent.numerator)
    return complex(base) ** complex(exponent)


def _exact_root(base: Fraction, degree: int) -> Fraction | None:
    """The rational root of a number that is not negative, or None."""
    if base < 0 or degree > 8:
        return None
    parts = []
    for part in (base.numerator, base.denominator):
        near = round(part ** (1 / degree)) if part.bit_length() < 900 else -1
        if near < 0 or near**degree != part:
            return None
        parts.append(near)
    return Fraction(*parts)


def _apply(name: str, value: Value) -> Value:
    z = complex(value)
    if name in ("cot", "sec", "csc"):
        return 1 / {"cot": cmath.tan, "sec": cmath.cos, "csc": cmath.sin}[name](z)
    known = {"arcsin": cmath.asin, "arccos": cmath.acos, "arctan": cmath.atan, "ln": cmath.log}
    function = known.get(name) or getattr(cmath, name)
    return complex(function(z))


def _split_word(token: str) -> list[str]:
    """A word as a command if it is a known one, else its letters, each a variable."""
    if token[0].isalpha():
        return [f"\\{token}"] if token in WORDS else list(token)
    return [token.replace(" ", "")] if token[0].isdigit() else [token]


class _LatexReader:
    """Recursive descent over tokens; `depth` counts nested parts."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.at = tokens, 0

    @property
    def next(self) -> str | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, wanted: str | None = None) -> str:
        token = self.next
        if token is None or (wanted is not None and token != wanted):
            raise NotReadable(f"{token!r}")
        self.at += 1
        return token

    def sum(self, depth: int) -> Tree:
        if depth > MOST_DEPTH:
            raise NotReadable("too deep")
        tree: Tree = ("number", Fraction(0)) if self.next in ("\\pm", "\\mp") else self.product(depth)
        while self.next in PLUS:
            sign, term = self.take(), self.product(depth)
            if sign in ("\\pm", "\\mp"):
                tree = ("pm", tree, term if sign == "\\pm" else ("neg", term))
            else:
                tree = ("+", tree, term if sign == "+" else ("neg", term))
        return tree

    def product(self, depth: int) -> Tree:
        if self.next in ("-", "+"):
            sign = self.take()
            tree = self.product(depth + 1) if depth < MOST_DEPTH else self._deep()
            return ("neg", tree) if sign == "-" else tree
        tree = self.power(depth)
        while True:
            if self.next in TIMES:
                sign = self.take()
                negative = self.next == "-" and bool(self.take())
                factor = self.power(depth)
                factor = ("neg", factor) if negative else factor
                tree = ("/" if sign in ("/", "\\div") else "*", tree, factor)
            elif self.starts_factor():
                mixed = tree[0] == "number" and tree[1].denominator == 1 and self.next == "\\frac"
                factor = self.power(depth)
                mixed = mixed and factor[0] == "/" and {factor[1][0], factor[2][0]} == {"number"}
                tree = ("+" if mixed else "*", tree, factor)  # 1\frac{4}{5} is a mixed number
            else:
                return tree

    def starts_factor(self) -> bool:
        word = self.next
        if word is None or word in PLUS or word in TIMES:
            return False
        return word[0].isalnum() or word[0] in "({[\\."

    def power(self, depth: int) -> Tree:
        tree = self.atom(depth + 1)
        while self.next in ("^", "!"):
            tree = ("factorial", tree) if self.take() == "!" else ("^", tree, self.exponent(depth))
        return tree

    def exponent(self, depth: int) -> Tree:
        if self.next == "-":
            self.take()
            return ("neg", self.atom(depth + 1))
        return self.atom(depth + 1)

    def atom(self, depth: int) -> Tree:
        if depth > MOST_DEPTH:
            self._deep()
        word = self.take()
        if word[0].isdigit() or word[0] == ".":
            return ("number", Fraction(word))
        if word in CLOSING or word == "|":
            tree = self.sum(depth + 1)
            self.take(CLOSING.get(word, "|"))
            return ("abs", tree) if word == "|" else tree
        if word[0] == "\\":
            return self.command(word[1:], depth)
        if word in ("e", "i"):
            return ("constant", word)
        if word.isalpha():
            return ("name", self.subscripted(word))
        raise NotReadable(f"{word!r}")

    def subscripted(self, name: str) -> str:
        """A name with its index: x_1, x_{12}."""
        if self.next != "_":
            return name
        self.take()
        if self.next != "{":
            return f"{name}_{self.take()}"
        self.take()
        index = ""
        while self.next != "}":
            index += self.take()
        self.take()
        return f"{name}_{index}"

    def command(self, name: str, depth: int) -> Tree:
        if name == "pi":
            return ("constant", "pi")
        if name in GREEK:
            return ("name", self.subscripted(name))
        if name == "frac":
            return ("/", self.atom(depth + 1), self.atom(depth + 1))
        if name == "binom":
            return ("binomial", self.atom(depth + 1), self.atom(depth + 1))
        if name == "sqrt":
            degree: Tree = ("number", Fraction(2))
            if self.next == "[":
                degree = self.atom(depth + 1)
            return ("^", self.atom(depth + 1), ("/", ("number", Fraction(1)), degree))
        if name not in FUNCTIONS:
            raise NotReadable(name)
        exponent = None
        if self.next == "^":
            self.take()
            exponent = self.exponent(depth)
        tree: Tree = ("function", name, self.argument(depth))
        return ("^", tree, exponent) if exponent is not None else tree

    def argument(self, depth: int) -> Tree:
        """The argument of a function: one in brackets, or the factors that follow it."""
        bracketed = self.next in ("(", "{")
        tree = self.power(depth + 1)
        while not bracketed and self.starts_factor() and str(self.next).lstrip("\\") not in FUNCTIONS:
            tree = ("*", tree, self.power(depth + 1))
        return tree

    def _deep(self) -> Tree:
        raise NotReadable("too deep")
