"""Two ends of a graph agree on identity and on changes, whatever side makes them."""

from typing import Any

import pytest

from evals.sandbox.guest.graph import ObjectGraph
from evals.sandbox.guest.requests import REQUESTS


class Ends:
    """Two graphs; what one writes the other reads, and a stand-in's request is carried out on the other side."""

    def __init__(self) -> None:
        self.ours, self.theirs = ObjectGraph(1, self.ask_theirs), ObjectGraph(-1, self.ask_ours)

    def ask_theirs(self, verb: str, number: int, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        given = [self.send(value) for value in positional]
        return self.back(REQUESTS[verb](self.theirs.things[number], *given, **named))

    def ask_ours(self, verb: str, number: int, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return self.send(REQUESTS[verb](self.ours.things[number], *map(self.back, positional), **named))

    def _cross(self, source: ObjectGraph, target: ObjectGraph, value: Any) -> Any:
        source.written, target.written = set(), set()
        tree = source.write(value, True)
        changes = source.changes()
        source.purge()
        for change in changes:
            target.read(change)
        return target.read(tree)

    def send(self, value: Any) -> Any:
        """A value of ours on their side."""
        return self._cross(self.ours, self.theirs, value)

    def back(self, value: Any) -> Any:
        """A value of theirs on our side."""
        return self._cross(self.theirs, self.ours, value)


MUTABLE = [[1], {1: 2}, {1}, bytearray(b"a")]


@pytest.mark.parametrize("value", MUTABLE, ids=repr)
def test_what_comes_back_is_what_was_sent(value: Any) -> None:
    ends = Ends()
    there = ends.send(value)
    assert there == value and there is not value
    assert ends.back(there) is value
    assert ends.back([there, there])[1] is value


def test_changes_of_either_side_reach_the_other() -> None:
    ends = Ends()
    mine: Any = [[1], {"k": [2]}]
    there = ends.send(mine)
    there[0].append(9)
    there.append(there[1]["k"])
    assert ends.back(None) is None
    assert mine == [[1, 9], {"k": [2]}, [2]]
    assert mine[2] is mine[1]["k"]
    mine[2].append(5)
    ends.send(0)
    assert there == [[1, 9], {"k": [2, 5]}, [2, 5]]


def test_a_value_that_nobody_holds_any_more_is_forgotten() -> None:
    ends = Ends()
    for _ in range(50):
        ends.send([1, [2]])
        ends.back([3, {4: [5]}])
    assert len(ends.ours.things) < 10 and len(ends.theirs.things) < 10


def test_an_object_is_one_stand_in_and_comes_home_as_itself() -> None:
    ends = Ends()
    thing = iter([1, 2, 3])
    there = ends.send(thing)
    assert ends.send([thing])[0] is there
    assert ends.back(there) is thing
    assert next(there) == 1
    assert next(thing) == 2


def test_a_class_has_the_methods_of_the_other_sides_and_no_others() -> None:
    class Vector:
        def __init__(self, x: int) -> None:
            self.x = x

        def __add__(self, other: "Vector") -> "Vector":
            return Vector(self.x + other.x)

        def __len__(self) -> int:
            return self.x

    ends = Ends()
    kind: Any = ends.back(Vector)
    made = kind(2)
    assert (made + kind(3)).x == 5 and len(made) == 2
    assert isinstance(made, kind) and kind.__name__ == "Vector"
    with pytest.raises(TypeError):
        iter(made)
    with pytest.raises(TypeError):
        made < made  # noqa: B015
    made.x = 7
    assert made.x == 7
    with pytest.raises(AttributeError):
        made.y  # noqa: B018


def test_an_exception_comes_home_as_itself() -> None:
    ends = Ends()
    error = KeyError("k", 1)
    there = ends.send(error)
    assert type(there) is KeyError and there.args == error.args
    assert ends.back(there) is error


def test_an_own_exception_class_is_caught_by_its_base_and_its_stand_in() -> None:
    class Bad(LookupError):
        def __str__(self) -> str:
            return "bad"

    ends = Ends()
    kind: Any = ends.back(Bad)
    error = ends.back(Bad(1))
    assert isinstance(error, kind) and isinstance(error, LookupError)
    assert str(error) == "bad" and error.args == (1,)
    other = ends.back(Bad(2))
    other.__dict__["_text_on_the_other_side"] = "other"
    assert str(error) == "bad"


def test_not_a_number_keeps_its_identity() -> None:
    ends = Ends()
    value = float("nan")
    there = ends.send(value)
    assert ends.back([there])[0] is value
    assert ends.back(float("nan")) is not ends.back(float("nan"))
