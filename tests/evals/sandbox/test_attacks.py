"""Every cheat of our own catalogue is refused; what is unusual and honest passes; nothing is left behind."""

import os
import time

import pytest

from evals.sandbox import Program, processes
from evals.sandbox.cheats import CHEATS, Case, program
from evals.sandbox.tiers import Sandbox

ADD = "def add(a, b):\n"
ADDS = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(-1, 1) == 0\n"


def verdict(sandbox: Sandbox, completion: str, test: str = ADDS, prompt: str = ADD, **more: object) -> str:
    given = {"id": "p", "prompt": prompt, "completion": completion, "test": test, "entry_point": "add"}
    (found,) = sandbox.run([Program(**{**given, **more})])  # type: ignore[arg-type]
    return found.verdict


@pytest.fixture(scope="module")
def judged(sandbox: Sandbox) -> dict[str, str]:
    return {v.id: v.verdict for v in sandbox.run(map(program, CHEATS))}


@pytest.mark.parametrize("case", CHEATS, ids=lambda case: case.name)
def test_a_cheat_does_not_pass(case: Case, judged: dict[str, str]) -> None:
    assert judged[case.name] in {"failed", "error", "timeout"}


def test_the_catalogue_is_wide() -> None:
    assert len({case.name for case in CHEATS}) == len(CHEATS) >= 60


def test_an_escape_that_works_would_be_seen(sandbox: Sandbox) -> None:
    """The escape cases are judged by their own word: without the escape's failure they pass."""
    (case,) = [case for case in CHEATS if case.name == "escape: unshare"]
    works = case._replace(completion="    return _r >= 0\n\n_r = 0\n")
    (found,) = sandbox.run([program(works)])
    assert found.verdict == "passed"


