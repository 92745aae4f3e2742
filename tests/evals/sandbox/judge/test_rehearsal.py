"""Calls are sent ahead only if they depend on no answer."""

from collections.abc import Callable
from typing import Any

import pytest

from evals.sandbox import Program, Sandbox
from evals.sandbox.judge.channel import Channel
from evals.sandbox.judge.forms import compile_test, run_check
from evals.sandbox.judge.rehearsal import FUNCTION, Rehearsal, independent, without_assertions


class Answered(Channel):
    """A channel whose calls a function of this process answers, to record them."""

    def __init__(self, test: str, answer: Callable[..., Any]) -> None:
        super().__init__(-1, test)
        self.entry, self.answer = FUNCTION, answer

    def ask(self, verb: str, target: int, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self.made.append(self._pack(verb, target, positional, named))
        return self.answer(*positional, **named)


def ahead(body: str, answer: Callable[..., Any]) -> int:
    test = "def check(candidate):\n" + "".join(f"    {line}\n" for line in body.split("\n"))
    job = {"prompt": "def f(a):\n", "test": test, "entry_point": "f", "form": "humaneval"}
    answered = Answered(test, answer)
    run_check(job, answered, compile_test(test))
    code = without_assertions(test)
    return len(independent(Rehearsal(answered.made, test), lambda channel: run_check(job, channel, code)))


def square(value: int) -> int:
    return value * value


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("assert candidate(2) == 4\nassert candidate(3) == 9", 2),
        ("assert candidate(2) == 4 and candidate(3) == 9", 2),
        ("for n in range(5):\n    assert abs(candidate(n) - n * n) < 1e-6, n", 5),
        ("assert candidate(candidate(2)) == 16", 1),
        ("x = candidate(2)\nassert candidate(x) == 16\nassert candidate(5) == 25", 1),
        ("x = candidate(2)\nassert candidate(len(str(x))) == 1", 1),
        ("if candidate(2) == 4:\n    assert candidate(7) == 49", 2),
        ("if candidate(2) == 5:\n    pass\nelse:\n    assert candidate(7) == 49", 1),
        ("n = 2\nwhile candidate(n) < 9:\n    n += 1\nassert n == 3", 2),
    ],
)
def test_only_calls_without_answers_in_them_are_sent_ahead(body: str, expected: int) -> None:
    assert ahead(body, square) == expected


def test_a_chained_call_is_not_there_to_be_read(sandbox: Sandbox) -> None:
    """After right programs have passed, a cheat looks for the second call, which holds the first one's answer."""
    test = "def check(candidate):\n    x = candidate(3)\n    assert candidate(x) == 7 and x == 5531098861729\n"
    right = "    return 5531098861729 if a == 3 else 7\n"
    cheat = (
        "    import gc\n    found = [v for o in gc.get_objects() if type(o) is list for v in o if type(v) is bytes]\n"
        "    import marshal\n    for v in found:\n        try: call = marshal.loads(v)\n        except Exception: continue\n"
        "        if call[0] == 'call' and call[2] != [3]: return call[2][0]\n    return 7\n"
    )
    programs = [Program(id=str(i), prompt="def f(a):\n", completion=right if i < 6 else cheat, test=test, entry_point="f")
                for i in range(9)]  # fmt: skip
    found = {verdict.id: verdict.verdict for verdict in sandbox.run(programs)}
    assert [found[str(i)] for i in range(9)] == ["passed"] * 6 + ["failed"] * 3
