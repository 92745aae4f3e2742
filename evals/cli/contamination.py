"""`phizoo eval contamination`: the samples of a task that stand in training data, side by side with what matched."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from zoo.cli.completion import A_CHECKPOINT, A_DATASET, A_TASK
from zoo.errors import ZooError

if TYPE_CHECKING:
    from evals.contamination.documents import TrainingSet
    from evals.contamination.flags import Flags, Method
    from evals.contamination.problems import Problem
    from evals.task import Task

METHODS = ("ngram", "ast", "embedding")
WIDTH_PLAIN = 160  # of the two columns where no terminal tells its own


@click.command()
@click.argument("task", shell_complete=A_TASK)
@click.option(
    "--dataset",
    "sets",
    shell_complete=A_DATASET,
    multiple=True,
    metavar="NAME|PATH",
    help="A dataset of the zoo, a file or a folder.",
)
@click.option(
    "--checkpoint", "trained", shell_complete=A_CHECKPOINT, help="All training sets in the lineage of this checkpoint."
)
@click.option(
    "--method", "methods", multiple=True, type=click.Choice(METHODS),
    help="How to compare; may be given again. Default: all three for code, n-grams for text.",
)  # fmt: skip
@click.option("--threshold", type=float, help="Words, match rate or distance; needs one --method.")
@click.option(
    "--embedder", default="words", show_default=True, help="words, minilm, a checkpoint, or a model's folder."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the flags, a file a method.")
@click.option("--show", type=click.IntRange(0), default=3, show_default=True, help="Matches to print side by side.")
@click.option("--flags", type=click.Path(path_type=Path, dir_okay=False), help="Read these flags, search nothing.")
@click.option("--sample", help="Print the matches of this sample only.")
@click.option("--json", "as_json", is_flag=True, help="Print searches and flags as JSON.")
def contamination(task: str, sets: tuple[str, ...], trained: str | None, **options: Any) -> None:
    """Find the samples of a task that stand in training data.

    \b
    phizoo eval contamination humaneval --dataset code-clean --out flags
    phizoo eval contamination humaneval --checkpoint phi-1-small-mini --method ast --threshold 0.9
    phizoo eval contamination arc_easy --dataset ~/corpus --show 10
    phizoo eval contamination humaneval --flags flags/humaneval-ast.jsonl --sample HumanEval/3

    Code is compared by 13-grams of the docstring, by the edit distance of syntax trees (match rates .95, .90, .85, .80
    as published) and by embeddings; text by 13-grams. `phizoo eval run --overlap FILE` then splits the scores.
    """
    from evals.contamination.flags import read
    from evals.contamination.problems import problems
    from evals.tasks import task as find

    found = find(task)
    samples = list(found.samples())
    looked = problems(found, samples)
    if options["flags"]:
        searches = [read(options["flags"])]
        _check(searches[0], found, [sample.id for sample in samples])
    else:
        searches = _searched(found, looked, sets, trained, options)
    if options["sample"]:
        searches = [_only(one, options["sample"], looked) for one in searches]
    if options["as_json"]:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(searches), indent=2))
        return
    _print(searches, looked, options["show"])


def _check(flags: "Flags", task: "Task", samples: Sequence[str]) -> None:
    from evals.contamination.flags import overlapping

    overlapping(flags, task.name, samples)


def _only(flags: "Flags", sample: str, looked: "Sequence[Problem]") -> "Flags":
    import msgspec

    from zoo.errors import nearest

    ids = [problem.sample for problem in looked]
    if sample not in ids:
        raise ZooError(f'{flags.search.task} has no sample "{sample}"{nearest(sample, ids)}')
    mine = tuple(flag for flag in flags.flagged if flag.sample == sample)
    return msgspec.structs.replace(flags, flagged=mine)


def _searched(
    task: "Task", looked: "Sequence[Problem]", sets: tuple[str, ...], trained: str | None, options: dict[str, Any]
) -> "list[Flags]":
    """The flags of each method asked for, written down where --out says."""
    from evals.contamination.flags import write
    from evals.contamination.search import Asked, search

    methods = options["methods"] or (METHODS if task.kind == "code" else ("ngram",))
    threshold = options["threshold"]
    if threshold is not None and len(methods) > 1:
        raise ZooError(f"--threshold {threshold:g} is of one method; say which: --method {methods[0]}")
    if task.kind != "code" and set(methods) != {"ngram"}:
        raise ZooError(f"{task.name}@{task.protocol} asks for no program, so only n-grams tell; leave --method out")
    given = _sets(sets, trained)
    found = []
    for method in methods:
        embedder, folder = _embedder(options["embedder"]) if method == "embedding" else ("", "")
        wanted = _threshold(method, threshold, embedder)
        widest = min(0.8, wanted) if method == "ast" else wanted  # one search shows all published match rates
        asked = Asked(method=cast("Method", method), threshold=widest, embedder=embedder, folder=folder)
        flags = search(task.name, looked, given, asked)
        flags = _tell_rates(flags, wanted) if method == "ast" and not options["as_json"] else _narrowed(flags, wanted)
        if options["out"]:
            write(options["out"] / f"{task.name}-{method}.jsonl", flags)
        found.append(flags)
    return found


def _sets(sets: tuple[str, ...], trained: str | None) -> "list[TrainingSet]":
    from evals.contamination.documents import named, of_checkpoint
    from zoo.registry import open_registry

    if not sets and not trained:
        raise ZooError("say what to search: --dataset NAME|PATH or --checkpoint NAME. All datasets: phizoo data list")
    with open_registry() as registry:
        found = [one for word in sets for one in named(registry, word)]
        found += of_checkpoint(registry, trained) if trained else []
    return list({one.digest: one for one in found}.values())


def _embedder(name: str) -> tuple[str, str]:
    """What makes the vectors, and the folder it is in where it is no built-in one."""
    from zoo.registry import open_registry

    if name in ("minilm", "words"):
        return name, ""
    if Path(name).is_dir():
        return name, name
    with open_registry() as registry:
        checkpoint = registry.get(name)
        return checkpoint.digest, str(registry.path(checkpoint))


def _threshold(method: str, asked: float | None, embedder: str) -> float:
    """The threshold asked for, or the method's own. Raises ZooError for one that cannot be."""
    from evals.contamination.embeddings import DISTANCES, OTHER_DISTANCE

    told = {"ngram": 13.0, "ast": 0.95, "embedding": DISTANCES.get(embedder, OTHER_DISTANCE)}
    if asked is None:
        return told[method]
    may = {"ngram": asked >= 3 and asked == int(asked), "ast": 0 < asked <= 1, "embedding": 0 < asked <= 2}
    words = {"ngram": "whole words, 3 or more", "ast": "a match rate in 0..1", "embedding": "a distance in 0..2"}
    if not may[method]:
        raise ZooError(f"--threshold {asked:g} for {method}: expected {words[method]}, such as {told[method]:g}")
    return asked