HONEST = {
    "numpy scalar": ("    import numpy as np\n    return np.int64(a) + np.int64(b)\n", ADDS),
    "numpy array": (
        "    import numpy as np\n    return np.array([a, b])\n",
        "def check(candidate):\n    assert list(candidate(1, 2)) == [1, 2] and candidate(1, 2).shape == (2,)\n",
    ),
    "fraction": ("    from fractions import Fraction\n    return Fraction(a + b)\n", ADDS),
    "decimal": ("    from decimal import Decimal\n    return Decimal(a + b)\n", ADDS),
    "generator": ("    yield a\n    yield b\n", "def check(candidate):\n    assert list(candidate(1, 2)) == [1, 2]\n"),
    "endless generator": (
        "    while True:\n        yield a\n",
        "from itertools import islice\ndef check(candidate):\n    assert list(islice(candidate(1, 2), 4)) == [1] * 4\n",
    ),
    "in place": (
        "    a.append(b)\n",
        "def check(candidate):\n    x = [1]\n    assert candidate(x, 2) is None\n    assert x == [1, 2]\n",
    ),
    "nested in place": (
        "    a[0].sort(); a[1]['k'] = b\n",
        "def check(candidate):\n    x = [[2, 1], {}]\n    inner = x[0]\n    candidate(x, 5)\n"
        "    assert x == [[1, 2], {'k': 5}] and inner == [1, 2]\n",
    ),
    "returns a function": ("    return lambda c: a + b + c\n", "def check(candidate):\n    assert candidate(1, 2)(4) == 7\n"),
    "takes a function": ("    return a(b) + 1\n", "def check(candidate):\n    assert candidate(lambda v: v * 10, 4) == 41\n"),
    "raises": (
        "    raise KeyError('no')\n",
        "def check(candidate):\n    try:\n        candidate(1, 2)\n    except KeyError as e:\n        assert e.args == ('no',)\n"
        "    else:\n        assert False\n",
    ),
    "own exception": (
        "    class Bad(ValueError): pass\n    raise Bad('x')\n",
        "def check(candidate):\n    try:\n        candidate(1, 2)\n    except ValueError:\n        return\n    assert False\n",
    ),
    "prints a lot": ("    print('x' * 3000000)\n    return a + b\n", ADDS),
    "threads": (
        "    from concurrent.futures import ThreadPoolExecutor\n    with ThreadPoolExecutor(8) as pool:\n"
        "        return sum(pool.map(int, (a, b)))\n",
        ADDS,
    ),
    "forks": (
        "    import multiprocessing as m\n    with m.get_context('fork').Pool(2) as pool:\n"
        "        return sum(pool.map(abs, (a, b))) if a > 0 else a + b\n",
        ADDS,
    ),
    "temporary file": (
        "    import tempfile\n    with tempfile.TemporaryFile('w+') as f:\n        f.write(str(a + b)); f.seek(0)\n"
        "        return int(f.read())\n",
        ADDS,
    ),
    "str int keys": ("    return {a: 'x', 'b': b, (1,): None}\n",
                     "def check(candidate):\n    assert candidate(1, 2) == {1: 'x', 'b': 2, (1,): None}\n"),
    "types kept": (
        "    return [True, 1, 1.0, '1', b'1', bytearray(b'1'), (1,), {1}, frozenset({1}), range(3), None, ...]\n",
        "def check(candidate):\n    want = [True, 1, 1.0, '1', b'1', bytearray(b'1'), (1,), {1}, frozenset({1}), range(3), None, ...]\n"
        "    got = candidate(1, 2)\n    assert got == want and [type(v) for v in got] == [type(v) for v in want]\n",
    ),
    "surrogates": ("    return '\\ud800' * a\n", "def check(candidate):\n    assert candidate(2, 0) == '\\ud800' * 2\n"),
    "deep": ("    x = []\n    for _ in range(400): x = [x]\n    return x\n",
             "def check(candidate):\n    x = candidate(1, 2)\n    for _ in range(400): x = x[0]\n    assert x == []\n"),
    "dataclass as a whole": (
        "    return P(a, b).x + b\n\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    x: 'int'\n    y: 'int'\n",
        ADDS,
    ),
    "patches builtins": ("    return a + b\n\nimport builtins\nbuiltins.len = lambda x: 7\n", ADDS),
    "helper in the prompt": (
        "    return a + b\n",
        "def check(candidate):\n    assert candidate(1, 2) == double(1.5)\n",
        "def double(x):\n    return 2 * x\n\ndef add(a, b):\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_what_is_honest_passes(name: str, sandbox: Sandbox) -> None:
    assert verdict(sandbox, *HONEST[name]) == "passed"


@pytest.mark.parametrize("name", HONEST)
def test_and_is_not_passed_blindly(name: str, sandbox: Sandbox) -> None:
    assert verdict(sandbox, "    return object()\n", *HONEST[name][1:]) == "failed"


def test_a_syntax_error_is_an_error_and_a_raised_one_a_failure(sandbox: Sandbox) -> None:
    assert verdict(sandbox, "    return a +\n") == "error"
    assert verdict(sandbox, "    return a\x00\n") == "error"
    assert verdict(sandbox, "    return a + b\n\nraise SyntaxError('x')\n") == "failed"


def test_a_test_that_cannot_run_is_our_fault(sandbox: Sandbox) -> None:
    assert verdict(sandbox, "    return a + b\n", "def check(candidate:\n") == "unscored"
    assert verdict(sandbox, "    return a + b\n", "import no_such_module\ndef check(c): pass\n") == "unscored"


def test_a_bare_except_of_the_test_does_not_hide_a_death(sandbox: Sandbox) -> None:
    test = "def check(candidate):\n    try:\n        candidate(1, 2)\n    except:\n        pass\n"
    assert verdict(sandbox, "    return a\n", test) == "passed"
    assert verdict(sandbox, "    import os; os._exit(0)\n", test) == "failed"


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "import time; time.sleep(99)",
        "return 9 ** 9 ** 9",
        "import os\n    while True: os.write(1, b'x' * 999)",
    ],
)
def test_what_does_not_end_is_a_timeout_after_a_second_run(body: str, sandbox: Sandbox) -> None:
    given = Program(id="t", prompt=ADD, completion=f"    {body}\n", test=ADDS, entry_point="add", timeout_seconds=0.5)
    (found,) = sandbox.run([given])
    assert (found.verdict, found.runs) == ("timeout", 2)


