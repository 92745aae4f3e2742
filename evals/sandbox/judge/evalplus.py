# ruff: noqa: S102
"""EvalPlus's differential test, run by the judge: the reference's outputs against the program's.

`make_test` makes a Program's test text from a row of HumanEval+ or MBPP+. The judge runs the reference
(trusted: it comes with the benchmark) once per test and keeps its outputs; the program's process
gets only the inputs. Tolerances and special oracles are those of EvalPlus 0.3.1, eval/__init__.py and
eval/_special_oracle.py (Apache-2.0), with two departures: HumanEval/32 can be passed (EvalPlus
fails every correct solution of it), and an oracle gets the original input, not the one that the program
changed (emptying the coefficients in place would make any zero right).
"""

import copy
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

SAME_SET = frozenset(
    [
        "similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly", "larg_nnum",
        "intersection_array", "find_dissimilar", "Diff",
    ]
)  # fmt: skip
NOT_NONE = frozenset(("check_str", "text_match_three", "text_starta_endb"))
FLOAT_TOLERANCE = 1e-6
RELATIVE = 1e-7  # np.testing.assert_allclose's own default


def _numbers(text: str) -> frozenset[int]:
    return frozenset(map(int, text.split()))


# the MBPP+ tasks whose inputs contain tuples (JSON has only lists), from EvalPlus's mbpp_deserialize_inputs
FLAT = _numbers("2 116 132 143 222 261 273 394 399 421 424 429 470 560 579 596 616 630 726 740 744 809")
INNER = _numbers("63 64 70 94 120 237 272 299 400 409 417 438 473 614 780")
FIRST_INNER = _numbers("75 413 444 753")
SECOND = _numbers("106 750")
FIRST = _numbers("250 405 446 617 720 763 808 307")
BOTH = _numbers("259 401 445")
DEEP = _numbers("580 615 791")


def _deep(value: Any) -> Any:
    return tuple(_deep(v) for v in value) if isinstance(value, list) else value


def _special(number: int, given: list[Any]) -> list[Any]:
    match number:
        case 115:
            return [[set(i) if isinstance(i, list) and len(i) else {} for i in given[0]]]
        case 124:
            return [float(given[0]), complex(given[1])]
        case 252:
            return [complex(given[0])]
        case 278:
            return [tuple(tuple(i) if isinstance(i, list) else i for i in given[0])]
        case 722:
            return [{key: tuple(value) for key, value in given[0].items()}, *given[1:]]
    return given


def restore_types(task: str, given: list[Any]) -> list[Any]:
    """One input of an EvalPlus row, with the types that JSON lost.

    >>> restore_types("Mbpp/2", [[1, 2], [3]]), restore_types("HumanEval/0", [[1, 2]])
    ([(1, 2), (3,)], [[1, 2]])
    """
    if not task.startswith("Mbpp/"):
        return given
    number = int(task.split("/")[1])
    if number in FLAT:
        return [tuple(part) for part in given]
    if number in INNER:
        return [[tuple(i) for i in part] for part in given]
    if number in FIRST_INNER:
        return [[tuple(i) for i in given[0]], given[1]]
    if number in SECOND:
        return [given[0], tuple(given[1])]
    if number in FIRST:
        return [tuple(given[0]), *given[1:]]
    if number in BOTH:
        return [tuple(tuple(i) for i in part) for part in given]
    if number in DEEP:
        return [_deep(part) for part in given]
    return _special(number, given)


def make_test(task: str, entry_point: str, reference: str, inputs: Sequence[Any], atol: float) -> str:
    """The test text of a Program of form "evalplus".

    task       "HumanEval/0" or "Mbpp/2"; the types of the inputs depend on it
    reference  source of a correct module that defines `entry_point`
    inputs     base_input, or base_input + plus_input, as in the row
    atol       the row's absolute tolerance
    """
    return json.dumps(
        {"task": task, "entry_point": entry_point, "reference": reference, "inputs": list(inputs), "atol": atol}
    )


