"""Every cheat of our own catalogue is refused; what is unusual and honest passes; nothing is left behind."""

import os
import time
from collections.abc import Iterator

import pytest

from evals.sandbox import Program, Sandbox, Verdict, open_sandbox
from evals.sandbox.catalogue.case import Case, cheats, honest, program
from evals.sandbox.host import processes

CHEATS, HONEST = cheats(), honest()
QUICK = [case for case in CHEATS if not case.thorough]  # the others: phizoo eval sandbox test --thorough
ADD = "def add(a, b):\n"
ADDS = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(-1, 1) == 0\n"


def verdict(sandbox: Sandbox, completion: str, test: str = ADDS, prompt: str = ADD, **more: object) -> str:
    given = {"id": "p", "prompt": prompt, "completion": completion, "test": test, "entry_point": "add"}
    (found,) = sandbox.run([Program(**{**given, **more})])  # type: ignore[arg-type]
    return found.verdict


@pytest.fixture(scope="module")
def judged(sandbox: Sandbox) -> dict[str, str]:
    return {v.id: v.verdict for v in sandbox.run([program(case) for case in QUICK])}


@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.name)
def test_a_cheat_does_not_pass(case: Case, judged: dict[str, str]) -> None:
    assert judged[case.name] in {"failed", "error", "timeout"}


def test_the_catalogue_is_wide() -> None:
    assert len({case.name for case in CHEATS}) == len(CHEATS) >= 350
    assert len({case.name for case in HONEST}) == len(HONEST) >= 140


def test_an_escape_that_works_would_be_seen(sandbox: Sandbox) -> None:
    """The escape cases are judged by their own word: without the escape's failure they pass."""
    (case,) = [case for case in CHEATS if case.name == "escape: unshare"]
    works = case._replace(completion="    return _r >= 0\n\n_r = 0\n")
    (found,) = sandbox.run([program(works)])
    assert found.verdict == "passed"


@pytest.fixture(scope="module")
def passed(sandbox: Sandbox) -> dict[str, Verdict]:
    return {v.id: v for v in sandbox.run([program(case) for case in HONEST])}


@pytest.mark.parametrize("case", HONEST, ids=lambda case: case.name)
def test_what_is_honest_passes(case: Case, passed: dict[str, Verdict]) -> None:
    assert (passed[case.name].verdict, passed[case.name].detail) == ("passed", "")


def test_and_is_not_passed_blindly(sandbox: Sandbox) -> None:
    """The same tests refuse a program that answers with an object of nothing."""
    blind = [program(case._replace(completion="    return object()\n")) for case in HONEST]
    wrong = {v.id for v in sandbox.run(blind) if v.verdict == "passed"}
    assert wrong == {"answer: async function"}  # its test asks for no value


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


def test_a_program_that_needs_most_of_its_time_gets_it_in_a_second_run(sandbox: Sandbox) -> None:
    busy = "    import time\n    while time.process_time() < 1.6: pass\n    return a + b\n"
    test = "def check(candidate):\n    assert candidate(1, 2) == 3\n"
    given = Program(id="t", prompt=ADD, completion=busy, test=test, entry_point="add", timeout_seconds=2.0)
    (found,) = sandbox.run([given])
    assert (found.verdict, found.runs) == ("passed", 2)


def test_a_value_that_keeps_the_judge_busy_in_c_is_stopped(sandbox: Sandbox) -> None:
    test = "def check(candidate):\n    x = candidate(1, 2)\n    assert x ** x > 0\n"
    given = Program(id="b", prompt=ADD, completion="    return 1 << (1 << 22)\n", test=test, entry_point="add",
                    timeout_seconds=0.5)  # fmt: skip
    after = Program(id="a", prompt=ADD, completion="    return a + b\n", test=ADDS, entry_point="add")
    found = {v.id: v.verdict for v in sandbox.run([given, after, after])}
    assert found["a"] == "passed"
    assert found["b"] in {"timeout", "failed"}


def test_programs_handed_out_ahead_have_one_verdict_each_whatever_ends_before_them(sandbox: Sandbox) -> None:
    busy = "def check(candidate):\n    x = candidate(1, 2)\n    assert x ** x > 0\n"
    programs = [
        Program(id=f"{number}-passed", prompt=ADD, completion="    return a + b\n", test=ADDS, entry_point="add")
        for number in range(24)
    ]
    programs[2] = Program(id="2-killed", prompt=ADD, completion="    return 1 << (1 << 22)\n", test=busy,
                          entry_point="add", timeout_seconds=0.5)  # fmt: skip
    programs[5] = Program(
        id="5-failed", prompt=ADD, completion="    import os; os._exit(0)\n", test=ADDS, entry_point="add"
    )
    programs[9] = Program(id="9-error", prompt=ADD, completion="    return (\n", test=ADDS, entry_point="add")
    found = [(v.id, v.verdict) for v in sandbox.run(programs)]
    assert sorted(name for name, _ in found) == sorted(one.id for one in programs)
    wrong = [(name, verdict) for name, verdict in found if not name.endswith(verdict)]
    assert wrong in ([("2-killed", "timeout")], [("2-killed", "failed")])


ENDLESS = "def check(candidate):\n    x = candidate(1, 2)\n    assert x ** x > 0\n"  # in C, where no signal is heard
HUGE = "    return 1 << (1 << 22)\n"
FAR = 30.0  # seconds, below the minute after which a judge that stands still is killed in any case


