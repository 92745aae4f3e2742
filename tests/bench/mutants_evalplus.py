"""Mutated reference solutions of HumanEval+ and MBPP+: our verdicts beside EvalPlus 0.3.1's own.

One small change each (an operator, a comparison, a constant, a condition, a statement left out), drawn
by a fixed seed; of those that either side refuses the first COUNT are compared. Base and added inputs.
Needs the two data sets (PHIZOO_DATA) and an interpreter with EvalPlus:

    python tests/bench/mutants_evalplus.py --evalplus ep/bin/python [--count 500]
"""

import argparse
import ast
import copy
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SECONDS = 4.0  # ours, CPU of all inputs of a problem; EvalPlus' own limits are as it sets them
EVALPLUS = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from evalplus.eval import untrusted_check, PASS
from evalplus.eval._special_oracle import MBPP_OUTPUT_NOT_NONE_TASKS
from evalplus.data.mbpp import mbpp_deserialize_inputs
from evalplus.gen.util import trusted_exec
rows = {r["task_id"]: r for r in map(json.loads, open(sys.argv[1]))}
ready = {}
def prepare(task):
    if task not in ready:
        row = rows[task]
        inputs = [*row["base_input"], *row["plus_input"]]
        if task.startswith("Mbpp"):
            inputs = mbpp_deserialize_inputs(task, inputs)
        code = (row["prompt"] if task[0] == "H" else "") + row["canonical_solution"]
        expected, seconds = trusted_exec(code, inputs, row["entry_point"], record_time=True,
                                         output_not_none=row["entry_point"] in MBPP_OUTPUT_NOT_NONE_TASKS)
        ready[task] = inputs, expected, seconds
    return ready[task]
given = [json.loads(line) for line in sys.stdin]
for one in given:
    prepare(one["task"])
def check(one):
    row = rows[one["task"]]
    inputs, expected, seconds = prepare(one["task"])
    told = untrusted_check("humaneval" if one["task"][0] == "H" else "mbpp", one["code"], inputs, row["entry_point"],
                           expected, row["atol"], seconds, True)
    return [one["id"], told[0] == PASS, str(told[0])]
with ThreadPoolExecutor(int(sys.argv[2])) as pool:
    for found in pool.map(check, given):
        sys.__stdout__.write(json.dumps(found) + "\\n")
"""
SWAPS: dict[type, tuple[type, ...]] = {
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Add, ast.FloorDiv), ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Mult,), ast.Mod: (ast.FloorDiv,), ast.Pow: (ast.Mult,), ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt,), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt,), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.And: (ast.Or,), ast.Or: (ast.And,),
}  # fmt: skip


def _changes(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(node number, change) for every change of the tree that is known."""
    for number, node in enumerate(ast.walk(tree)):
        if type(node) in SWAPS:
            yield from ((number, kind.__name__) for kind in SWAPS[type(node)])
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            yield from ((number, change) for change in ("plus", "minus"))
        elif isinstance(node, ast.Constant) and type(node.value) is bool:
            yield number, "not"
        elif isinstance(node, ast.If | ast.While | ast.IfExp):
            yield number, "negate"
        elif isinstance(node, ast.AugAssign | ast.Expr) and not isinstance(getattr(node, "value", None), ast.Constant):
            yield number, "drop"
        elif isinstance(node, ast.Return) and node.value is not None:
            yield from ((number, change) for change in ("none", "listed"))


class _Change(ast.NodeTransformer):
    def __init__(self, target: ast.AST, change: str) -> None:
        self.target, self.change = target, change

    def visit(self, node: ast.AST) -> Any:
        if node is not self.target:
            return self.generic_visit(node)
        match node:
            case ast.Constant() if self.change == "not":
                return ast.Constant(not node.value)
            case ast.Constant(value=int()):
                return ast.Constant(int(node.value) + (1 if self.change == "plus" else -1))
            case ast.If() | ast.While() | ast.IfExp():
                node.test = ast.UnaryOp(ast.Not(), node.test)
                return node
            case ast.AugAssign() | ast.Expr():
                return ast.Pass()
            case ast.Return():
                node.value = ast.Constant(None) if self.change == "none" else ast.List([node.value], ast.Load())
                return node
        return getattr(ast, self.change)()


def mutants(source: str) -> list[str]:
    """Every changed form of a source, as text."""
    tree = ast.parse(source)
    found = []
    for number, change in _changes(tree):
        mine = copy.deepcopy(tree)
        target = list(ast.walk(mine))[number]
        found.append(ast.unparse(ast.fix_missing_locations(_Change(target, change).visit(mine))))
    return found