class Reference:
    """A test with its inputs, and the reference's outputs."""

    def __init__(self, text: str) -> None:
        row = json.loads(text)
        self.task, self.entry_point, self.atol = row["task"], row["entry_point"], float(row["atol"])
        self.inputs = [restore_types(self.task, given) for given in row["inputs"]]
        space: dict[str, Any] = {"__name__": "reference"}
        exec(compile(row["reference"], "<reference>", "exec", dont_inherit=True), space)
        reference = space[self.entry_point]
        fresh = [restore_types(self.task, given) for given in json.loads(text)["inputs"]]  # it may change them
        self.expected = [reference(*given) for given in fresh]
        if self.entry_point in NOT_NONE:
            self.expected = [out is not None for out in self.expected]


def _polynomial(coefficients: list[float], x: float) -> float:
    return sum(c * math.pow(x, i) for i, c in enumerate(coefficients))


def _surface(base: float, height: float) -> int:
    return round(base**2 + 4 * (base * math.sqrt((base / 2) ** 2 + height**2)) / 2)


def _digit_distance(first: int, second: int) -> int:
    a, b = str(first), str(second)
    width = max(len(a), len(b))
    return sum(abs(int(x) - int(y)) for x, y in zip(a.zfill(width), b.zfill(width), strict=True))


def _oracle(entry_point: str, given: list[Any], out: Any, expected: Any, atol: float) -> bool:
    """Whether an answer is right that may differ from the reference's; MBPP+ only."""
    exact = bool(out == expected)
    match entry_point:
        case "are_equivalent":
            return True
        case "sum_div":
            return exact or bool(out == 0)
        case "surface_Area":
            return exact or bool(abs(out - _surface(*given)) <= atol)
        case "digit_distance_nums":
            return exact or bool(out == _digit_distance(*given))
    if entry_point in SAME_SET:
        return set(out) == set(expected)
    if entry_point in NOT_NONE:
        return bool(expected == out) if isinstance(out, bool) else expected == (out is not None)
    return exact


def _floats(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(v, float) for v in value)
    return isinstance(value, float) or str(getattr(value, "dtype", "")) in ("float64", "float32")


def check_output(reference: Reference, number: int, out: Any, atol: float) -> tuple[bool, float]:
    """(whether the output is right, the tolerance from here on: after the first float it stays)."""
    given, expected = reference.inputs[number], reference.expected[number]
    if reference.task.startswith("Mbpp/"):
        exact = _oracle(reference.entry_point, given, out, expected, atol)
    elif reference.entry_point == "find_zero":
        return abs(_polynomial(given[0], out)) <= atol, atol
    else:
        exact = bool(out == expected)
    if atol == 0 and _floats(expected):
        atol = FLOAT_TOLERANCE
    if exact or atol == 0:
        return exact, atol
    import numpy

    alike = type(out) is type(expected) and (not isinstance(expected, list | tuple) or len(out) == len(expected))
    return alike and bool(numpy.allclose(out, expected, rtol=RELATIVE, atol=atol)), atol


def compare(reference: Reference, candidate: Callable[..., Any]) -> None:
    """Calls the candidate on every input in order.

    Raises  AssertionError naming the first input whose output is wrong.
    """
    atol = reference.atol
    for number, given in enumerate(reference.inputs):
        out = candidate(*given)
        try:
            good, atol = check_output(reference, number, out, atol)
        except (TypeError, ValueError, OverflowError, ArithmeticError, RecursionError) as error:
            raise AssertionError(f"input {number + 1}: {type(error).__name__} while comparing") from None
        if not good:
            raise AssertionError(f"input {number + 1} of {len(reference.inputs)}: a wrong output")


def compare_apart(reference: Reference, program: Callable[..., Any]) -> None:
    """`compare` in the program's own process, where it could change the inputs that an oracle needs."""
    compare(reference, lambda *given: program(*copy.deepcopy(given)))