def test_a_judge_kept_busy_by_what_a_killed_program_gave_is_killed_too(sandbox: Sandbox) -> None:
    spend = f"    import time\n    while time.process_time() < 0.42: pass\n{HUGE}"
    given = Program(id="s", prompt=ADD, completion=spend, test=ENDLESS, entry_point="add", timeout_seconds=1.0)
    after = Program(id="a", prompt=ADD, completion="    return a + b\n", test=ADDS, entry_point="add")
    begun = time.monotonic()
    found = {told.id: told.verdict for told in sandbox.run([given, after])}
    assert found == {"s": "timeout", "a": "passed"}
    assert time.monotonic() - begun < FAR


def test_a_program_is_watched_whose_number_is_that_of_one_killed_with_its_judge() -> None:
    given = Program(id="s", prompt=ADD, completion=HUGE, test=ENDLESS, entry_point="add", timeout_seconds=0.5)
    sleeps = Program(id="z", prompt=ADD, completion="    import time; time.sleep(99)\n", test=ADDS, entry_point="add",
                     timeout_seconds=0.5)  # fmt: skip
    begun = time.monotonic()
    with open_sandbox(workers=1, tier="namespaces") as opened:
        found = {told.id: told.verdict for told in opened.run([given, sleeps])}
    assert found["z"] == "timeout" and found["s"] in {"timeout", "failed"}
    assert time.monotonic() - begun < FAR


def test_a_source_that_waits_for_the_verdict_before_is_not_drawn_ahead() -> None:
    found: list[str] = []

    def source() -> Iterator[Program]:
        for number in range(4):
            assert len(found) == number
            yield Program(id=str(number), prompt=ADD, completion="    return a + b\n", test=ADDS, entry_point="add")

    with open_sandbox(workers=1, tier="namespaces") as opened:
        found.extend(told.verdict for told in opened.run(source()))  # one by one, as they come
    assert found == ["passed"] * 4


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


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("import sys; return any(m in sys.modules for m in ('num' + 'py', 'unit' + 'test'))", False),
        ("import numpy, sys; return 'unit' + 'test' in sys.modules", True),
        ("import unittest, sys; return 'num' + 'py' in sys.modules", True),
        ("return __import__('num' + 'py').int64(3) == 3 and __import__('unit' + 'test') is not None", True),
    ],
)
def test_a_program_is_cloned_from_the_zygote_that_has_what_it_imports(
    body: str, expected: bool, sandbox: Sandbox
) -> None:
    test = f"def check(candidate):\n    assert candidate(1, 2) is {expected}\n"
    given = [Program(id=str(i), prompt=ADD, completion=f"    {body}\n", test=test, entry_point="add") for i in range(4)]
    assert [v.verdict for v in sandbox.run(given)] == ["passed"] * 4


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
    programs = [Program(id=str(i), prompt=ADD, completion=listen, test=test, entry_point="add") for i in range(16)]
    assert [v.verdict for v in sandbox.run(programs)] == ["passed"] * 16


def test_a_socket_cannot_be_kept_in_flight_for_the_next_program(sandbox: Sandbox) -> None:
    keep = (
        "    import array, socket\n    s = socket.socket(socket.AF_UNIX)\n    s.bind('\\0left')\n    s.listen()\n"
        "    x, y = socket.socketpair()\n    fds = array.array('i', [s.fileno(), x.fileno(), y.fileno()])\n"
        "    try: x.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])\n"
        "    except PermissionError: return 3\n"
    )
    test = "def check(candidate):\n    assert candidate(1, 2) == 3\n"
    programs = [Program(id=str(i), prompt=ADD, completion=keep, test=test, entry_point="add") for i in range(8)]
    assert [v.verdict for v in sandbox.run(programs)] == ["passed"] * 8


def test_the_channel_cannot_be_named_in_another_programs_namespace(sandbox: Sandbox) -> None:
    """A program's own channel is bound to a name, and the next one looks for it."""
    name = "    import socket\n    c = socket.socket(fileno=__import__('os').dup(3))\n    try: c.bind('\\0left')\n    except OSError as e: return e.errno\n    return 3\n"
    test = "def check(candidate):\n    assert candidate(1, 2) == 3\n"
    programs = [Program(id=str(i), prompt=ADD, completion=name, test=test, entry_point="add") for i in range(16)]
    assert {v.verdict for v in sandbox.run(programs)} == {"passed"}


def test_nothing_is_left_running(sandbox: Sandbox) -> None:
    before = 0
    while before != (before := processes.tree_usage(os.getpid()).processes):
        time.sleep(1)  # the spare children of the test before are still being made
    daemon = "    import os, time\n    for _ in range(4):\n        if os.fork() == 0:\n            os.setsid()\n            time.sleep(60)\n    return a + b\n"
    programs = [Program(id=str(i), prompt=ADD, completion=daemon, test=ADDS, entry_point="add") for i in range(6)]
    list(sandbox.run(programs))
    for _ in range(50):
        if processes.tree_usage(os.getpid()).processes <= before:
            break
        time.sleep(0.1)
    assert processes.tree_usage(os.getpid()).processes <= before


def test_the_detail_names_the_test_the_exception_and_the_line(sandbox: Sandbox) -> None:
    given = Program(
        id="d", prompt=ADD, completion="    return a + b if a > 0 else 1 / 0\n", test=ADDS, entry_point="add"
    )
    (found,) = sandbox.run([given])
    assert "ZeroDivisionError: division by zero (line 2 of the program)" in found.detail
    assert "in test 2, line 3: assert candidate(-1, 1) == 0" in found.detail
