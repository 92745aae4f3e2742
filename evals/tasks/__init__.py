"""The tasks: a literal list of modules in the order of lists and of the leaderboard's columns.

Bits per byte of gold answers are many tasks in one file (`evals.tasks.gold_answers`). Every other task's module has
`TITLE`, the name that papers print; `ALIASES`, if other tools or tables spell it otherwise; `SETS`, one `EvalSet` for
each split that it reads; and `PROTOCOLS`, a dict from protocol name to Task whose first
entry is the default. `humaneval` is the default protocol, `humaneval@bigcode` another one.
"""

import importlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from evals.chat import ChatShape, chat_task
from evals.protocol_name import ProtocolName
from evals.records import Groups
from evals.subset import VERSIONS, quick_task
from evals.task import Task
from zoo.errors import ZooError, nearest, unknown
from zoo.protocol_names import current_spec

NAMES = (
    "humaneval", "humaneval_plus", "mini_exercises", "mbpp", "mbpp_sanitized", "mbpp_plus", "unconventional",
    "arc_easy", "arc_challenge", "piqa", "siqa", "winogrande", "hellaswag", "boolq", "openbookqa",
    "commonsense_qa", "mmlu", "squad", "squad_v2", "sciq", "copa", "lambada", "gsm8k", "math_500", "bbh", "trivia_qa",
    "ifeval", "basic_skills", "medmcqa", "medqa", "sciriff", "drop", "coqa", "jeopardy", "naturalqs",
)  # fmt: skip
GOLD = (
    *("humaneval_bpb", "mbpp_bpb", "gsm8k_bpb", "math_500_bpb", "drop_bpb", "coqa_bpb", "jeopardy_bpb"),
    *("naturalqs_bpb", "squad_bpb", "lambada_bpb", "math_algebra_bpb", "math_counting_and_probability_bpb"),
    *("math_geometry_bpb", "math_intermediate_algebra_bpb", "math_number_theory_bpb", "math_prealgebra_bpb"),
    *("math_precalculus_bpb", "mbpp_bash_bpb", "mbpp_c_bpb", "mbpp_cpp_bpb", "mbpp_csharp_bpb", "mbpp_go_bpb"),
    *("mbpp_haskell_bpb", "mbpp_java_bpb", "mbpp_javascript_bpb", "mbpp_matlab_bpb", "mbpp_php_bpb"),
    *("mbpp_python_bpb", "mbpp_r_bpb", "mbpp_ruby_bpb", "mbpp_rust_bpb", "mbpp_scala_bpb", "mbpp_swift_bpb"),
    *("mbpp_typescript_bpb", "arc_easy_bpb", "arc_challenge_bpb", "piqa_bpb", "siqa_bpb", "winogrande_bpb"),
    *("hellaswag_bpb", "boolq_bpb", "openbookqa_bpb", "commonsense_qa_bpb", "basic_skills_bpb", "medmcqa_bpb"),
    *("medqa_bpb", "sciriff_bpb", "mmlu_bpb"),
)
TASKS = {name: f"evals.tasks.{name}" for name in NAMES} | dict.fromkeys(GOLD, "evals.tasks.gold_answers")

SHOTS = re.compile(r"(?P<base>.+)-(?P<shots>[1-9]\d*)(?:-(?P<split>validation))?")


def file_of(name: str) -> Any:
    """What a task's file has: TITLE, SETS, PROTOCOLS and more."""
    module = importlib.import_module(TASKS[name])
    return module.task_file(name) if name in GOLD else module


def protocols(name: str) -> dict[str, Task]:
    """All protocols of a task, the default first. Raises ZooError with the nearest known task."""
    if name not in TASKS:
        raise unknown("task", name, TASKS, "phizoo eval tasks")
    table: dict[str, Task] = file_of(name).PROTOCOLS
    return {protocol: chat_task(task, ChatShape()) if task.chat else task for protocol, task in table.items()}


def task(spec: str) -> Task:
    """The task of `name` or `name@protocol` or `name@protocol-quick2`; an older name of a protocol still works.

    Raises  ZooError with the nearest known name.
    """
    name, _, protocol = current_spec(spec).partition("@")
    known = protocols(name)
    if not protocol:
        return next(iter(known.values()))
    parsed = ProtocolName.parse(protocol)
    if parsed.shape and parsed.without_shape().render() != protocol:
        return chat_task(task(f"{name}@{parsed.without_shape().render()}"), _shape_of(spec, parsed))
    whole = parsed.replace(subset="").render()
    if parsed.subset in VERSIONS:
        return quick_task(_completion(name, whole, protocol), parsed.subset)
    return _completion(name, protocol, protocol)


