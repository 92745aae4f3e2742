"""`phizoo quickstart`: the whole way, as the ordinary commands that anyone would type.

A literal list of command lines, run one after the other in this process. Each of them knows by
digest whether its work is done, so an interrupted quickstart goes on where it was; this file adds
no logic of its own.
"""

import shlex
import shutil
import sys
import time

import click

STEPS: tuple[tuple[str, str], ...] = (
    ("Data: this machine's own Python code, the best part of it, and a template teacher's text", ""),
    ("", "data gather python --out code"),
    ("", "data filter code --out code-filtered --tokens 3000000"),
    ("", "data decontaminate code-filtered --against humaneval,mbpp --out code-clean"),
    ("", "data synthesise textbooks --out textbooks --documents 8000"),
    ("", "data synthesise exercises --out exercises"),
    ("", "data decontaminate exercises --against humaneval,mbpp --out exercises-clean"),
    ("", "data tokenizer code-clean textbooks exercises-clean --out mini-bpe"),
    ("", "data pack code --tokenizer mini-bpe --out unfiltered-tokens --tokens 2000000"),
    ("", "data pack code-clean=0.5 textbooks=0.5 --tokenizer mini-bpe --out base-tokens --tokens 2000000"),
    ("", "data pack exercises-clean --tokenizer mini-bpe --out exercises-tokens"),
    ("Train: a control on unfiltered code, a base model, and its finetune on exercises", ""),
    ("", "train run phi-1-small-mini-unfiltered"),
    ("", "train run phi-1-small-mini-base"),
    ("", "train run phi-1-small-mini"),
    ("Register: what the zoo holds now", ""),
    ("", "models list"),
    ("Evaluate: the same tasks for all three", ""),
    (
        "",
        "eval run phi-1-small-mini-unfiltered phi-1-small-mini-base phi-1-small-mini "
        "--tasks humaneval,mini_exercises,arc_easy,piqa",
    ),
    ("Look: which exercises of the test stand in the training data, and the score without them", ""),
    ("", "eval contamination mini_exercises --checkpoint phi-1-small-mini --method ast --out flags --show 1"),
    ("", "eval run phi-1-small-mini --tasks mini_exercises --overlap flags/mini_exercises-ast.jsonl"),
    ("Show: is the lift real, and where do the models stand", ""),
    ("", "eval compare phi-1-small-mini-base phi-1-small-mini-unfiltered --task mini_exercises"),
    ("", "eval compare phi-1-small-mini phi-1-small-mini-base --task mini_exercises"),
    ("", "leaderboard --print"),
    ("", "leaderboard --export leaderboard.html"),
)


@click.command()
@click.option("--dry-run", is_flag=True, help="Print the commands and run none.")
def quickstart(dry_run: bool) -> None:
    """The whole way on two CPU cores: data, train, evaluate, show (ten to fifteen minutes).

    \b
    phizoo quickstart
    phizoo quickstart --dry-run

    Interrupted, the same command goes on; finished parts are not done again.
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
        # `make` calls it by its path in .venv, which the shell it was typed in does not have on its own
        typed = "phizoo" if shutil.which("phizoo") else sys.argv[0]
        click.echo(f"\nDone in {seconds_text(time.monotonic() - began)}. Open the page: {typed} leaderboard")
