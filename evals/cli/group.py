"""`phizoo eval`: the literal table of its commands."""

import click

from zoo.cli.root import LazyGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("evals.cli.run:run", "Score checkpoints on tasks and publish the numbers."),
    "tasks": ("evals.cli.show:tasks", "List the tasks and their protocols."),
    "suites": ("evals.cli.suites:suites", "List the suites and the averages over their tasks."),
    "data": ("evals.cli.show:data", "List the evaluation sets: where each comes from here, rows, sha256, licence."),
    "lint": (
        "evals.cli.lint:lint",
        "Check a task, all its protocols or one: prompts, gold, empty, leaks, shots, chance.",
    ),
    "runs": ("evals.cli.show:runs", "List the runs on this machine."),
    "show": (
        "evals.cli.show:show",
        "Show a run (its id or the first characters of it), or one of its samples to the byte.",
    ),
    "reproduce": ("evals.cli.reproduce:reproduce", "Make a published number again and compare every sample."),
    "export": ("evals.cli.reproduce:export", "Write a run's samples and its card as files."),
    "import": (
        "evals.cli.reproduce:import_",
        "Take in lm-eval's or EvalPlus' results with their samples, as measured elsewhere.",
    ),
    "contamination": (
        "evals.cli.contamination:contamination",
        "Find the samples of a task that stand in training data.",
    ),
    "compare": ("evals.cli.compare:compare", "Compare two checkpoints on the same samples."),
    "ranks": ("evals.cli.rank:ranks", "Rank the checkpoints scored on a task, with the ranks that the data allow."),
    "seeds": ("evals.cli.rank:seeds", "Combine runs that differ by seed alone into one number."),
    "power": (
        "evals.cli.rank:power",
        "Tell what a task can resolve, and the samples or draws that a difference needs.",
    ),
    "code": ("evals.cli.code:code", "Run a file of completions and print pass@k."),
    "rescore": (
        "evals.cli.rescore:rescore",
        "Score a run's saved generations again, under another protocol of the same task.",
    ),
    "grade": (
        "evals.cli.judge:grade",
        "Have a grader model judge the solutions of a run, or of a file of completions.",
    ),
    "check-batch": (
        "evals.cli.check:check_batch",
        "Compare batch 1, 8 and auto, and list every sample whose answer moved.",
    ),
    "check-boundary": (
        "evals.cli.check:check_boundary",
        "Score a task with its prompts' ends raw, stripped and healed.",
    ),
    "parity": ("evals.cli.check:parity", "Compare two engines sample by sample."),
    "programs": (
        "evals.cli.sandbox:programs",
        "Run model-written programs from standard input, one verdict line each.",
    ),
    "selftest": ("evals.cli.sandbox:selftest", "Prove the sandbox on this machine."),
}


@click.command(cls=LazyGroup, table=COMMANDS)
def evaluate() -> None:
    """Score checkpoints on tasks, every sample kept.

    \b
    phizoo eval run phi-1-small-mini --tasks humaneval,mini_exercises
    phizoo eval compare phi-1-small-mini phi-1-small-mini-base
    """
