"""`phizoo eval`: the literal table of its commands."""

import click

from zoo.cli import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("evals.run_cli:run", "Score checkpoints on tasks and publish the numbers."),
    "tasks": ("evals.list_cli:tasks", "List the tasks and their protocols."),
    "suites": ("evals.suites_cli:suites", "List the suites and the averages over their tasks."),
    "data": ("evals.list_cli:data", "List the evaluation sets: where each comes from here, rows, sha256, licence."),
    "lint": (
        "evals.lint_cli:lint",
        "Check a task, all its protocols or one: prompts, gold, empty, leaks, shots, chance.",
    ),
    "runs": ("evals.list_cli:runs", "List the runs on this machine."),
    "show": (
        "evals.list_cli:show",
        "Show a run (its id or the first characters of it), or one of its samples to the byte.",
    ),
    "reproduce": ("evals.evidence_cli:reproduce", "Make a published number again and compare every sample."),
    "export": ("evals.evidence_cli:export", "Write a run's samples and its card as files."),
    "import": (
        "evals.evidence_cli:take_in",
        "Take in lm-eval's or EvalPlus' results with their samples, as measured elsewhere.",
    ),
    "contamination": (
        "evals.contamination_cli:contamination",
        "Find the samples of a task that stand in training data.",
    ),
    "compare": ("evals.compare_cli:compare", "Compare two checkpoints on the same samples."),
    "ranks": ("evals.board_cli:ranks", "Rank the checkpoints scored on a task, with the ranks that the data allow."),
    "seeds": ("evals.board_cli:seeds", "Combine runs that differ by seed alone into one number."),
    "power": (
        "evals.board_cli:power",
        "Tell what a task can resolve, and the samples or draws that a difference needs.",
    ),
    "code": ("evals.code_cli:code", "Run a file of completions and print pass@k."),
    "rescore": (
        "evals.rescore_cli:rescore",
        "Score a run's saved generations again, under another protocol of the same task.",
    ),
    "grade": (
        "evals.grade_cli:grade",
        "Have a grader model judge the solutions of a run, or of a file of completions.",
    ),
    "check-batch": (
        "evals.checks_cli:check_batch",
        "Compare batch 1, 8 and auto, and list every sample whose answer moved.",
    ),
    "check-boundary": (
        "evals.checks_cli:check_boundary",
        "Score a task with its prompts' ends raw, stripped and healed.",
    ),
    "parity": ("evals.checks_cli:parity", "Compare two engines sample by sample."),
    "programs": (
        "evals.programs_cli:programs",
        "Run model-written programs from standard input, one verdict line each.",
    ),
    "selftest": ("evals.programs_cli:selftest", "Prove the sandbox on this machine."),
}


@click.command(cls=LazyGroup, table=COMMANDS)
def evaluate() -> None:
    """Score checkpoints on tasks, every sample kept.

    \b
    phizoo eval run phi-1-small-mini --tasks humaneval,mini_exercises
    phizoo eval compare phi-1-small-mini phi-1-small-mini-base
    """
