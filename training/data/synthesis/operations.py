"""The template teacher's operations: for each its words, its code and its meaning.

`code` is the solution's text, and `meaning` computes the expected result in another way: an exercise whose code and
meaning disagree fails its own tests in the sandbox and is dropped. This file draws no random numbers.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

SMALL = tuple(range(2, 10))  # one token each: a mini model needed twice as long to learn to copy two-token constants
FEW = (1, 2, 3, 4)
LETTERS = tuple("abcdeilnorst")
ENDS = ("!", "?", ".", "ing", "ed", "-", "s", "x", "ly")
MARKS = ("-", ",", ".", ":", "/", "_", " ", "+")


class Operation(NamedTuple):
    """One thing to do with one value.

    name     the word that gives a function its name
    about    the object of the operation: "each" item, "all" items, the "whole" value
    phrases  imperative sentences; {o} the object, {k} and {j} the constants
    code     Python expression; {v} the value, {x} its item, {k} and {j} constants as source text
    meaning  the value and the constants it takes -> the result
    source, result  number | numbers | text | words | table | bool
    k, j     constants to choose from; empty if not used
    """

    name: str
    about: str
    phrases: tuple[str, ...]
    code: str
    meaning: Callable[..., Any]
    source: str
    result: str
    k: tuple[Any, ...] = ()
    j: tuple[Any, ...] = ()


def _op(source: str, result: str, name: str, about: str, phrases: str, code: str, meaning: Callable[..., Any],
        k: tuple[Any, ...] = (), j: tuple[Any, ...] = ()) -> Operation:  # fmt: skip
    return Operation(name, about, tuple(phrases.split(" | ")), code, meaning, source, result, k, j)


def _numbers_to_numbers(name: str, about: str, phrases: str, code: str, meaning: Callable[..., Any],
                        k: tuple[Any, ...] = ()) -> Operation:  # fmt: skip
    return _op("numbers", "numbers", name, about, phrases, code, meaning, k)


_N = _numbers_to_numbers

NUMBERS_MAP = (
    _N("scale", "each", "multiply {o} by {k} | scale {o} by {k}", "[{x} * {k} for {x} in {v}]",
       lambda v, k: list(map(k.__mul__, v)), SMALL),
    _N("increase", "each", "add {k} to {o} | increase {o} by {k}", "[{x} + {k} for {x} in {v}]",
       lambda v, k: list(map(k.__add__, v)), SMALL),
    _N("lower", "each", "subtract {k} from {o} | decrease {o} by {k}", "[{x} - {k} for {x} in {v}]",
       lambda v, k: list(map((-k).__add__, v)), SMALL),
    _N("square", "each", "square {o} | multiply {o} by itself", "[{x} * {x} for {x} in {v}]",
       lambda v: [pow(x, 2) for x in v]),
    _N("negate", "each", "negate {o} | change the sign of {o}", "[-{x} for {x} in {v}]", lambda v: [0 - x for x in v]),
    _N("wrap", "each", "take {o} modulo {k} | find the remainder of {o} divided by {k}", "[{x} % {k} for {x} in {v}]",
       lambda v, k: [divmod(x, k)[1] for x in v], SMALL),
    _N("divide", "each", "divide {o} by {k} rounding down", "[{x} // {k} for {x} in {v}]",
       lambda v, k: [divmod(x, k)[0] for x in v], SMALL),
    _N("cap", "each", "cap {o} at {k} | limit {o} to at most {k}", "[min({x}, {k}) for {x} in {v}]",
       lambda v, k: [x if x < k else k for x in v], SMALL),
    _N("lift", "each", "lift {o} to at least {k}", "[max({x}, {k}) for {x} in {v}]",
       lambda v, k: [x if x > k else k for x in v], SMALL),
)  # fmt: skip
NUMBERS_FILTER = (
    _N("above", "all", "keep {o} greater than {k} | keep {o} above {k}", "[{x} for {x} in {v} if {x} > {k}]",
       lambda v, k: list(filter(k.__lt__, v)), SMALL),
    _N("below", "all", "keep {o} less than {k} | keep {o} below {k}", "[{x} for {x} in {v} if {x} < {k}]",
       lambda v, k: list(filter(k.__gt__, v)), SMALL),
    _N("multiples", "all", "keep {o} divisible by {k} | keep {o} that are multiples of {k}",
       "[{x} for {x} in {v} if {x} % {k} == 0]", lambda v, k: [x for x in v if not x % k], SMALL),
    _N("without", "all", "drop {o} equal to {k} | remove {o} equal to {k}", "[{x} for {x} in {v} if {x} != {k}]",
       lambda v, k: list(filter(k.__ne__, v)), SMALL),
    _N("positive", "all", "keep {o} that are positive", "[{x} for {x} in {v} if {x} > 0]",
       lambda v: [x for x in v if not x <= 0]),
)  # fmt: skip
NUMBERS_SLICE = (
    _N("first", "all", "take the first {k} of {o}", "{v}[:{k}]", lambda v, k: [x for i, x in enumerate(v) if i < k],
       FEW),
    _N("last", "all", "take the last {k} of {o}", "{v}[-{k}:]", lambda v, k: v[max(0, len(v) - k):], FEW),
    _N("skip", "all", "skip the first {k} of {o}", "{v}[{k}:]", lambda v, k: [x for i, x in enumerate(v) if i >= k],
       FEW),
    _N("trim", "all", "leave out the last {k} of {o}", "{v}[:-{k}]", lambda v, k: v[: max(0, len(v) - k)], FEW),
    _N("step", "all", "take every item of {o} at a step of {k}", "{v}[::{k}]",
       lambda v, k: [x for i, x in enumerate(v) if i % k == 0], (2, 3, 4)),
)  # fmt: skip
NUMBERS_ORDER = (
    _N("reverse", "all", "reverse the order of {o}", "{v}[::-1]", lambda v: list(reversed(v))),
    _N("sort", "all", "sort {o} | sort {o} from small to large", "sorted({v})", lambda v: sorted(v)),
    _N("rank", "all", "sort {o} from large to small", "sorted({v}, reverse=True)", lambda v: sorted(v)[::-1]),
    _N("unique", "all", "remove repeats from {o}", "list(dict.fromkeys({v}))",
       lambda v: [x for i, x in enumerate(v) if x not in v[:i]]),
)  # fmt: skip


def _reduce(name: str, phrases: str, code: str, meaning: Callable[..., Any], k: tuple[Any, ...] = (),
            result: str = "number") -> Operation:  # fmt: skip
    return _op("numbers", result, name, "all", phrases, code, meaning, k)


NUMBERS_REDUCE = (
    _reduce("sum", "add up {o} | find the sum of {o}", "sum({v})", lambda v: reduce(lambda a, b: a + b, v, 0)),
    _reduce("largest", "find the largest of {o}", "max({v})", lambda v: sorted(v)[-1]),
    _reduce("smallest", "find the smallest of {o}", "min({v})", lambda v: sorted(v)[0]),
    _reduce("count", "count {o}", "len({v})", lambda v: sum(1 for _ in v)),
    _reduce("spread", "subtract the smallest from the largest of {o}", "max({v}) - min({v})",
            lambda v: sorted(v)[-1] - sorted(v)[0]),
    _reduce("count_above", "count {o} greater than {k}", "sum(1 for {x} in {v} if {x} > {k})",
            lambda v, k: len([x for x in v if x > k]), SMALL),
    _reduce("count_multiples", "count {o} divisible by {k}", "sum(1 for {x} in {v} if {x} % {k} == 0)",
            lambda v, k: len([x for x in v if not x % k]), SMALL),
    _reduce("scaled_sum", "add up {o} and multiply the sum by {k}", "sum({v}) * {k}", lambda v,
            k: sum(x * k for x in v),
            SMALL),
    _reduce("increased_sum", "add up {o} and add {k}", "sum({v}) + {k}", lambda v, k: sum([*v, k]), SMALL),
)  # fmt: skip
NUMBERS_TEST = (
    _reduce("any_above", "tell whether any of {o} is greater than {k}", "any({x} > {k} for {x} in {v})",
            lambda v, k: max(v, default=k) > k, SMALL, "bool"),
    _reduce("all_above", "tell whether all of {o} are greater than {k}", "all({x} > {k} for {x} in {v})",
            lambda v, k: not [x for x in v if x <= k], SMALL, "bool"),
    _reduce("all_below", "tell whether all of {o} are less than {k}", "all({x} < {k} for {x} in {v})",
            lambda v, k: not [x for x in v if x >= k], SMALL, "bool"),
    _reduce("has", "tell whether {k} is one of {o}", "{k} in {v}", lambda v, k: v.count(k) > 0, SMALL, "bool"),
    _reduce("sum_above", "tell whether the sum of {o} is greater than {k}", "sum({v}) > {k}",
            lambda v, k: k < sum(v), SMALL, "bool"),
)  # fmt: skip


def _text(name: str, phrases: str, code: str, meaning: Callable[..., Any], k: tuple[Any, ...] = (),
          j: tuple[Any, ...] = (), result: str = "text") -> Operation:  # fmt: skip
    return _op("text", result, name, "whole", phrases, code, meaning, k, j)


TEXT_CHANGE = (
    _text("upper", "write {o} in upper case | convert {o} to upper case", "{v}.upper()",
          lambda v: "".join(c.upper() for c in v)),
    _text("lower", "write {o} in lower case | convert {o} to lower case", "{v}.lower()",
          lambda v: "".join(c.lower() for c in v)),
    _text("reverse", "reverse {o}", "{v}[::-1]", lambda v: "".join(reversed(v))),
    _text("remove", "remove every {k} from {o}", '{v}.replace({k}, "")',
          lambda v, k: "".join(c for c in v if c != k), LETTERS),
    _text("replace", "replace every {k} in {o} with {j}", "{v}.replace({k}, {j})",
          lambda v, k, j: "".join(j if c == k else c for c in v), LETTERS, LETTERS),
    _text("repeat", "repeat {o} {k} times", "{v} * {k}", lambda v, k: "".join(v for _ in range(k)), (2, 3, 4, 5, 6)),
    _text("start", "put {k} before {o}", "{k} + {v}", lambda v, k: f"{k}{v}", ENDS),
    _text("finish", "put {k} after {o} | add {k} to the end of {o}", "{v} + {k}", lambda v, k: f"{v}{k}", ENDS),
    _text("stretch", "repeat each letter of {o} {k} times", '"".join(c * {k} for c in {v})',
          lambda v, k: "".join(v[i // k] for i in range(len(v) * k)), (2, 3, 4, 5)),
    _text("spell", "put {k} between the letters of {o}", "{k}.join({v})",
          lambda v, k: "".join(k + c for c in v)[len(k):], MARKS),
    _text("arrange", "sort the letters of {o}", '"".join(sorted({v}))', lambda v: "".join(sorted(v))),
)  # fmt: skip
TEXT_SLICE = (
    _text("first", "take the first {k} letters of {o}", "{v}[:{k}]",
          lambda v, k: "".join(c for i, c in enumerate(v) if i < k), FEW),
    _text("last", "take the last {k} letters of {o}", "{v}[-{k}:]", lambda v, k: v[max(0, len(v) - k):], FEW),
    _text("skip", "skip the first {k} letters of {o}", "{v}[{k}:]",
          lambda v, k: "".join(c for i, c in enumerate(v) if i >= k), FEW),
    _text("trim", "leave out the last {k} letters of {o}", "{v}[:-{k}]", lambda v, k: v[: max(0, len(v) - k)], FEW),
)  # fmt: skip
TEXT_MEASURE = (
    _text("length", "find the length of {o}", "len({v})", lambda v: sum(1 for _ in v), result="number"),
    _text("count", "count how often {k} occurs in {o} | count every {k} in {o}", "{v}.count({k})",
          lambda v, k: len([c for c in v if c == k]), LETTERS, result="number"),
    _text("count_words", "count the words of {o}", "len({v}.split())", lambda v: len(v.split(" ")), result="number"),
    _text("starts", "tell whether {o} starts with {k}", "{v}.startswith({k})", lambda v, k: v[:1] == k, LETTERS,
          result="bool"),
    _text("ends", "tell whether {o} ends with {k}", "{v}.endswith({k})", lambda v, k: v[-1:] == k, LETTERS,
          result="bool"),
    _text("contains", "tell whether {o} contains {k}", "{k} in {v}", lambda v, k: v.count(k) > 0, LETTERS,
          result="bool"),
    _text("longer", "tell whether {o} is longer than {k} letters", "len({v}) > {k}", lambda v, k: len(v[k:]) > 0, SMALL,
          result="bool"),
)  # fmt: skip
TEXT_SPLIT = (
    _text("split", "split {o} into words", "{v}.split()", lambda v: v.split(" "), result="words"),
    _text("letters", "list the letters of {o}", "list({v})", lambda v: [*v], result="words"),
)  # fmt: skip


def _words(name: str, about: str, phrases: str, code: str, meaning: Callable[..., Any], k: tuple[Any, ...] = (),
           result: str = "words") -> Operation:  # fmt: skip
    return _op("words", result, name, about, phrases, code, meaning, k)


WORDS_MAP = (
    _words("upper", "each", "write {o} in upper case", "[{x}.upper() for {x} in {v}]",
           lambda v: list(map(str.upper, v))),
    _words("flip", "each", "reverse {o}", "[{x}[::-1] for {x} in {v}]", lambda v: ["".join(reversed(x)) for x in v]),
    _words("finish", "each", "put {k} after {o} | add {k} to the end of {o}", "[{x} + {k} for {x} in {v}]",
           lambda v, k: [f"{x}{k}" for x in v], ENDS),
    _words("start", "each", "put {k} before {o}", "[{k} + {x} for {x} in {v}]", lambda v, k: [f"{k}{x}" for x in v],
           ENDS),
    _words("shorten", "each", "cut {o} to its first {k} letters", "[{x}[:{k}] for {x} in {v}]",
           lambda v, k: ["".join(list(x)[:k]) for x in v], FEW),
    _words("repeat", "each", "repeat {o} {k} times", "[{x} * {k} for {x} in {v}]",
           lambda v, k: ["".join([x] * k) for x in v], (2, 3, 4, 5)),
)  # fmt: skip
WORDS_FILTER = (
    _words("longer", "all", "keep {o} longer than {k} letters", "[{x} for {x} in {v} if len({x}) > {k}]",
           lambda v, k: [x for x in v if x[k:]], (1, 2, 3, 4, 5, 6)),
    _words("shorter", "all", "keep {o} shorter than {k} letters", "[{x} for {x} in {v} if len({x}) < {k}]",
           lambda v, k: [x for x in v if not x[k - 1:]], (3, 4, 5, 6, 7)),
    _words("starting", "all", "keep {o} starting with {k} | keep {o} that start with {k}",
           "[{x} for {x} in {v} if {x}.startswith({k})]", lambda v, k: [x for x in v if x[:1] == k], LETTERS),
    _words("ending", "all", "keep {o} ending with {k} | keep {o} that end with {k}",
           "[{x} for {x} in {v} if {x}.endswith({k})]", lambda v, k: [x for x in v if x[-1:] == k], LETTERS),
    _words("containing", "all", "keep {o} containing {k} | keep {o} that contain {k}",
           "[{x} for {x} in {v} if {k} in {x}]",
           lambda v, k: [x for x in v if x.count(k)], LETTERS),
    _words("without", "all", "keep {o} that do not contain {k}", "[{x} for {x} in {v} if {k} not in {x}]",
           lambda v, k: [x for x in v if not x.count(k)], LETTERS),
    _words("sort", "all", "sort {o}", "sorted({v})", lambda v: sorted(v)),
    _words("by_length", "all", "sort {o} by length", "sorted({v}, key=len)",
           lambda v: [x for _, _, x in sorted((len(x), i, x) for i, x in enumerate(v))]),
)  # fmt: skip
WORDS_REDUCE = (
    _words("join", "all", "join {o} with {k} | join {o} with {k} between them", "{k}.join({v})",
           lambda v, k: reduce(lambda a, b: a + k + b, v) if v else "", MARKS, result="text"),
    _words("longest", "all", "find the longest of {o}", "max({v}, key=len)",
           lambda v: next(x for x in v if all(len(y) <= len(x) for y in v)), result="text"),
    _words("total_length", "all", "add up the lengths of {o}", "sum(len({x}) for {x} in {v})",
           lambda v: len("".join(v)),
           result="number"),
    _words("count_longer", "all", "count {o} longer than {k} letters", "sum(1 for {x} in {v} if len({x}) > {k})",
           lambda v, k: len([x for x in v if x[k:]]), (1, 2, 3, 4, 5, 6), result="number"),
    _words("count_starting", "all", "count {o} starting with {k}", "sum(1 for {x} in {v} if {x}.startswith({k}))",
           lambda v, k: len([x for x in v if x[:1] == k]), LETTERS, result="number"),
    _words("lengths", "each", "map {o} to its length", "{{{x}: len({x}) for {x} in {v}}}",
           lambda v: dict(zip(v, map(len, v), strict=True)), result="table"),
)  # fmt: skip