def _narrowed(flags: "Flags", wanted: float) -> "Flags":
    from evals.contamination.search import at_least

    return at_least(flags, wanted) if flags.search.method == "ast" else flags


def _tell_rates(flags: "Flags", wanted: float) -> "Flags":
    """Prints how many samples are similar at each published match rate; gives the flags of the one wanted."""
    from evals.contamination.search import at_least
    from evals.contamination.syntax_trees import PRESETS

    counts = ", ".join(f"{rate:.2f}: {len(at_least(flags, rate).flagged)}" for rate in PRESETS)
    click.echo(f"similar by match rate of syntax trees, of {flags.search.checked}: {counts}")
    return _narrowed(flags, wanted)


def _print(searches: "Sequence[Flags]", looked: "Sequence[Problem]", show: int) -> None:
    for flags in searches:
        told = flags.search
        where = ", ".join(told.names or (one[:12] for one in told.datasets))
        click.echo(
            f"{told.task} {told.method} at {told.threshold:g}: {len(flags.flagged)} of {told.checked} samples overlap "
            f"with {told.documents:,} documents of {where}"
        )
        if told.unsearched:
            click.echo(
                f"  {len(told.unsearched)} could not be looked for and count as clean: {', '.join(told.unsearched[:5])}"
            )
    problems = {problem.sample: problem for problem in looked}
    for flags in searches:
        for flag in flags.flagged[:show]:
            for match in flag.matches[:1]:
                _side_by_side(problems[flag.sample], flags.search.method, match)
        if len(flags.flagged) > show > 0:
            click.echo(f"{len(flags.flagged) - show} more by {flags.search.method}: --show {len(flags.flagged)}")


def _side_by_side(problem: "Problem", method: str, match: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(soft_wrap=False)
    if not console.is_terminal:
        console = Console(soft_wrap=False, width=WIDTH_PLAIN)
    likeness = {"ngram": "share of its n-grams", "ast": "match rate", "embedding": "distance"}[method]
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for title in (problem.sample, f"{match.document} ({likeness} {match.similarity:g})"):
        table.add_column(Text(title), ratio=1, overflow="fold")
    left = problem.shown if method != "ngram" else problem.whole
    table.add_row(Text(left[:2000].strip("\n")), Text(match.text.strip("\n")))
    console.print()
    console.print(table)