def _completion(name: str, protocol: str, typed: str) -> Task:
    """The task of a protocol of completions, with its number of examples if its name has one."""
    from evals.fewshot import check_rows, shots_task  # which reads sets, and their catalog reads this table

    known = protocols(name)
    if protocol in known:
        return known[protocol]
    shots = SHOTS.fullmatch(protocol)
    if shots and shots["base"] in known and known[shots["base"]].source is not None:
        check_rows(known[shots["base"]], int(shots["shots"]), shots["split"] or "")
        return shots_task(known[shots["base"]], int(shots["shots"]), shots["split"] or "")
    raise ZooError(
        f'{name} has no protocol "{typed}"{nearest(typed, known)}; it has: {", ".join(known)}. '
        "All tasks: phizoo eval tasks"
    )


def with_shots(asked: Task, shots: int) -> Task:
    """A choice task with so many examples, from the harness's split if it is available here, else from validation.

    Raises  ZooError for a task that takes none, or where neither split is available
    """
    from evals.fewshot import is_available, shots_task, splits_of

    if asked.kind != "choices":
        raise ZooError(f"{asked.name}@{asked.protocol} takes no --shots: they are for choice tasks (phizoo eval tasks)")
    name = ProtocolName.parse(asked.protocol)
    base = _completion(asked.name, name.base, name.base)
    if base.shots == shots:
        return asked
    split = next((split for split in splits_of(base) if is_available(base, split)), "")
    own = shots_task(base, shots, split).protocol
    return task(f"{asked.name}@{name.replace(base=own).render()}")


def _shape_of(spec: str, name: ProtocolName) -> ChatShape:
    """The shape that a protocol's name gives. Raises ZooError for a system text, of which it has only the digest."""
    if name.system:
        raise ZooError(f"{spec} does not say its system text; ask with --chat --system TEXT instead")
    thinking = {"on": True, "off": False}.get(name.thinking)
    return ChatShape(fewshot_as_turns=name.turns, thinking=thinking, budget=name.budget)


def main_metric(name: str) -> str:
    """The main metric of a task under its default protocol; empty for another tool's own task."""
    return next(iter(protocols(name).values())).metrics[0] if name in TASKS else ""


def groups_of(name: str) -> Groups:
    """The kind of group that a task's samples share; clusters, the wider interval, for another tool's own task."""
    return next(iter(protocols(name).values())).groups if name in TASKS else "clusters"


def every() -> Iterator[Task]:
    """Every task under every protocol."""
    for name in TASKS:
        yield from protocols(name).values()


@cache
def titles() -> dict[str, str]:
    """task -> its name as papers print it, in the order of `TASKS`. Imports every task."""
    return {name: file_of(name).TITLE for name in TASKS}


@cache
def chances() -> dict[tuple[str, str], float]:
    """(task, metric) -> what guessing scores, 0..1, where there is something to guess. Imports every task.

    The metrics of a question with choices share one; of another task only the main metric has one.
    """
    first = {name: next(iter(protocols(name).values())) for name in TASKS}
    return {
        (name, metric): task.chance
        for name, task in first.items()
        if task.chance
        for metric in (task.metrics if task.kind == "choices" else task.metrics[:1])
    }


def chance_of(benchmark: str, metric: str = "") -> float | None:
    """What guessing scores on a benchmark under a metric (the main one if empty); None if nothing can be guessed.

    >>> chance_of("mmlu", "acc"), chance_of("boolq"), chance_of("humaneval")
    (0.25, 0.5, None)
    """
    name = benchmark_of(benchmark)
    if name not in TASKS:
        return None
    return chances().get((name, metric or next(iter(protocols(name).values())).metrics[0]))


@cache
def aliases() -> dict[str, str]:
    """Another tool's spelling of a task's name -> our task. Imports every task."""
    return {alias: name for name in TASKS for alias in getattr(file_of(name), "ALIASES", ())}


@cache  # a board asks for each of its thousands of cells
def benchmark_of(name: str) -> str:
    """The benchmark that a task of ours, of another tool or of a published table measures.

    Drops the protocol after `:` or `@`.

    >>> benchmark_of("social_iqa"), benchmark_of("humaneval@bigcode"), benchmark_of("mmlu_pro")
    ('siqa', 'humaneval', 'mmlu_pro')
    """
    bare = re.split(r"[:@]", name, maxsplit=1)[0].lower().replace("-", "_")
    return aliases().get(bare, bare)
