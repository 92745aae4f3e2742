"""`phizoo quickstart`: data, training, evaluation and leaderboard, as the commands that anyone would type.

A list of command lines, run one after the other in this process. Each command skips work whose output
exists already (by digest), so an interrupted quickstart continues where it stopped.
"""

import shlex
import shutil
import sys
import time

import click

STEPS: tuple[tuple[str, str], ...] = (
    ("Data: Python files of this machine, the best of them, and text from a template teacher", ""),
    ("", "data gather python --name code"),
    ("", "data filter code --name code-filtered --tokens 3000000"),
    ("", "data decontaminate code-filtered --task humaneval --task mbpp --name code-clean"),
    ("", "data synthesise textbooks --name textbooks --documents 8000"),
    ("", "data synthesise exercises --name exercises"),
    ("", "data decontaminate exercises --task humaneval --task mbpp --name exercises-clean"),
    ("", "data tokenizer code-clean textbooks exercises-clean --name mini-bpe"),
    ("", "data pack code --tokenizer mini-bpe --name unfiltered-tokens --tokens 2000000"),
    ("", "data pack code-clean=0.5 textbooks=0.5 --tokenizer mini-bpe --name base-tokens --tokens 2000000"),
    ("", "data pack exercises-clean --tokenizer mini-bpe --name exercises-tokens"),
    ("Train: a control on unfiltered code, a base model, and the base model finetuned on exercises", ""),
    ("", "train run phi-1-small-mini-unfiltered"),
    ("", "train run phi-1-small-mini-base"),
    ("", "train run phi-1-small-mini"),
    ("Register: the checkpoints of the zoo", ""),
    ("", "models list"),
    ("Evaluate: the same tasks for all three models", ""),
    (
        "",
        "eval run phi-1-small-mini-unfiltered phi-1-small-mini-base phi-1-small-mini "
        "--task humaneval --task mini_exercises --task arc_easy --task piqa",
    ),
    ("Contamination: test exercises that occur in the training data, and the score without them", ""),
    ("", "eval contamination mini_exercises --checkpoint phi-1-small-mini --method ast --out flags --show 1"),
    ("", "eval run phi-1-small-mini --task mini_exercises --overlap flags/mini_exercises-ast.jsonl"),
    ("Compare: is the improvement significant, and how do the models rank", ""),
    ("", "eval compare phi-1-small-mini-base phi-1-small-mini-unfiltered --task mini_exercises"),
    ("", "eval compare phi-1-small-mini phi-1-small-mini-base --task mini_exercises"),
    ("", "leaderboard --print"),
    ("", "leaderboard --out leaderboard.html"),
)


@click.command()
@click.option("--dry-run", is_flag=True, help="Print the commands without running them.")
def quickstart(dry_run: bool) -> None:
    """Run all of it on two CPU cores: data, training, evaluation, leaderboard.

    Takes ten to fifteen minutes. If interrupted, run it again: finished steps are skipped.

    \b
    phizoo quickstart
    phizoo quickstart --dry-run
    """
    from zoo.cli.root import run
    from zoo.progress import seconds_text

    began = time.monotonic()
    for title, line in STEPS:
        if title:
            click.secho(f"\n{title}", bold=True)
            continue
        click.secho(f"$ phizoo {line}", fg="cyan")
        if dry_run:
            continue
        sys.stdout.flush()
        code = run(shlex.split(line))
        if code:
            sys.exit(code)
    if not dry_run:
        # `make` calls it by its path in .venv, which is not on the PATH of the shell
        program = "phizoo" if shutil.which("phizoo") else sys.argv[0]
        click.echo(f"\nDone in {seconds_text(time.monotonic() - began)}. Open the leaderboard: {program} leaderboard")
