"""Chooses the inputs of an exercise's tests: random ones, and those at the borders of its constants.

A solution that swaps `<` and `<=`, or is wrong by one, computes what the exercise would mean with another constant
(x <= 5 is x < 6). So for each constant the tests take an input on which the meaning changes when the constant changes
by one. This file runs no solution.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

RANDOM_TESTS = 4
DRAWN = 16  # random inputs, of which RANDOM_TESTS become tests
WORDS = ("pen", "tea", "cat", "sun", "map", "ice", "red", "blue", "green", "apple", "bread", "stone", "river", "cloud",
         "table", "note", "dance", "silent", "letter", "garden")  # fmt: skip
FAULTS = (ValueError, IndexError, StopIteration, TypeError, ZeroDivisionError, KeyError, OverflowError)

Case = tuple[list[Any], Any]


def source_text(value: Any) -> str:
    """A value as source text: like repr, with strings in double quotes.

    >>> print(source_text(["a", 1]), source_text({"k": "v"}))
    ["a", 1] {"k": "v"}
    """
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(map(source_text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{source_text(key)}: {source_text(item)}" for key, item in value.items()) + "}"
    return repr(value)


def choose_cases(
    kinds: Sequence[str], meaning: Callable[..., Any], constants: Sequence[Any], random_: random.Random
) -> list[Case]:
    """Inputs and results of an exercise's tests; none if the meaning fails on all random inputs.

    meaning    arguments, then constants -> the result

    >>> cases = choose_cases(["number"], lambda v, k: v > k, [5], random.Random(0))
    >>> sorted(given[0] for given, _ in cases if given[0] in (5, 6))
    [5, 6]
    """
    drawn = _results([[_random_value(kind, random_) for kind in kinds] for _ in range(DRAWN)], meaning, constants)
    spread = {source_text(result): (given, result) for given, result in drawn}
    chosen = [*spread.values(), *drawn][:RANDOM_TESTS]
    numbers = sorted({abs(value) for value in constants if isinstance(value, int)})
    pools = [list(_border_values(kind, numbers, constants)) for kind in kinds]
    borders = _results(map(list, _pairs(pools)), meaning, constants)
    if not chosen or len({source_text(result) for _, result in (*chosen, *borders)}) < 2:
        return []  # one result for all inputs: a function of nothing
    if kinds[0].startswith("number"):
        own = [0, 1, *(n + step for n in numbers for step in (-1, 0, 1))]
        firsts = [[n] for n in own] if kinds[0] == "number" else [[[0, 1]], *([[n - 1, n, n + 1]] for n in numbers)]
        chosen += _results([[*first, *chosen[0][0][1:]] for first in firsts], meaning, constants)
    random_.shuffle(borders)
    if len({source_text(result) for _, result in chosen}) < 2:
        chosen.append(next(case for case in borders if source_text(case[1]) != source_text(chosen[0][1])))
    left = [other for other in _changed(constants) if not any(_differs(case, meaning, other) for case in chosen)]
    while left:
        kills = [[other for other in left if _differs(case, meaning, other)] for case in borders]
        best = max(range(len(borders)), key=lambda number: len(kills[number]))
        if not kills[best]:
            break
        chosen.append(borders[best])
        left = [other for other in left if other not in kills[best]]
    return list({source_text(case[0]): case for case in chosen}.values())


def _random_value(kind: str, random_: random.Random) -> Any:
    """A random argument of a kind, short enough for a docstring."""
    if kind == "numbers":
        return [random_.randint(0, 15) for _ in range(random_.randint(2, 4))]
    if kind == "text":
        return " ".join(random_.sample(WORDS, random_.choice((1, 1, 2))))
    if kind == "words":
        return random_.sample(WORDS, random_.randint(2, 3))
    if kind == "table":
        return {word: random_.randint(0, 15) for word in random_.sample(WORDS[:8], 2)}
    return random_.randint(1, 20)


def _border_values(kind: str, numbers: Sequence[int], constants: Sequence[Any]) -> Iterator[Any]:
    """Arguments of a kind at k-1, k and k+1: as value, as item, and as length."""
    near = sorted({0, 1, 2, *range(12), *(n + step for n in numbers for step in (-1, 0, 1) if n + step >= 0)})
    letters = [value for value in constants if isinstance(value, str) and value]
    if kind == "number":
        yield from near
        yield from (n * m + step for n in numbers for m in numbers for step in (-1, 0, 1))
    elif kind == "numbers":
        yield from ([n] for n in (*near, *range(12, 40)))
        yield from (list(range(1, length + 1)) for length in near if 1 < length <= 12)
        yield from ([n, n + 1, n] for n in near)
        yield from ([15, n] for n in near)
    elif kind == "text":
        for words in ("silentgardenletters", "silent garden letter"):
            yield from (words[:length] for length in near if 0 < length <= len(words) and words[length - 1] != " ")
        yield from (f"{end}note{end}" for end in letters)
        yield from (f"a{end}b{end}" for end in letters)
    elif kind == "words":
        yield from (["silentgardens"[:length]] for length in near if 0 < length <= 12)
        yield from (list(WORDS[:length]) for length in near if 1 < length <= 12)
        yield from ([f"{end}tea", f"tea{end}", "map"] for end in letters)
    else:
        yield from ({"pen": n, "tea": n + 1} for n in near)
        yield from ({letter: 3, "red": 1} for letter in letters)
        yield {"cloud": 20, "note": 4}


def _pairs(pools: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    """All combinations of one argument; of several, those of the first dozen values."""
    return product(*(pools if len(pools) == 1 else [pool[:12] for pool in pools]))


def _results(inputs: Any, meaning: Callable[..., Any], constants: Sequence[Any]) -> list[Case]:
    cases = list[Case]()
    for given in inputs:
        try:
            cases.append((given, meaning(*given, *constants)))
        except FAULTS:
            continue
    return cases


def _changed(constants: Sequence[Any]) -> list[list[Any]]:
    """The constants with one of them changed: a number by one up and down, a text to another."""
    changed = list[list[Any]]()
    for place, value in enumerate(constants):
        others = [value - 1, value + 1] if type(value) is int else ["#"] if isinstance(value, str) else []
        changed += [[*constants[:place], other, *constants[place + 1 :]] for other in others]
    return changed


def _differs(case: Case, meaning: Callable[..., Any], constants: Sequence[Any]) -> bool:
    try:
        return source_text(meaning(*case[0], *constants)) != source_text(case[1])
    except FAULTS:
        return False
