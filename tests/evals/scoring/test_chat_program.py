"""Programs in chat answers: a right one passes in every usual shape, a wrong one in none; the last definition counts."""

import re
import textwrap
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.sandbox import Program, open_sandbox
from evals.scoring.chat_program import hoist_future, read_program
from evals.scoring.fences import fenced_blocks
from evals.scoring.sanitize import parse_module
from zoo.errors import ZooError

STUB = '''from typing import List


def running_max(numbers: List[int]) -> List[int]:
    """The largest number so far, at each place.

    >>> running_max([1, 3, 2])
    [1, 3, 3]
    """
'''
HEAD = "def running_max(numbers: List[int]) -> List[int]:\n"
TEST = """def check(candidate):
    assert candidate([]) == []
    assert candidate([1, 3, 2]) == [1, 3, 3]
    assert candidate([-5, -7, 0]) == [-5, -5, 0]
"""
RIGHT = """    result = []
    for number in numbers:
        result.append(number if not result else max(number, result[-1]))
    return result
"""
WRONG = RIGHT.replace("max(number", "min(number")
Shape = Callable[[str, str], str]


def fenced(code: str, language: str = "python", mark: str = "```") -> str:
    return f"{mark}{language}\n{code}{mark}\n"


def helper(name: str, body: str) -> str:
    """The function over a helper that does the work."""
    return f"def {name}(numbers):\n{body}"


def using_sys(body: str) -> str:
    """The function with a use of a module."""
    return f"import sys\n\n{HEAD}    sys.getrecursionlimit()\n{body}"


def accumulated(body: str) -> str:
    """The body in one line over itertools."""
    return f"    return list(accumulate(numbers, {'max' if body == RIGHT else 'min'}))\n"


