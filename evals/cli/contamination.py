"""`phizoo eval contamination`: finds the samples of a task in training data and prints the matches side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evals.contamination.thresholds import METHODS, Method
from zoo.cli.completion import A_CHECKPOINT, A_DATASET, A_TASK
from zoo.cli.options import AS_JSON, RenamedOption, check_writable, open_registry
from zoo.cli.output import emit_json
from zoo.errors import ZooError

if TYPE_CHECKING:
    from evals.contamination.documents import TrainingSet
    from evals.contamination.flags import Flags, MatchedDocument
    from evals.contamination.problems import Problem
    from evals.contamination.search import SearchPlan
    from evals.task import Task

CODE_METHODS: tuple[Method, ...] = ("ngram", "ast", "embedding")  # the default for code
WIDTH_PLAIN = 160  # of the two columns if the output is no terminal


@click.command()
@click.argument("task", shell_complete=A_TASK, required=False)
@click.option("--dataset", "sets", shell_complete=A_DATASET, multiple=True, metavar="NAME|PATH",
              help="A dataset of the zoo, a file or a folder.")  # fmt: skip
@click.option("--checkpoint", "trained", shell_complete=A_CHECKPOINT,
              help="All training sets in the lineage of this checkpoint; the search is recorded for it.")  # fmt: skip
@click.option(
    "--method", "methods", multiple=True, type=click.Choice(METHODS),
    help="How to compare; may be given again. Default: ngram, ast and embedding for code, ngram for text.",
)  # fmt: skip
@click.option("--threshold", type=float, help="Words, match rate or distance; needs one --method.")
@click.option(
    "--embedding", cls=RenamedOption, former=("--embedder",), default="words", show_default=True,
    help="words, minilm, a checkpoint, or a model's folder.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the flags, a file a method.")
@click.option("--show", type=click.IntRange(0), default=3, show_default=True, help="Matches to print side by side.")
@click.option("--flags", type=click.Path(path_type=Path, dir_okay=False), help="Print these flags; search nothing.")
@click.option("--sample", help="Print the matches of this sample only.")
@click.option("--no-record", is_flag=True, help="Only print: keep no search for the checkpoint.")
@click.option(
    "--forget", metavar="SEARCH", help="Remove a recorded search by its id, as `phizoo models show` prints it."
)
@AS_JSON
def contamination(task: str | None, sets: tuple[str, ...], trained: str | None, **options: Any) -> None:
    """Find the samples of a task in training data.

    \b
    phizoo eval contamination humaneval --dataset code-clean --out flags
    phizoo eval contamination humaneval --checkpoint phi-1-small-mini --method ast --threshold 0.9
    phizoo eval contamination arc_easy --dataset ~/corpus --show 10
    phizoo eval contamination humaneval --flags flags/humaneval-ast.jsonl --sample HumanEval/3

    Code is compared by 13-grams of the docstring, by the edit distance of syntax trees (match rates .95, .90, .85, .80
    as published) and by embeddings, and with --method code-ngram by 10-grams of the solution and its tests; text by
    13-grams. With --checkpoint the search is recorded: it splits all scores of that checkpoint on the task, earlier and
    later ones. Flags from --out do so for another checkpoint: `phizoo eval run --overlap FILE`.
    """
    from evals.contamination.flags import checked_samples, read
    from evals.contamination.problems import make_problems
    from evals.tasks import task as find_task

    if options["forget"]:
        _forget(options["forget"], options["as_json"])
        return
    if task is None:
        raise ZooError("no task given. Example: phizoo eval contamination humaneval --checkpoint phi-1-small-mini")
    if trained and not options["no_record"]:
        check_writable()
    searched_task = find_task(task)
    problems = make_problems(searched_task)
    ids = [sample.id for sample in find_task(searched_task.name).samples()]
    if options["flags"]:
        searches = [read(options["flags"])]
        checked_samples(searches[0], searched_task.name, ids)
    else:
        part = {problem.sample for problem in problems} != set(ids)
        searches = _search(searched_task, problems, sets, trained, options | {"part": part})
    shown = [_only_sample(flags, options["sample"], problems) for flags in searches] if options["sample"] else searches
    if options["as_json"]:
        emit_json(shown)
    else:
        _print(shown, problems, options["show"])
    if trained and not options["no_record"]:
        _record(searches, trained, ids, options["as_json"])


def _record(searches: "Sequence[Flags]", trained: str, ids: Sequence[str], as_json: bool) -> None:
    """Keeps the searches for a checkpoint, splits its runs, and prints what the searches say of them."""
    from evals.contamination.flags import make_search
    from evals.results.split import split_runs
    from zoo.coverage import coverage, split_line

    with open_registry() as registry:
        checkpoint, task = registry.get(trained), searches[0].search.task
        for flags in searches:
            registry.add_search(make_search(flags, checkpoint.digest, task, ids))
        splits = {split.run: split for split in split_runs(registry, checkpoint.digest, task)}
        scores = registry.scores(checkpoint.digest, task)
        covered = coverage(registry, checkpoint.digest, registry.searches(checkpoint.digest, task))
    if covered.unsearched:
        click.echo(f"{checkpoint.label} {task}: not searched in full: {covered.unsearched}", err=as_json)
    for score in scores:
        if score.subset == "all" and (split := splits.get(score.run)):
            line = split_line(split, score, scores)
            click.echo(f"{checkpoint.label} {task} {score.metric} run {score.run[:12]}: {line}", err=as_json)
    if not splits:
        click.echo(f"recorded for {checkpoint.label}; its runs on {task} will be split by it", err=as_json)


def _forget(prefix: str, as_json: bool) -> None:
    """Removes a recorded search, and splits the runs without it."""
    from evals.results.split import split_runs

    with open_registry() as registry:
        search = registry.remove_search(prefix)
        count = len(split_runs(registry, search.checkpoint, search.task))
    message = f"forgot the search {search.id[:12]} of {search.task}; {count} run{'s' * (count != 1)} split again"
    emit_json(message) if as_json else click.echo(message)


def _only_sample(flags: "Flags", sample: str, problems: "Sequence[Problem]") -> "Flags":
    import msgspec

    from zoo.errors import nearest

    ids = [problem.sample for problem in problems]
    if sample not in ids:
        raise ZooError(f'{flags.search.task} has no sample "{sample}"{nearest(sample, ids)}')
    return msgspec.structs.replace(flags, flagged=tuple(flag for flag in flags.flagged if flag.sample == sample))


def _search(
    task: "Task", problems: "Sequence[Problem]", sets: tuple[str, ...], trained: str | None, options: dict[str, Any]
) -> "list[Flags]":
    """The flags of each method, written to --out."""
    from evals.contamination.flags import write
    from evals.contamination.search import narrow, search

    methods: tuple[Method, ...] = options["methods"] or (CODE_METHODS if task.kind == "code" else ("ngram",))
    threshold = options["threshold"]
    if threshold is not None and len(methods) > 1:
        raise ZooError(f"--threshold {threshold:g} needs one method; give it: --method {methods[0]}")
    if task.kind != "code" and set(methods) != {"ngram"}:
        raise ZooError(f"{task.name}@{task.protocol} asks for no program, so only n-grams apply; leave --method out")
    training_sets = _training_sets(sets, trained)
    searches = []
    for method in methods:
        plan, wanted = _plan(method, threshold, options["embedding"])
        flags = search(task.name, problems, training_sets, plan, options["part"])
        if method == "ast":
            if not options["as_json"]:
                _print_rates(flags)
            flags = narrow(flags, wanted)
        if options["out"]:
            write(options["out"] / f"{task.name}-{method}.jsonl", flags)
        searches.append(flags)
    return searches


def _plan(method: Method, threshold: float | None, embedding: str) -> "tuple[SearchPlan, float]":
    """The search of a method, and the threshold of its flags: one search for trees shows all published match rates."""
    from evals.contamination.search import SearchPlan
    from evals.contamination.syntax_trees import PRESETS
    from evals.contamination.thresholds import checked_threshold, default_threshold
    from evals.encoders import find_encoder

    encoder = find_encoder(embedding) if method == "embedding" and embedding != "words" else None
    if threshold is None:
        wanted = default_threshold(method, embedding)
    else:
        wanted = checked_threshold(method, threshold, embedding)
    laxest = min(*PRESETS, wanted) if method == "ast" else wanted
    return SearchPlan(method=method, threshold=laxest, encoder=encoder), wanted


def _training_sets(sets: tuple[str, ...], trained: str | None) -> "list[TrainingSet]":
    from evals.contamination.documents import find_sets, sets_of_checkpoint

    if not sets and not trained:
        raise ZooError("say what to search: --dataset NAME|PATH or --checkpoint NAME. All datasets: phizoo data list")
    with open_registry(readonly=True) as registry:
        chosen = [training_set for word in sets for training_set in find_sets(registry, word)]
        try:
            chosen += sets_of_checkpoint(registry, trained) if trained else []
        except ZooError as error:
            if not chosen or trained is None:
                raise
            registry.get(trained)
            click.echo(f"only {', '.join(sets)} is searched: {error}", err=True)
    return list({training_set.digest: training_set for training_set in chosen}.values())


def _print_rates(flags: "Flags") -> None:
    """Prints how many samples are similar at each published match rate."""
    from evals.contamination.search import narrow
    from evals.contamination.syntax_trees import PRESETS

    counts = ", ".join(f"{rate:.2f}: {len(narrow(flags, rate).flagged)}" for rate in PRESETS)
    click.echo(f"similar by match rate of syntax trees, of {flags.search.checked}: {counts}")


def _print(searches: "Sequence[Flags]", problems: "Sequence[Problem]", show: int) -> None:
    for flags in searches:
        search = flags.search
        sources = ", ".join(search.names or (digest[:12] for digest in search.datasets))
        click.echo(
            f"{search.task} {search.method} at {search.threshold:g}: {len(flags.flagged)} of {search.checked} samples "
            f"overlap with {search.documents:,} documents of {sources}"
        )
        if search.unsearched:
            click.echo(
                f"  {len(search.unsearched)} could not be searched for by {search.method}, so they are neither clean "
                f"nor overlapping: {', '.join(search.unsearched[:5])}"
            )
    by_sample = {problem.sample: problem for problem in problems}
    for flags in searches:
        for flag in flags.flagged[:show]:
            for match in flag.matches[:1]:
                _print_match(by_sample[flag.sample], flags.search.method, match)
        if len(flags.flagged) > show > 0:
            click.echo(f"{len(flags.flagged) - show} more by {flags.search.method}: --show {len(flags.flagged)}")


def _print_match(problem: "Problem", method: str, match: "MatchedDocument") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(soft_wrap=False)
    if not console.is_terminal:
        console = Console(soft_wrap=False, width=WIDTH_PLAIN)
    likeness = {"ast": "match rate", "embedding": "distance"}.get(method, "share of its n-grams")
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for title in (problem.sample, f"{match.document} ({likeness} {match.similarity:g})"):
        table.add_column(Text(title), ratio=1, overflow="fold")
    left = problem.shown if method != "ngram" else problem.whole
    table.add_row(Text(left[:2000].strip("\n")), Text(match.text.strip("\n")))
    console.print()
    console.print(table)