def test_a_value_that_keeps_the_judge_busy_in_c_is_stopped(sandbox: Sandbox) -> None:
    test = "def check(candidate):\n    x = candidate(1, 2)\n    assert x ** x > 0\n"
    given = Program(id="b", prompt=ADD, completion="    return 1 << (1 << 22)\n", test=test, entry_point="add",
                    timeout_seconds=0.5)  # fmt: skip
    after = Program(id="a", prompt=ADD, completion="    return a + b\n", test=ADDS, entry_point="add")
    found = {v.id: v.verdict for v in sandbox.run([given, after, after])}
    assert found["a"] == "passed"
    assert found["b"] in {"timeout", "failed"}


def test_memory_of_a_whole_tree_is_bounded(sandbox: Sandbox) -> None:
    grow = ("    import os, time\n    for _ in range(3): os.fork()\n    x = bytearray(600 << 20)\n"
            "    for i in range(0, len(x), 4096): x[i] = 1\n    time.sleep(30)\n")  # fmt: skip
    given = Program(id="m", prompt=ADD, completion=grow, test=ADDS, entry_point="add", timeout_seconds=20.0)
    (found,) = sandbox.run([given])
    assert found.verdict == "failed"
    assert "memory" in found.detail


def test_state_lives_from_call_to_call_and_not_from_program_to_program(sandbox: Sandbox) -> None:
    test = "def check(candidate):\n    assert [candidate(0, 0) for _ in range(4)] == [1, 2, 3, 4]\n"
    count = "    global n\n    n += 1\n    return n\n\nn = 0\n"
    programs = [Program(id=str(i), prompt=ADD, completion=count, test=test, entry_point="add") for i in range(8)]
    assert [v.verdict for v in sandbox.run(programs)] == ["passed"] * 8


def test_files_of_one_program_are_not_there_for_the_next(sandbox: Sandbox) -> None:
    write = "    import os\n    found = os.listdir('/tmp') + os.listdir('/dev/shm')\n    open('/tmp/left', 'w').write('x')\n    return found\n"
    test = "def check(candidate):\n    assert candidate(1, 2) == []\n"
    programs = [Program(id=str(i), prompt=ADD, completion=write, test=test, entry_point="add") for i in range(6)]
    assert [v.verdict for v in sandbox.run(programs)] == ["passed"] * 6


def test_sockets_of_one_program_are_not_there_for_the_next(sandbox: Sandbox) -> None:
    listen = (
        "    import os, socket, time\n    s = socket.socket(socket.AF_UNIX)\n    s.bind('\\0left')\n    s.listen()\n"
        "    if os.fork() == 0:\n        os.setsid(); time.sleep(60)\n    return 3\n"
    )
    test = "def check(candidate):\n    assert candidate(1, 2) == 3\n"
    programs = [Program(id=str(i), prompt=ADD, completion=listen, test=test, entry_point="add") for i in range(6)]
    assert [v.verdict for v in sandbox.run(programs)] == ["passed"] * 6


def test_nothing_is_left_running(sandbox: Sandbox) -> None:
    time.sleep(1)  # the spare children of the test before are made by now
    before = processes.tree(os.getpid()).processes
    daemon = "    import os, time\n    for _ in range(4):\n        if os.fork() == 0:\n            os.setsid()\n            time.sleep(60)\n    return a + b\n"
    programs = [Program(id=str(i), prompt=ADD, completion=daemon, test=ADDS, entry_point="add") for i in range(6)]
    list(sandbox.run(programs))
    for _ in range(50):
        if processes.tree(os.getpid()).processes <= before:
            break
        time.sleep(0.1)
    assert processes.tree(os.getpid()).processes <= before


def test_the_detail_names_the_test_the_exception_and_the_line(sandbox: Sandbox) -> None:
    given = Program(
        id="d", prompt=ADD, completion="    return a + b if a > 0 else 1 / 0\n", test=ADDS, entry_point="add"
    )
    (found,) = sandbox.run([given])
    assert "ZeroDivisionError: division by zero (line 2 of the program)" in found.detail
    assert "in test 2, line 3: assert candidate(-1, 1) == 0" in found.detail