# name -> the answer, from the body that it gives and another one that it takes back or does not mean
SHAPES: dict[str, Shape] = {
    # fences
    "fence with a language": lambda body, _: f"Here is the function:\n\n{fenced(HEAD + body)}\nIt walks once.",
    "fence without a language": lambda body, _: f"Sure!\n{fenced(HEAD + body, '')}",
    "fence of another name": lambda body, _: fenced(HEAD + body, "Python3"),
    "fence with attributes": lambda body, _: fenced(HEAD + body, 'python title="solution.py"'),
    "tildes": lambda body, _: f"Code:\n{fenced(HEAD + body, 'python', '~~~')}Done.",
    "four backticks": lambda body, _: fenced(HEAD + body, "python", "````"),
    "unclosed fence": lambda body, _: f"So:\n```python\n{HEAD}{body}",
    "unclosed fence and prose": lambda body, _: f"So:\n```python\n{HEAD}{body}\nThis returns the list.",
    "closed at the end of a line": lambda body, _: f"```python\n{HEAD}{body.rstrip()}```\nThat is it.",
    "opened after words": lambda body, _: f"The code: ```python\n{HEAD}{body}```\nDone.",
    "in a list": lambda body, _: "1. Write it:\n\n" + textwrap.indent(fenced(HEAD + body), "   ") + "\n2. Run it.",
    "on a list's line": lambda body, _: "- " + textwrap.indent(fenced(HEAD + body), "  ").lstrip() + "\n- Run it.",
    "deep in a list": lambda body, _: "* Do\n    * this:\n" + textwrap.indent(fenced(HEAD + body), " " * 8),
    "in a quotation": lambda body, _: textwrap.indent(f"So:\n{fenced(HEAD + body)}", "> ", lambda _: True),
    "inside a Markdown block": lambda body, _: fenced("# Answer\n" + fenced(HEAD + body), "markdown", "````"),
    "inside a Markdown block of equal fences": lambda body, _: fenced("# Answer\n" + fenced(HEAD + body), "markdown"),
    "a docstring with fences": lambda body, _: fenced(
        HEAD + '    """\n    ```\n    running_max([1])\n    ```\n    """\n' + body
    ),
    # no fences
    "bare": lambda body, _: HEAD + body,
    "bare with prose around": lambda body, _: f"Here is it.\n\n{HEAD}{body}\nThis is right because it keeps the max.",
    "bare after a list of steps": lambda body, _: f"1. Loop.\n2. Keep the largest.\n{HEAD}{body}",
    "indented as Markdown code": lambda body, _: f"So:\n\n{textwrap.indent(HEAD + body, '    ')}\n\nDone.",
    "tags": lambda body, _: f"[PYTHON]\n{HEAD}{body}[/PYTHON]\n",
    # white space
    "tabs": lambda body, _: fenced((HEAD + body).replace("    ", "\t")),
    "two spaces": lambda body, _: fenced((HEAD + body).replace("    ", "  ")),
    "CRLF": lambda body, _: f"So:\n{fenced(HEAD + body)}Done.".replace("\n", "\r\n"),
    "lone CR": lambda body, _: f"So:\n{fenced(HEAD + body)}Done.".replace("\n", "\r"),
    "no-break spaces": lambda body, _: fenced((HEAD + body).replace("    ", "\u00a0" * 4)),
    "byte order mark": lambda body, _: "\ufeff" + HEAD + body,
    "tabs after the prompt's spaces": lambda body, _: fenced(STUB + body.replace("    ", "\t")),
    # how much of the program
    "the prompt's imports too": lambda body, _: fenced("from typing import List\n\n" + HEAD + body),
    "the whole prompt": lambda body, _: fenced(STUB + body),
    "future import": lambda body, _: fenced(
        "from __future__ import annotations\n" + HEAD.replace("List[int]", "Sequence[int]") + body
    ),
    "no annotations": lambda body, _: fenced("def running_max(numbers):\n" + body),
    "body only": lambda body, _: body,
    "body only, fenced": lambda body, _: f"The body:\n{fenced(body)}",
    "body only, without indent": lambda body, _: fenced(textwrap.dedent(body)),
    "body only, first line without indent": lambda body, _: body.lstrip(),
    "body only, over a variable of its name": lambda body, _: fenced(
        textwrap.dedent(body).replace("result", "running_max")
    ),
    "body only, with tabs": lambda body, _: fenced(body.replace("    ", "\t")),
    "body only, bare, with prose": lambda body, _: f"Continue so:\n\n{body}\nThat is all.",
    "a lambda": lambda body, _: fenced(
        "import itertools\nrunning_max = lambda numbers: list(itertools.accumulate(numbers, "
        + ("max" if body == RIGHT else "min")
        + "))\n"
    ),
    "a class": lambda body, _: fenced(
        "class Solution:\n" + textwrap.indent("def running_max(self, numbers):\n" + body, "    ")
    ),
    "a decorated function": lambda body, _: fenced("import functools\n@functools.wraps(len)\n" + HEAD + body),
    "defined in a branch": lambda body, _: fenced("if True:\n" + textwrap.indent(HEAD + body, "    ")),
    "a nested helper": lambda body, _: fenced(
        HEAD + textwrap.indent(helper("work", body), "    ") + "    return work(numbers)\n"
    ),
    "a helper after it": lambda body, _: fenced(f"{HEAD}    return work(numbers)\n\n{helper('work', body)}"),
    "a helper without return": lambda body, _: fenced(
        "def fill(numbers, result):\n"
        + body.replace("    result = []\n", "").replace("    return result\n", "")
        + HEAD
        + "    result = []\n    fill(numbers, result)\n    return result\n"
    ),
    "a generator": lambda body, _: fenced(
        helper("steps", body.replace("    return result", "    yield from result"))
        + HEAD
        + "    return [*steps(numbers)]\n"
    ),
    "a table that is filled": lambda body, _: fenced(
        f"memo = {{}}\nmemo['f'] = None\n{helper('work', body)}memo['f'] = work\n{HEAD}    return memo['f'](numbers)\n"
    ),
    "defined as another name": lambda body, _: fenced(helper("work", body) + "running_max = work\n"),
    "a heap that is filled": lambda body, _: fenced(
        f"import heapq\nheap = []\nheapq.heappush(heap, 0)\n{HEAD}    assert heap.copy() == [0]\n{body}"
    ),
    "a function of several types": lambda body, _: fenced(
        "import functools\n\n@functools.singledispatch\n"
        + f"{HEAD}    raise TypeError\n\n@running_max.register(list)\n{helper('_', body)}"
    ),
    # examples
    "an example call": lambda body, _: fenced(HEAD + body + "\nprint(running_max([1, 3, 2]))\n"),
    "an example that waits for input": lambda body, _: fenced(
        HEAD + body + "\nnumbers = [int(input()) for _ in range(3)]\nprint(running_max(numbers))\n"
    ),
    "an assert that is wrong": lambda body, _: fenced(HEAD + body + "\nassert running_max([1, 3, 2]) == [0]\n"),
    "a main block": lambda body, _: fenced(HEAD + body + '\nif __name__ == "__main__":\n    raise SystemExit\n'),
    "unit tests": lambda body, _: fenced(
        "import unittest\n"
        + HEAD
        + body
        + "\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(running_max([]), [1])\n"
        + "unittest.main()\n"
    ),
    "an exit by a module that it uses": lambda body, _: fenced(using_sys(body) + "\nsys.exit(0)\n"),
    "a main function that waits, run by a module that it uses": lambda body, _: fenced(
        f"{using_sys(body)}\ndef main():\n    return input()\n\nif True:\n    sys.exit(main())\n"
    ),
    "a wrong assert over a module that it uses": lambda body, _: fenced(
        f"{using_sys(body)}\nassert sys.intern(str(running_max([1]))) == ''\n"
    ),
    "a session": lambda body, _: fenced(
        "".join(f"{'>>> ' if at == 0 else '... '}{line}\n" for at, line in enumerate((HEAD + body).splitlines()))
        + ">>> running_max([1])\n[1]\n",
        "pycon",
    ),
    "a session after it": lambda body, _: fenced(HEAD + body + "\n>>> running_max([1, 3, 2])\n[1, 3, 3]\n"),
    "output after it": lambda body, _: fenced(HEAD + body) + "Output:\n" + fenced("[1, 3, 3]\n", ""),
    # marks that are no Python
    "curly quotes": lambda body, _: fenced(
        HEAD + "    \u201c\u201d\u201cKeeps the largest.\u201d\u201d\u201d\n" + body
    ),
    "numbered lines": lambda body, _: fenced(
        "".join(f"{at:>2}  {line}\n" for at, line in enumerate((HEAD + body).splitlines(), 1))
    ),
    "numbered lines with colons": lambda body, _: fenced(
        "".join(f"{at}: {line}\n" for at, line in enumerate((HEAD + body).splitlines(), 1))
    ),
    "numbered lines with bars": lambda body, _: fenced(
        "".join(f"{at} | {line}\n" for at, line in enumerate((HEAD + body).splitlines(), 1))
    ),
    "a diff": lambda body, other: fenced(
        "--- a.py\n+++ a.py\n@@ -1,4 +1,4 @@\n"
        + textwrap.indent(HEAD, " ")
        + textwrap.indent(other, "-")
        + textwrap.indent(body, "+"),
        "diff",
    ),
    "code in single backticks": lambda body, _: (
        "Use `def running_max(numbers): from itertools import accumulate; "
        f"return list(accumulate(numbers, {'max' if body == RIGHT else 'min'}))` for it."
    ),
    # several blocks
    "imports in another block": lambda body, _: (
        f"First:\n{fenced('import itertools as it' + chr(10))}Then:\n"
        + fenced(HEAD + "    return list(it.accumulate(numbers, " + ("max" if body == RIGHT else "min") + "))\n")
    ),
    "an import of all names": lambda body, _: fenced("from itertools import *\n" + HEAD + accumulated(body)),
    "an import of all names in a block before": lambda body, _: (
        f"{fenced('from itertools import *' + chr(10))}Then:\n{fenced(HEAD + accumulated(body))}"
    ),
    "an import of all names in a test file after": lambda body, _: (
        f"{fenced(HEAD + body)}Test it:\n{fenced('from solution import *' + chr(10) + 'print(running_max([1]))' + chr(10))}"
    ),
    "imports outside the fence": lambda body, _: (
        "import itertools\n\n"
        + fenced(HEAD + "    return list(itertools.accumulate(numbers, " + ("max" if body == RIGHT else "min") + "))\n")
    ),
    "a helper in a block before": lambda body, _: (
        f"Helper:\n{fenced(helper('work', body))}Main:\n{fenced(HEAD + '    return work(numbers)' + chr(10))}"
    ),
    "a helper in a block after": lambda body, _: (
        f"Main:\n{fenced(HEAD + '    return work(numbers)' + chr(10))}Helper:\n{fenced(helper('work', body))}"
    ),
    "usage in a block after": lambda body, _: (
        f"{fenced(HEAD + body)}Use:\n{fenced('print(running_max([3]))' + chr(10))}"
    ),
    "a test file after": lambda body, _: (
        f"{fenced(HEAD + body)}Test it:\n"
        + fenced("from solution import running_max\n\ndef test_it():\n    assert running_max([1]) == [1]\n")
    ),
    "installing before": lambda body, _: f"{fenced('pip install numpy' + chr(10), 'bash')}{fenced(HEAD + body)}",
    "another language after": lambda body, _: fenced(HEAD + body) + fenced("function running_max() {}\n", "javascript"),
    "the signature before": lambda body, _: f"Complete this:\n{fenced(STUB)}Answer:\n{fenced(HEAD + body)}",
    "the signature after": lambda body, _: (
        f"{fenced(HEAD + body)}The signature:\n{fenced(HEAD + '    pass' + chr(10))}"
    ),
    "the body in a block after the signature": lambda body, _: f"{fenced(STUB)}Its body:\n{fenced(body)}",
    "corrected": lambda body, other: (
        f"{fenced(HEAD + other)}Wait, that is wrong.\n{fenced(HEAD + body)}Now it is right."
    ),
    "corrected in one block": lambda body, other: fenced(f"{HEAD}{other}\n\n{HEAD}{body}"),
    "corrected without fences": lambda body, other: f"Try:\n\n{HEAD}{other}\nNo. Better:\n\n{HEAD}{body}\nDone.",
    "begun again and cut off": lambda body, other: (
        f"{fenced(HEAD + body)}Another way:\n```python\n{HEAD}{other.split('return')[0]}    for number in"
    ),
    "a class before the function": lambda body, other: (
        fenced("class Solution:\n" + textwrap.indent("def running_max(self, numbers):\n" + other, "    "))
        + fenced(HEAD + body)
    ),
    "another function with the other body": lambda body, other: fenced(HEAD + body) + fenced(helper("old", other)),
}

