"""Function templates of the template teacher: numbers, pairs, tables, recursion, loops, choices.

Each template is a function body with constants to fill in; `operations` has the composable one-line operations.
`meaning` computes the result in another way than the body and tests it. This file draws no random numbers.
"""

from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple

SMALL = tuple(range(2, 10))
TINY = (1, 2, 3, 4, 5)
NAMED = ("low", "high", "small", "big", "cold", "hot", "yes", "no")


class FunctionTemplate(NamedTuple):
    """One function template.

    family, name  its family, and the word that gives a function its name
    arguments     kinds of the arguments: number, numbers, text, words, table
    phrases       its description; {v} {w} the arguments, {x} an item, {k} {j} {i} the constants
    body          lines of code, indented by 4 inside the function; {f} is the function's own name
    meaning       arguments, then constants -> the result
    constants     choices for k, j and i, if used
    """

    family: str
    name: str
    arguments: tuple[str, ...]
    phrases: tuple[str, ...]
    body: tuple[str, ...]
    meaning: Callable[..., Any]
    constants: tuple[tuple[Any, ...], ...] = ()


def _build(family: str, name: str, arguments: str, phrases: str, body: str, meaning: Callable[..., Any],
           *constants: tuple[Any, ...]) -> FunctionTemplate:  # fmt: skip
    lines = tuple(body.split("\n"))
    return FunctionTemplate(
        family, name, tuple(arguments.split()), tuple(phrases.split(" | ")), lines, meaning, constants
    )


def _chain(start: int, steps: int, step: Callable[[int, int], int]) -> int:
    value = start
    for number in range(1, steps + 1):
        value = step(value, number)
    return value


def _terms(first: int, second: int, n: int) -> int:
    terms = [first, second]
    while len(terms) <= n:
        terms.append(terms[-1] + terms[-2])
    return terms[n]


