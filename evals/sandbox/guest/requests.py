"""What one side may ask of an object of the other's: to call it, to read a name, to use an operator.

Both sides carry out requests with these functions. The judge first checks that the test lent the object for that
(`evals.sandbox.judge.lending`). Standard library only.
"""

import builtins
import copy
from collections.abc import Callable, Iterator
from typing import Any

# a private copy of builtins for every function below: a program that replaces Python's harms only itself
globals()["__builtins__"] = dict(vars(builtins))


FIXED = frozenset((int, str, float, bool, bytes, type(None)))


def _call(thing: Any, *positional: Any, **named: Any) -> Any:
    return thing(*positional, **named)


def _given(one: Any, value: Any) -> list[Any]:
    return [] if value is one.empty else [value]


def _get(thing: Any, name: str) -> Any:
    if name == "__signature__":
        import inspect

        signature = inspect.signature(thing)
        return _given(signature, signature.return_annotation), [
            (one.name, int(one.kind), _given(one, one.default), _given(one, one.annotation))
            for one in signature.parameters.values()
        ]
    return getattr(thing, name)


def _special(thing: Any, name: str, *given: Any, **named: Any) -> Any:
    method = getattr(type(thing), name, None)
    if method is None:
        raise TypeError(f"{type(thing).__name__!r} object has no {name}")
    return method(thing, *given, **named)


def _next(thing: Iterator[Any], most: int) -> tuple[list[Any], bool, BaseException | None]:
    """(items, whether there are no more, the exception that came after them)."""
    items: list[Any] = []
    try:
        while len(items) < most:
            items.append(next(thing))
            if type(items[-1]) not in FIXED:  # what it gives may be changed by what it gives next
                break
    except StopIteration as stop:
        return items, True, stop if stop.value is not None else None
    except BaseException as error:
        return items, True, error
    return items, False, None


def _await(thing: Any) -> Any:
    import asyncio

    async def wait() -> Any:
        return await thing

    return asyncio.run(wait())


_loops: list[Any] = []


def _await_items(thing: Any) -> list[Any]:
    """The next item of an asynchronous generator, in a list; empty at its end."""
    import asyncio

    async def wait() -> list[Any]:
        try:
            return [await thing.__anext__()]
        except StopAsyncIteration:
            return []

    loop = _loops[0] if _loops else asyncio.new_event_loop()  # one for all items: asyncio.run would end the generator
    _loops[:] = [loop]
    return loop.run_until_complete(wait())


def _subclass(thing: Any, name: str, names: dict[str, Any]) -> Any:
    """A class derived from one here, with functions of the other side as its methods."""

    def method(function: Any) -> Any:
        return lambda self, *positional, **named: function(self, *positional, **named)

    body = {one: method(value) if type(value).__name__ == "function" else value for one, value in names.items()}
    return type(thing)(name, (thing,), body)


OPERATORS: dict[str, Callable[..., Any]] = {
    "iter": iter, "len": len, "item": lambda thing, key: thing[key], "dir": dir, "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}  # fmt: skip


def _name(space: dict[str, Any], name: str) -> Any:
    try:
        return space[name]
    except KeyError:
        raise NameError(f"name {name!r} is not defined") from None


REQUESTS: dict[str, Callable[..., Any]] = {
    "call": _call, "get": _get, "set": setattr, "delete": delattr, "special": _special, "next": _next,
    "await": _await, "await items": _await_items, "subclass": _subclass, "name": _name,
    "operator": lambda thing, name, *given: OPERATORS[name](thing, *given),
}  # fmt: skip
