"""`phizoo eval`: a literal table of its commands, and of the groups `check` and `sandbox` in it."""

import click

from zoo.cli.root import LazyGroup

# name -> (where the click command lives, its one-line help: a test holds that it equals the command's own)
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("evals.cli.run:run", "Score checkpoints on tasks and publish the numbers."),
    "text": ("evals.cli.text:text", "Bits per byte and perplexity of texts."),
    "tasks": ("evals.cli.tasks:tasks", "List the tasks, or their suites, data and statistical power."),
    "lint": ("evals.cli.lint:lint", "Check a task: prompts, reference answers, leaks, shots, chance level."),
    "runs": ("evals.cli.show:runs", "List the runs on this machine, newest first."),
    "show": ("evals.cli.show:show", "Show a run, or one of its samples to the byte."),
    "reproduce": ("evals.cli.reproduce:reproduce", "Repeat a published run and compare every sample."),
    "export": ("evals.cli.reproduce:export", "Write cells with their samples as files, of ours or of another tool."),
    "import": (
        "evals.cli.reproduce:import_",
        "Import results of other tools, with their samples where they have them.",
    ),
    "contamination": ("evals.cli.contamination:contamination", "Find the samples of a task in training data."),
    "compare": ("evals.cli.compare:compare", "Compare two checkpoints, or one with a published model."),
    "gate": ("evals.decisions.cli.gate:gate", "Hold a checkpoint against a policy of rules, for CI."),
    "cost": ("evals.decisions.cli.cost:cost", "Show what the scores of a task cost, and the Pareto front."),
    "items": ("evals.decisions.cli.items:items", "Show which samples of a task decide, and which look mislabelled."),
    "calibration": (
        "evals.decisions.cli.calibration:calibration",
        "Hold scores of published models against their published numbers.",
    ),
    "ranks": ("evals.cli.rank:ranks", "Rank the checkpoints of a task, or combine their seeds into one number."),
    "code": ("evals.cli.code:code", "Run a file of completions and print pass@k with its interval."),
    "rescore": ("evals.cli.rescore:rescore", "Score a run's saved texts under another protocol of its task."),
    "showcase": (
        "evals.cli.showcase:showcase",
        "Ask chat models the talk's four prompts, and show their answers side by side.",
    ),
    "judge": ("evals.cli.judge:judge", "Grade the solutions of a code task with a judge model."),
    "check": ("evals.cli.group:check", "Check that an engine's answers can be trusted."),
    "sandbox": ("evals.cli.group:sandbox", "Run programs in the sandbox, or test it on this machine."),
}
RENAMED: dict[str, tuple[str, str]] = {
    "suites": ("evals.cli.tasks:tasks", "eval tasks --suites"), "data": ("evals.cli.tasks:tasks", "eval tasks --data"),
    "power": ("evals.cli.tasks:tasks", "eval tasks --power"), "seeds": ("evals.cli.rank:ranks", "eval ranks --seeds"),
    "grade": ("evals.cli.judge:judge", "eval judge"), "check-batch": ("evals.cli.check:batch", "eval check batch"),
    "check-boundary": ("evals.cli.check:boundary", "eval check boundary"),
    "parity": ("evals.cli.check:parity", "eval check parity"),
    "programs": ("evals.cli.sandbox:run", "eval sandbox run"),
    "selftest": ("evals.cli.sandbox:test", "eval sandbox test"),
}  # fmt: skip
CHECKS: dict[str, tuple[str, str]] = {
    "batch": ("evals.cli.check:batch", "Compare batch sizes 1, 8 and auto, sample by sample."),
    "boundary": ("evals.cli.check:boundary", "Score a task with its prompts' last bytes raw, stripped and healed."),
    "parity": ("evals.cli.check:parity", "Compare two engines sample by sample."),
}
SANDBOX: dict[str, tuple[str, str]] = {
    "run": ("evals.cli.sandbox:run", "Run model-written programs from standard input, one verdict a line."),
    "test": ("evals.cli.sandbox:test", "Test the sandbox on this machine: correct solutions pass, cheats fail."),
}


DAILY = ("run", "runs", "show", "compare", "ranks", "tasks")


@click.command(cls=LazyGroup, table=COMMANDS, renamed=RENAMED, daily=DAILY)
def evaluate() -> None:
    """Score checkpoints on tasks, and keep every sample.

    \b
    phizoo eval run phi-1-small-mini --task humaneval --task mini_exercises
    phizoo eval compare phi-1-small-mini phi-1-small-mini-base
    """


@click.command(cls=LazyGroup, table=CHECKS)
def check() -> None:
    """Check that an engine's answers can be trusted.

    \b
    phizoo eval check batch phi-1-small-mini
    phizoo eval check parity phi-1-small-mini --engine transformers --engine vllm
    """


@click.command(cls=LazyGroup, table=SANDBOX)
def sandbox() -> None:
    """Run programs in the sandbox, or test it on this machine.

    \b
    phizoo eval sandbox test
    phizoo eval sandbox run < programs.jsonl
    """