def candidates(rows: list[dict[str, Any]], seed: int) -> Iterator[dict[str, str]]:
    """Mutants of all problems, one of each problem in turn."""
    draw = random.Random(seed)
    pools = []
    for row in rows:
        source = (row["prompt"] if row["task_id"][0] == "H" else "") + row["canonical_solution"]
        codes = [code for code in mutants(source) if code != ast.unparse(ast.parse(source))]
        draw.shuffle(codes)
        pools.append((row["task_id"], codes))
    draw.shuffle(pools)
    turn = 0
    while any(turn < len(codes) for _, codes in pools):
        for task, codes in pools:
            if turn < len(codes):
                yield {"id": f"{task}#{turn}", "task": task, "code": codes[turn]}
        turn += 1


def ours(rows: dict[str, Any], given: list[dict[str, str]]) -> dict[str, tuple[bool, str]]:
    """Our verdicts by id."""
    from evals.sandbox import Program, open_sandbox
    from evals.sandbox.judge import evalplus

    def program(one: dict[str, str]) -> Program:
        row = rows[one["task"]]
        reference = (row["prompt"] if one["task"][0] == "H" else "") + row["canonical_solution"]
        told = evalplus.make_test(
            one["task"], row["entry_point"], reference, [*row["base_input"], *row["plus_input"]], row["atol"]
        )
        return Program(id=one["id"], prompt="", completion=one["code"], test=told, entry_point=row["entry_point"],
                       form="evalplus", timeout_seconds=SECONDS)  # fmt: skip

    with open_sandbox(2) as sandbox:
        return {v.id: (v.verdict == "passed", f"{v.verdict} {v.detail}") for v in sandbox.run(map(program, given))}


def theirs(
    python: str, rows: dict[str, Any], given: list[dict[str, str]], at_a_time: int = 3
) -> dict[str, tuple[bool, str]]:
    """EvalPlus' verdicts by id."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows.values())
        file.flush()
        lines = "".join(json.dumps(one) + "\n" for one in given)
        done = subprocess.run(
            [python, "-c", EVALPLUS, file.name, str(at_a_time)], input=lines, stdout=subprocess.PIPE, text=True
        )
    if done.returncode:
        raise SystemExit("EvalPlus did not run to its end")
    told = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))
    return {name: (passed, state) for name, passed, state in told}


def main() -> None:
    """Draws, judges twice, prints each difference."""
    from evals.datasets.load import rows as data

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--evalplus", default=os.environ.get("EVALPLUS_PYTHON"), help="an interpreter that has evalplus 0.3.1"
    )
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="write every pair of verdicts here")
    asked = parser.parse_args()
    if not asked.evalplus:
        parser.error("no --evalplus PYTHON (or EVALPLUS_PYTHON)")
    rows = {row["task_id"]: row for name in ("humaneval_plus", "mbpp_plus") for row in data(name)}
    source = candidates(list(rows.values()), asked.seed)
    refused: list[tuple[dict[str, str], tuple[bool, str], tuple[bool, str]]] = []
    drawn = 0
    while len(refused) < asked.count:
        batch = [one for _, one in zip(range(100), source, strict=False)]
        if not batch:
            break
        drawn += len(batch)
        mine, yours = ours(rows, batch), theirs(asked.evalplus, rows, batch)
        unlike = [one for one in batch if mine[one["id"]][0] != yours[one["id"]][0]]
        yours |= theirs(asked.evalplus, rows, unlike, 1)  # its limits are of wall time: once more, one at a time
        pairs = [(one, mine[one["id"]], yours[one["id"]]) for one in batch]
        found = [pair for pair in pairs if not (pair[1][0] and pair[2][0])][: asked.count - len(refused)]
        refused += found
        for one, mine, yours in found:
            if mine[0] != yours[0]:
                print(f"{one['id']}: ours {mine[1][:200]!r}, EvalPlus {yours[1]}", flush=True)
        if asked.out:
            Path(asked.out).write_text("".join(json.dumps(pair) + "\n" for pair in refused))
        print(f"{drawn} drawn, {len(refused)} refused by either", flush=True)
    different = [(one, mine, yours) for one, mine, yours in refused if mine[0] != yours[0]]
    problems = len({one["task"] for one, _, _ in refused})
    states = Counter(mine[1].split()[0] for _, mine, _ in refused)
    print(
        f"{len(refused)} wrong mutants of {problems} problems; ours: {dict(states)}; {len(different)} verdicts differ"
    )
    sys.exit(bool({one["task"] for one, _, _ in different} - {"HumanEval/32"}))


if __name__ == "__main__":
    main()
