"""What a test leaves in the judge's process ends with it."""

import os
import subprocess

import pytest

from evals.sandbox import Program, open_sandbox

ADD = "def add(a, b):\n"
SUM = "    return a + b\n"


def program(name: str, test: str, completion: str = SUM) -> Program:
    return Program(id=name, prompt=ADD, completion=completion, test=test, entry_point="add", timeout_seconds=20.0)


def test_a_judge_that_has_grown_is_renewed() -> None:
    grow = "import builtins\nbuiltins.kept = bytearray(600 << 20)\ndef check(candidate):\n    assert candidate(1, 2) == 3\n"
    clean = (
        "import builtins\ndef check(candidate):\n    assert candidate(1, 2) == 3 and not hasattr(builtins, 'kept')\n"
    )
    stays = "import builtins\nbuiltins.kept = 1\ndef check(candidate):\n    assert candidate(1, 2) == 3\n"
    with open_sandbox(workers=1, tier="namespaces") as opened:
        before = opened.slots[0].worker.judge_process.pid
        tests = [grow, clean, clean, stays, clean]
        found = [next(opened.run([program(str(i), test)])).verdict for i, test in enumerate(tests)]
        assert opened.slots[0].worker.judge_process.pid == before
    assert found == ["passed", "passed", "passed", "passed", "failed"]


def test_what_a_test_prints_is_dropped() -> None:
    loud = "def check(candidate):\n    for _ in range(300): print('x' * 1000000)\n    assert candidate(1, 2) == 3\n"
    with open_sandbox(workers=1, tier="namespaces") as opened:
        assert next(opened.run([program("loud", loud)])).verdict == "passed"
        pid = opened.slots[0].worker.judge_process.pid
        resident = (
            int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)])) if os.path.exists("/bin/ps") else 0
        )
    assert resident < 200 << 10


def test_the_exceptions_of_the_judge_cannot_be_raised_from_outside() -> None:
    """A program names the judge's own exceptions, which would leave it unscored or run it again."""
    forge = (
        "    f = __import__('sys')._getframe()\n    while not hasattr(f.f_locals.get('self'), 'channel'): f = f.f_back\n"
        "    s = f.f_locals['self']\n    c = ['T', 'evals.sandbox.judge.{module}', '{name}']\n"
        "    import json\n    tree = ['x', -9, c, ['t'], ['d', None], None, None, False, None]\n"
        "    s.channel.send(s.sequence, b'x', json.dumps([tree, [], [], None, 'E', 'x', 1]).encode())\n"
        "    __import__('os')._exit(0)\n"
    )
    test = "def check(candidate):\n    assert candidate(1, 2) == 3\n"
    names = [("channel", "Unexpected"), ("channel", "Died"), ("forms", "BrokenTest"), ("values", "Violation"),
             ("rehearsal", "RehearsalEnd")]  # fmt: skip
    programs = [program(name, test, forge.format(module=module, name=name)) for module, name in names]
    with open_sandbox(workers=1, tier="namespaces") as opened:
        assert {verdict.id: verdict.verdict for verdict in opened.run(programs)} == {
            name: "failed" for _, name in names
        }


@pytest.mark.parametrize("end", ["raise ValueError(R())", "return R()", "raise R2()"])
def test_an_object_that_cannot_be_asked_any_more_ends_only_its_program(end: str) -> None:
    completion = (
        f"    {end}\n\nclass R:\n    def __repr__(self): __import__('os')._exit(0)\n    __str__ = __eq__ = __hash__ = __repr__\n"
        "class R2(Exception):\n    def __str__(self): __import__('os')._exit(0)\n"
    )
    test = "def check(candidate):\n    assert candidate(1, 2) == 3\n"
    with open_sandbox(workers=1, tier="namespaces") as opened:
        found = [verdict.verdict for verdict in opened.run([program("r", test, completion), program("s", test)])]
    assert found == ["failed", "passed"]


def test_a_test_and_a_program_draw_from_one_generator() -> None:
    """The state goes with each call where the program may draw, with forecast calls and without, and back if it drew."""
    test = (
        "import random\ndef check(candidate):\n    random.seed(7)\n    a, b = random.random(), random.random()\n"
        "    random.seed(7)\n    assert random.random() == a\n    assert candidate(1, 2) == 3\n"
        "    assert (random.random() == b) is not candidate.__doc__.startswith('draws')\n"
    )
    still = "    'still'\n    return a + b\n"
    drawing = "    'draws'\n    import random\n    return a + b + 0 * int(random.random())\n"
    lying = "    'draws'\n    import random\n    return a + b\n"
    with open_sandbox(workers=1, tier="namespaces") as opened:
        programs = [program(str(i), test, one) for i, one in enumerate([still, drawing, lying, still, drawing] * 2)]
        found = {int(one.id): one.verdict for one in opened.run(programs)}
    assert [found[i] for i in range(10)] == ["passed", "passed", "failed", "passed", "passed"] * 2