NO_PROGRAM = {
    "nothing": "",
    "refusal": "I am sorry, I cannot write this function.",
    "prose that names it": "Use running_max(numbers) with a loop: def is the keyword for it.",
    "only a call": fenced("print(running_max([1, 3, 2]))\n"),
    "only an import of it": fenced("from solution import running_max\n"),
    "only the signature": fenced(STUB),
    "only tests": fenced("def check(candidate):\n    assert candidate([]) == []\n"),
    "a body that returns nothing": fenced("    print(numbers)\n"),
    "a body in a sentence": "I am not sure; `return sorted(numbers)` would not be right.",
    "another function": fenced("def maximum(numbers):\n    return max(numbers)\n"),
}


def as_program(name: str, answer: str) -> Program:
    text = read_program(answer, "running_max", STUB)
    future, rest = hoist_future(text or "")
    return Program(id=name, prompt=future + STUB, completion="\n" + rest, test=TEST, entry_point="running_max")


@pytest.fixture(scope="module")
def verdicts() -> dict[str, str]:
    """The sandbox's verdict on each shape with the right and the wrong body."""
    programs = [as_program(f"{name}/right", make(RIGHT, WRONG)) for name, make in SHAPES.items()]
    programs += [as_program(f"{name}/wrong", make(WRONG, RIGHT)) for name, make in SHAPES.items()]
    try:
        with open_sandbox(workers=2) as sandbox:
            return {each.id: f"{each.verdict} {each.detail}".strip() for each in sandbox.run(programs)}
    except ZooError as error:
        pytest.skip(f"no isolation here: {error}")


