"""A program uses the test's objects as the test meant it, and finds no way from them to the test."""

import io
import sys
import types
from typing import Any

import pytest

from evals.sandbox.guest.graph import ObjectGraph
from evals.sandbox.judge.lending import SPACE, Lending, reference
from evals.sandbox.judge.values import Violation

SECRET = 5531098861729


def double(value: int) -> int:
    return value * 2


double.__module__ = SPACE


class Own:
    """Stands for a class of a test's."""

    __module__ = SPACE
    public = 3
    _private = SECRET

    def method(self) -> int:
        return 4


def lent(thing: Any) -> tuple[Lending, int]:
    graph = ObjectGraph(1, lambda *given: None, reference=reference)
    graph.write(thing, True)
    return Lending(graph), graph.numbers[id(thing)]


def use(thing: Any, verb: str, *positional: Any, **named: Any) -> Any:
    lending, number = lent(thing)
    return lending.carry_out(verb, number, list(positional), named)


def test_what_a_test_lends_can_be_used() -> None:
    seen: list[int] = []
    assert use(double, "call", 4) == 8
    use(seen.append, "call", 5)
    assert seen == [5]
    assert use(iter([1, 2]), "next", 1) == ([1], False, None)
    stream = io.StringIO()
    use(stream, "get", "write")("x")
    assert stream.getvalue() == "x"
    own = Own()
    assert use(own, "get", "public") == 3 and use(own, "get", "method")() == 4
    use(own, "set", "public", 9)
    assert own.public == 9


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (double, "__globals__"), (double, "__defaults__"), (double, "__closure__"), (Own(), "_private"), (Own(), "__dict__"),
        (Own(), "__class__"), (Own().method, "__func__"), ((n for n in [1]), "gi_frame"), ((n for n in [1]), "gi_code"),
        (sys._getframe(), "f_globals"), (Own, "__subclasses__"), (io.StringIO(), "__class__"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_no_name_leads_to_the_test(thing: Any, name: str) -> None:
    with pytest.raises(AttributeError):
        use(thing, "get", name)


def test_the_code_of_a_function_is_its_parameters_alone() -> None:
    code = use(double, "get", "__code__")
    assert code.co_varnames == ("value",) and code.co_argcount == 1
    assert not hasattr(code, "co_consts") and not hasattr(code, "co_code")


def test_classes_that_were_only_described_cannot_be_called() -> None:
    lending, _ = lent(double)
    number = lending.graph.numbers[id(types.FunctionType)]
    with pytest.raises(Violation):
        lending.carry_out("call", number, [double.__code__, {}], {})


@pytest.mark.parametrize("number", [99, -1, True, None, "0", 1.0])
def test_only_lent_objects_can_be_used(number: Any) -> None:
    lending, _ = lent(double)
    with pytest.raises(Violation):
        lending.carry_out("call", number, [1], {})


@pytest.mark.parametrize(
    ("verb", "positional"),
    [("name", ["x"]), ("await", []), ("subclass", ["X", {}]), ("next", [5]), ("special", ["__reduce__"]),
     ("special", ["__getattribute__", "x"]), ("operator", ["deepcopy"]), ("operator", ["dir"]), ("get", [5]), ("?", [])],
)  # fmt: skip
def test_no_other_request_is_carried_out(verb: str, positional: list[Any]) -> None:
    lending, number = lent(iter([1]))
    with pytest.raises(Violation):
        lending.carry_out(verb, number, positional, {})


@pytest.mark.parametrize("value", [len, eval, open, str.upper, io.StringIO, sys], ids=repr)
def test_pythons_own_functions_go_by_name(value: Any) -> None:
    found = reference(value)
    assert found is not None and found[0] in sys.modules