FUNCTION_TEMPLATES = (
    _build("number_arithmetic", "linear", "number", "multiply {v} by {k} and add {j} | add {j} to {k} times {v}",
           "return {v} * {k} + {j}", lambda v, k, j: sum([v] * k) + j, SMALL, SMALL),
    _build("number_arithmetic", "shift", "number", "add {k} to {v} and multiply the sum by {j}",
           "return ({v} + {k}) * {j}", lambda v, k, j: v * j + k * j, SMALL, SMALL),
    _build("number_arithmetic", "square_plus", "number", "square {v} and add {k} | add {k} to the square of {v}",
           "return {v} * {v} + {k}", lambda v, k: pow(v, 2) + k, SMALL),
    _build("number_arithmetic", "power_minus", "number", "raise {v} to the power {k} and subtract {j}",
           "return {v} ** {k} - {j}", lambda v, k, j: _chain(1, k, lambda a, _: a * v) - j, (2, 3, 4), SMALL),
    _build("number_arithmetic", "clamp", "number", "limit {v} to between {k} and {j} | keep {v} between {k} and {j}",
           "return max({k}, min({v}, {j}))", lambda v, k, j: sorted([k, v, j])[1], (0, 1, 2, 3), (5, 6, 7, 8, 9)),
    _build("number_arithmetic", "distance", "number", "find the distance of {v} from {k}",
           "return abs({v} - {k})", lambda v, k: max(v, k) - min(v, k), SMALL),
    _build("number_test", "divisible", "number", "tell whether {v} is divisible by {k}",
           "return {v} % {k} == 0", lambda v, k: v in range(0, v + 1, k), SMALL),
    _build("number_test", "remainder", "number", "tell whether {v} divided by {k} leaves {j}",
           "return {v} % {k} == {j}", lambda v, k, j: divmod(v, k)[1] == j, (6, 7, 8, 9), TINY),
    _build("number_test", "between", "number", "tell whether {v} is greater than {k} and less than {j}",
           "return {v} > {k} and {v} < {j}", lambda v, k, j: v in range(k + 1, j), (2, 3, 4, 5), (6, 7, 8, 9)),
    _build("number_test", "either", "number", "tell whether {v} is divisible by {k} or by {j}",
           "return {v} % {k} == 0 or {v} % {j} == 0", lambda v, k, j: not (v % k and v % j), (2, 3, 4, 5),
           (6, 7, 8, 9)),
    _build("number_range", "multiples", "number", "list the first {v} multiples of {k}",
           "return [{k} * i for i in range(1, {v} + 1)]", lambda v, k: list(range(k, k * v + 1, k)), SMALL),
    _build("number_range", "count_up", "number", "list the numbers from {k} up to {v}",
           "return list(range({k}, {v} + 1))", lambda v, k: [k + i for i in range(max(0, v - k + 1))], TINY),
    _build("number_range", "powers", "number", "list the powers of {k} below exponent {v}",
           "return [{k} ** i for i in range({v})]", lambda v, k: [pow(k, i) for i in range(v)], (2, 3, 4, 5)),
    _build("number_range", "shifted_squares", "number",
           "list the squares of the numbers below {v}, each increased by {k}",
           "return [i * i + {k} for i in range({v})]", lambda v, k: [k + pow(i, 2) for i in range(v)], SMALL),
    _build("pair_arithmetic", "mix", "number number", "multiply {v} by {k}, then add {w} | add {w} to {k} times {v}",
           "return {v} * {k} + {w}", lambda v, w, k: sum([v] * k, w), SMALL),
    _build("pair_arithmetic", "weigh", "number number", "add {k} times {v} to {j} times {w}",
           "return {k} * {v} + {j} * {w}", lambda v, w, k, j: sum([v] * k + [w] * j), SMALL, SMALL),
    _build("pair_arithmetic", "larger_plus", "number number", "add {k} to the larger of {v} and {w}",
           "return max({v}, {w}) + {k}", lambda v, w, k: sorted([v, w])[1] + k, SMALL),
    _build("pair_arithmetic", "smaller_times", "number number", "multiply the smaller of {v} and {w} by {k}",
           "return min({v}, {w}) * {k}", lambda v, w, k: k * sorted([v, w])[0], SMALL),
    _build("pair_arithmetic", "sum_modulo", "number number", "find the sum of {v} and {w} modulo {k}",
           "return ({v} + {w}) % {k}", lambda v, w, k: divmod(v + w, k)[1], SMALL),
    _build("recursion_number", "climb", "number", "start with {k} and add {j} for each of {v} steps",
           "if {v} == 0:\n    return {k}\nreturn {f}({v} - 1) + {j}", lambda v, k, j: k + j * v, SMALL, SMALL),
    _build("recursion_number", "grow", "number", "start with {k} and multiply by {j} for each of {v} steps",
           "if {v} == 0:\n    return {k}\nreturn {f}({v} - 1) * {j}", lambda v, k, j: k * j**v, SMALL, (2, 3, 4, 5)),
    _build("recursion_number", "pile", "number", "start with {k} and add the numbers from 1 to {v}",
           "if {v} == 0:\n    return {k}\nreturn {f}({v} - 1) + {v}", lambda v, k: k + v * (v + 1) // 2, SMALL),
    _build("recursion_number", "sequence", "number",
           "find term {v} of a sequence that starts with {k} and {j} and adds the last two terms",
           "if {v} == 0:\n    return {k}\nif {v} == 1:\n    return {j}\nreturn {f}({v} - 1) + {f}({v} - 2)",
           lambda v, k, j: _terms(k, j, v), TINY, SMALL),
    _build("recursion_list", "count_down", "number", "list the numbers from {v} down to 1 in steps of {k}",
           "if {v} <= 0:\n    return []\nreturn [{v}] + {f}({v} - {k})", lambda v, k: list(range(v, 0, -k)), TINY),
    _build("recursion_list", "fold", "numbers", "add up {k} times each item of {v} with recursion, starting at {j}",
           "if not {v}:\n    return {j}\nreturn {v}[0] * {k} + {f}({v}[1:])",
           lambda v, k, j: j + sum(k * x for x in v), SMALL, SMALL),
    _build("recursion_list", "each_plus", "numbers", "add {k} to each item of {v} with recursion",
           "if not {v}:\n    return []\nreturn [{v}[0] + {k}] + {f}({v}[1:])", lambda v, k: [x + k for x in v], SMALL),
    _build("recursion_text", "dotted", "text", "put {k} after each letter of {v} with recursion",
           "if not {v}:\n    return \"\"\nreturn {v}[0] + {k} + {f}({v}[1:])", lambda v, k: "".join(c + k for c in v),
           ("-", ",", ".", ":", "/", "_", "+", "!", "?", "x", "o", "s")),
    _build("recursion_text", "mirror", "text", "reverse {v} with recursion and end with {k}",
           "if not {v}:\n    return {k}\nreturn {v}[-1] + {f}({v}[:-1])", lambda v, k: v[::-1] + k,
           ("-", ",", ".", ":", "/", "_", "+", "!", "?", "x", "o", "s")),
    _build("loop_total", "total", "numbers", "add up the items of {v} greater than {k}, starting at {j}",
           "total = {j}\nfor {x} in {v}:\n    if {x} > {k}:\n        total += {x}\nreturn total",
           lambda v, k, j: sum([x for x in v if x > k], j), SMALL, SMALL),
    _build("loop_total", "weighted", "numbers", "add up the items of {v} less than {k}, each multiplied by {j}",
           "total = 0\nfor {x} in {v}:\n    if {x} < {k}:\n        total += {x} * {j}\nreturn total",
           lambda v, k, j: sum(x * j for x in v if x < k), SMALL, SMALL),
    _build("loop_total", "tally", "numbers", "count the items of {v} equal to {k}, starting at {j}",
           "total = {j}\nfor {x} in {v}:\n    if {x} == {k}:\n        total += 1\nreturn total",
           lambda v, k, j: j + v.count(k), SMALL, SMALL),
    _build("loop_search", "find", "numbers",
           "find the index of the first item of {v} greater than {k}, or {j} if there is none",
           "for i, {x} in enumerate({v}):\n    if {x} > {k}:\n        return i\nreturn {j}",
           lambda v, k, j: next((i for i in range(len(v)) if v[i] > k), j), SMALL, (0, 1, 10, 99)),
    _build("loop_search", "pick", "numbers", "find the first item of {v} divisible by {k}, or {j} if there is none",
           "for {x} in {v}:\n    if {x} % {k} == 0:\n        return {x}\nreturn {j}",
           lambda v, k, j: ([x for x in v if not x % k] or [j])[0], SMALL, (0, 1, 10, 99)),
    _build("loop_while", "shrink", "number", "count how often {k} can be subtracted from {v}",
           "count = 0\nwhile {v} >= {k}:\n    {v} -= {k}\n    count += 1\nreturn count", lambda v, k: v // k, SMALL),
    _build("loop_while", "steps", "number", "count how often {v} can be divided by {k} until it is below {j}",
           "count = 0\nwhile {v} >= {j}:\n    {v} //= {k}\n    count += 1\nreturn count",
           lambda v, k, j: next(c for c in range(99) if v // k**c < j), (2, 3, 4, 5), SMALL),
    _build("loop_while", "double_up", "number", "multiply {v} by {k} until it is greater than {j}",
           "while {v} <= {j}:\n    {v} *= {k}\nreturn {v}",
           lambda v, k, j: next(v * k**c for c in range(99) if v * k**c > j), (2, 3, 4, 5), (10, 20, 30, 50, 99)),
    _build("running", "running", "numbers", "list the running totals of {v}, starting at {k}",
           "total = {k}\nresult = []\nfor {x} in {v}:\n    total += {x}\n    result.append(total)\nreturn result",
           lambda v, k: list(accumulate(v, initial=k))[1:], tuple(range(10))),
    _build("running", "running_scaled", "numbers", "list the running totals of {v}, each multiplied by {k}",
           "total = 0\nresult = []\nfor {x} in {v}:\n    total += {x}\n    result.append(total * {k})\nreturn result",
           lambda v, k: [k * x for x in accumulate(v)], SMALL),
    _build("choice", "label", "number", "return {k} if {v} is greater than {j} and {i} otherwise",
           "if {v} > {j}:\n    return {k}\nreturn {i}", lambda v, k, j, i: {True: k, False: i}[v > j], NAMED, SMALL,
           NAMED),
    _build("choice", "divided", "number", "return {k} if {v} is divisible by {j} and {i} otherwise",
           "if {v} % {j} == 0:\n    return {k}\nreturn {i}", lambda v, k, j, i: i if v % j else k, NAMED, SMALL, NAMED),
    _build("choice", "sized", "text", "return {k} if {v} has more than {j} letters and {i} otherwise",
           "if len({v}) > {j}:\n    return {k}\nreturn {i}", lambda v, k, j, i: k if v[j:] else i, NAMED, SMALL, NAMED),
    _build("table_values", "total", "table", "add up the values of {v} and add {k}",
           "return sum({v}.values()) + {k}", lambda v, k: sum([v[x] for x in v], k), SMALL),
    _build("table_values", "look_up", "table", "find the value of {k} in {v}, or {j} if it is missing",
           "return {v}.get({k}, {j})", lambda v, k, j: {k: j, **v}[k],
           ("pen", "tea", "cat", "sun", "map", "ice"), SMALL),
    _build("table_values", "count_values", "table", "count the values of {v} greater than {k}",
           "return sum(1 for value in {v}.values() if value > {k})", lambda v, k: len([x for x in v if v[x] > k]),
           SMALL),
    _build("table_filter", "keys_above", "table", "list the keys of {v} with a value greater than {k}",
           "return [key for key, value in {v}.items() if value > {k}]", lambda v, k: [x for x in v if v[x] > k], SMALL),
    _build("table_filter", "keep_below", "table", "keep the entries of {v} with a value less than {k}",
           "return {{key: value for key, value in {v}.items() if value < {k}}}",
           lambda v, k: {x: v[x] for x in v if v[x] < k}, SMALL),
    _build("table_build", "scale_values", "table", "multiply each value of {v} by {k}",
           "return {{key: value * {k} for key, value in {v}.items()}}", lambda v, k: {x: k * v[x] for x in v}, SMALL),
    _build("table_build", "increase_values", "table", "add {k} to each value of {v}",
           "return {{key: value + {k} for key, value in {v}.items()}}", lambda v, k: {x: k + v[x] for x in v}, SMALL),
    _build("table_build", "times_table", "numbers", "map each item of {v} to {k} times the item",
           "return {{{x}: {x} * {k} for {x} in {v}}}", lambda v, k: {x: sum([x] * k) for x in v}, SMALL),
    _build("table_build", "tag_all", "words", "map each item of {v} to {k} | give each item of {v} the value {k}",
           "return {{{x}: {k} for {x} in {v}}}", lambda v, k: dict.fromkeys(v, k), tuple(range(10))),
    _build("nested", "select_scale", "numbers", "multiply the items of {v} greater than {k} by {j}",
           "return [{x} * {j} for {x} in {v} if {x} > {k}]", lambda v, k, j: [j * x for x in v if not x <= k], SMALL,
           SMALL),
    _build("nested", "select_increase", "numbers", "add {j} to the items of {v} divisible by {k}",
           "return [{x} + {j} for {x} in {v} if {x} % {k} == 0]", lambda v, k, j: [j + x for x in v if not x % k],
           SMALL, SMALL),
    _build("nested", "count_between", "numbers", "count the items of {v} greater than {k} and less than {j}",
           "return sum(1 for {x} in {v} if {x} > {k} and {x} < {j})",
           lambda v, k, j: len([x for x in v if x in range(k + 1, j)]), (1, 2, 3, 4, 5), (6, 7, 8, 9)),
    _build("nested", "adjust", "numbers", "add {k} to the items of {v} less than {j} and keep the others",
           "return [{x} + {k} if {x} < {j} else {x} for {x} in {v}]",
           lambda v, k, j: [x + k * (x < j) for x in v], SMALL, SMALL),
)  # fmt: skip