@pytest.mark.parametrize("shape", SHAPES)
def test_a_right_program_passes_and_a_wrong_one_does_not(shape: str, verdicts: dict[str, str]) -> None:
    assert verdicts[f"{shape}/right"] == "passed"
    assert verdicts[f"{shape}/wrong"].startswith("failed AssertionError")


def test_the_two_bodies_differ_in_one_word() -> None:
    assert len(SHAPES) >= 60
    assert WRONG != RIGHT


def test_a_fence_inside_a_docstring_ends_no_block() -> None:
    code = f'{HEAD}    """\n    ```\n    running_max([1])\n    ```\n    """\n{RIGHT}'
    assert [block.text for block in fenced_blocks(f"So:\n{fenced(code)}Done.\n{fenced('x = 1')}")] == [
        code.rstrip(),
        "x = 1",
    ]


@pytest.mark.parametrize("answer", NO_PROGRAM.values(), ids=NO_PROGRAM)
def test_an_answer_without_a_definition_has_no_program(answer: str) -> None:
    assert read_program(answer, "running_max", STUB) is None


BLOCKS = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=4)


@settings(max_examples=80, deadline=None)
@given(BLOCKS)
def test_the_last_definition_counts(blocks: list[tuple[bool, bool, bool]]) -> None:
    answer = ""
    for number, (is_fenced, with_call, with_helper) in enumerate(blocks):
        code = f"def value():\n    return {number}\n\n\ndef f():\n    return value()\n" if with_helper else ""
        code = code or f"def f():\n    return {number}\n"
        code += "print(f())\n" if with_call else ""
        answer += f"Version {number}:\n\n{fenced(code) if is_fenced or any(row[0] for row in blocks) else code}\n"
    space: dict[str, Callable[[], int]] = {}
    exec(read_program(answer, "f") or "", space)  # our own text above
    assert space["f"]() == len(blocks) - 1


PIECES = st.sampled_from(
    ["```", "```python", "~~~", "def f(x):", "    return x", "  return x", "\treturn 1", "import re", "print(f(1))", "f = 2",
     "class A:", "    def f(self):", '    """', "Prose, then.", "", ">>> f(1)", "... x", "> ```", "- ```py", "@cache", "def g():",
     "if x:", "é", "\x00", "return x", "x = f(", ")"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=14).map("\n".join))
def test_a_program_is_python_and_defines_the_function(text: str) -> None:
    program = read_program(text, "f", "def f(x):\n")
    tree = parse_module(program or "")
    assert tree is not None
    assert program is None or re.search(r"\bf\b", program)
