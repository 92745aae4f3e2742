"""`phizoo eval run`: checkpoints x tasks, each resumable, each number printed with its interval."""

import os
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evals.cli.engine_options import check_engine, engine_options
from zoo.cli.completion import A_CHECKPOINT, AN_ENGINE
from zoo.cli.options import ALLOW_WEAK, AS_JSON, DTYPE, TIER, open_registry, task_option
from zoo.cli.output import coverage_note, emit_json, score_notes, share_cell, table, wrapped
from zoo.errors import ZooError
from zoo.metrics import metric_of

if TYPE_CHECKING:
    from evals.contamination.flags import Flags
    from evals.evaluate import Subject
    from evals.run import FinishedRun, RunOptions
    from evals.task import Task
    from zoo.records import Score, Search, Split
    from zoo.registry import Registry

SUBSETS = {"clean": "without the samples found in training data", "overlapping": "only samples found in training data"}


@click.command()
@click.argument("names", shell_complete=A_CHECKPOINT, nargs=-1, required=True, metavar="NAME...")
@task_option("A task, TASK@PROTOCOL or suite:NAME; may be given again, or with commas.", required=True)
@click.option("--engine", shell_complete=AN_ENGINE, default="transformers", show_default=True,
              help="The engine that runs the model; auto: the fastest installed one proven for it.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="Only the first N samples (not published).")
@click.option("--samples", "ids", help="Only these sample ids, commas between (not published).")
@click.option("--shots", type=click.IntRange(0), metavar="N",
              help="Choice tasks: N examples before each question, as lm-evaluation-harness draws them.")  # fmt: skip
@click.option("--draws", type=click.IntRange(1), default=1, show_default=True, help="Texts drawn per sample.")
@click.option("--temperature", type=click.FloatRange(0), help="Sample at this temperature instead of the protocol's.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), help="Nucleus when sampling (default 0.95).")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of every draw.")
@click.option("--batch", type=click.IntRange(1), help="Samples at a time (default: by token budget).")
@DTYPE
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of evaluation sets (as PHIZOO_DATA).")
@TIER
@ALLOW_WEAK
@click.option("--allow-unscored", is_flag=True, help="Publish although up to 1% of the samples were not scored.")
@click.option("--max-unscored", type=click.FloatRange(0, 100), metavar="PERCENT",
              help="Publish although up to this percentage of the samples was not scored.")  # fmt: skip
@click.option("--pass-at", type=click.IntRange(1), multiple=True, metavar="K",
              help="Score pass@K too, beside 1, 2, 5, 10, 20, … up to the draws.")  # fmt: skip
@click.option("--no-publish", is_flag=True, help="Keep the run, but write no score to the registry.")
@click.option("--overlap", multiple=True, type=click.Path(path_type=Path),
              help="File of flagged samples (eval contamination); scores are split by them.")  # fmt: skip
@click.option("--ray", metavar="ADDRESS", help="Spread over a Ray cluster: auto, HOST:PORT, or local for this machine.")
@click.option("--data-parallel", type=click.IntRange(1), help="Replicas of the model on this machine (Ray).")
@click.option("--cpus-per-replica", type=click.IntRange(1),
              help="CPUs of each replica on machines without a GPU (default: 4 or all).")  # fmt: skip
@click.option("--chat", is_flag=True, help="Ask by chat, with the checkpoint's own template; endpoints by messages.")
@click.option("--system", metavar="TEXT", help="With --chat: the system message.")
@click.option("--fewshot-as-turns", is_flag=True, help="With --chat: examples as turns of the chat.")
@click.option("--thinking", type=click.Choice(["on", "off"]),
              help="With --chat: the template's own switch of thinking.")  # fmt: skip
@click.option("--thinking-budget", type=click.IntRange(0), metavar="N",
              help="With --chat: a thought is closed after N tokens.")  # fmt: skip
@engine_options
@click.option("--until-resolved", is_flag=True, help="Of two models: stop when they are told apart or alike.")
@click.option("--margin", type=click.FloatRange(0, 100, min_open=True), metavar="POINTS",
              help="With --until-resolved: the largest difference that does not matter.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print the requests, memory and time needed, and what is missing here.")
@AS_JSON
def run(names: tuple[str, ...], tasks: tuple[str, ...], **options: Any) -> None:
    """Score checkpoints on tasks and publish the numbers.

    \b
    phizoo eval run phi-1-small-mini --task humaneval
    phizoo eval run phi-1-small-mini phi-1-small-mini-base --task arc_easy --task piqa
    phizoo eval run phi-1-small-mini --task arc_easy --shots 5
    phizoo eval run phi-1-small-mini --task humaneval --draws 20 --temperature 0.2 --pass-at 3
    phizoo eval run phi-1-small-mini --task arc_easy --engine openai_http --url http://127.0.0.1:8000/v1
    phizoo eval run endpoint:gpt-5 --task humaneval --engine openai_http --url https://api.openai.com/v1 --chat
    phizoo eval run smollm2 --task arc_easy --engine llama_cpp --chat --system "Answer in one word."
    phizoo eval run phi-1-small-mini phi-1-mini --task suite:quick --ray auto --engine vllm
    phizoo eval run phi-2 --task suite:phi-2 --engine vllm --dry-run
    phizoo eval run phi-1-small-mini phi-1-mini --task arc_easy --until-resolved --margin 2

    If it is killed, the same command continues where it stopped.
    """
    from evals.cli.chat_options import choose_tasks, note_kinds
    from evals.decisions.cli.until import check_until, resolve_pair
    from evals.evaluate import evaluate_many
    from zoo import settings

    if options["data_dir"]:
        if not options["data_dir"].is_dir():
            raise ZooError(f"--data-dir {options['data_dir']} is not a folder; it should hold NAME/data.jsonl files")
        os.environ["PHIZOO_DATA"] = str(options["data_dir"])
    check_engine(options["engine"])
    until = check_until(names, options)
    run_options = _run_options(options)
    chosen = choose_tasks(tasks, run_options, options["shots"])
    if options["dry_run"]:
        from evals.checks import estimate

        estimate.report(estimate.plan_runs(names, chosen, run_options, options["dtype"]))
        return
    flags = _read_flags(options["overlap"], chosen)
    rows: list[dict[str, Any]] = []
    publishing = not options["no_publish"] and not until and any(not name.startswith("endpoint:") for name in names)
    with open_registry(readonly=not publishing) as registry:
        subjects = [_subject(registry, name, options) for name in names]
        note_kinds(registry, subjects, chosen, run_options.engine)
        if until:
            resolve_pair(registry, subjects, chosen, run_options, options["margin"], _open_subject, options["as_json"])
            return
        foreign = {subject.digest for subject in subjects if subject.model}

        def publishable(run: "FinishedRun") -> bool:
            return run.complete and not options["no_publish"] and run.header.checkpoint not in foreign

        splits: dict[str, Split | None] = {}

        def publish(run: "FinishedRun") -> "list[Score]":
            allowed = {name: options[name] for name in ("allow_unscored", "max_unscored")}
            scores, splits[run.header.id] = _publish(registry, run, flags, allowed, publishable(run))
            return scores

        # a shared store sends the weights when their turn comes
        ready = (each if each.model else _open_subject(registry, each, run_options.engine) for each in subjects)
        resolution = partial(_print_resolution, run_options)
        for outcome in evaluate_many(ready, chosen, run_options, settings.runs_dir(), publish, resolution):
            label, run = outcome.subject.label, outcome.run
            new = [_row(label, run, score, publishable(run)) for score in outcome.scores]
            rows += _with_overlap(new, outcome.scores, splits[run.header.id])
    for label, path in {row["checkpoint"]: row["path"] for row in rows if row["path"]}.items():
        click.echo(f"{label} was read by these paths: {path}", err=True)
    order = [subject.label for subject in subjects]
    _print(sorted(rows, key=lambda row: order.index(row["checkpoint"])), options["as_json"])


def _run_options(options: dict[str, Any]) -> "RunOptions":
    """The command line as a record. Raises ZooError for an option that belongs to another engine."""
    from evals.cli.chat_options import read_shape
    from evals.cli.engine_options import given
    from evals.run import RunOptions

    engine = options["engine"]
    chat = read_shape(options)
    connection = {name: options[name] for name in ("dtype", "device", "batch")} | given(engine, options)
    if engine == "vllm_server":
        connection["data_parallel"] = options["data_parallel"] or 1
    same = ("engine", "seed", "draws", "limit", "temperature", "top_p", "pass_at", "tier", "cpus_per_replica")
    return RunOptions(
        connection=connection, chat=chat, samples=tuple(filter(None, (options["ids"] or "").split(","))),
        allow_weak=options["allow_weak"], ray=options["ray"] or "", replicas=options["data_parallel"] or 0,
        command=shlex.join(["phizoo", *sys.argv[1:]]), **{name: options[name] for name in same},
    )  # fmt: skip


def _subject(registry: "Registry", name: str, options: dict[str, Any]) -> "Subject":
    """A checkpoint of the zoo, or a model that only an endpoint has (`endpoint:MODEL`)."""
    from evals.evaluate import Subject
    from zoo.digest import digest

    if not name.startswith("endpoint:"):
        checkpoint = registry.get(name)
        return Subject(digest=checkpoint.digest, label=checkpoint.label)
    if options["engine"] != "openai_http" or options["model"]:
        raise ZooError(f"{name} needs --engine openai_http and no --model: the name already says the model")
    model = name.removeprefix("endpoint:")
    return Subject(digest=digest(["endpoint", options["url"], name]), label=name, model=model)


def _open_subject(registry: "Registry", subject: "Subject", engine: str) -> "Subject":
    """A checkpoint with its files, and under `--engine auto` with its engine, which a line names."""
    from msgspec.structs import replace

    from evals.engines.fastest import AUTO, fastest_engine

    opened = replace(subject, path=registry.path(subject.label))
    if engine != AUTO or opened.path is None:
        return opened
    name, reason = fastest_engine(opened.path)
    click.echo(f"{subject.label}: engine {name}: {reason}", err=True)
    return replace(opened, engine=name)


def _read_flags(paths: tuple[Path, ...], tasks: "list[Task]") -> "dict[str, list[Flags]]":
    """The flags in these files by task, checked before anything runs, against all samples of the task."""
    from evals.contamination.flags import read

    searches: dict[str, list[Flags]] = {}
    for flags in map(read, paths):
        searches.setdefault(flags.search.task, []).append(flags)
    for name, of_task in searches.items():
        if name not in {task.name for task in tasks}:
            raise ZooError(f"--overlap has flags of {name}, which is not among the tasks; add it, or drop the flags")
        _make_searches(of_task, "0" * 64, name)
    return searches


def _make_searches(flags: "Sequence[Flags]", checkpoint: str, task: str) -> "list[Search]":
    """The flags as searches for a checkpoint. Raises ZooError for flags of other samples, or that disagree."""
    from evals.contamination.flags import make_search
    from evals.tasks import task as find_task
    from zoo.db.searches import check_search

    ids = [sample.id for sample in find_task(task).samples()] if flags else []
    return [check_search(make_search(each, checkpoint, task, ids)) for each in flags]


def _print_resolution(options: "RunOptions", task: "Task") -> None:
    """Prints the difference that the samples can show, before the time is spent."""
    from evals.cli.power import plan, resolution_text
    from evals.run import select_samples
    from evals.stats.power import resolution

    samples = select_samples(task, options)[1]
    text = f"n={len(samples)}; the differences that it resolves are known once there is a score"
    if metric_of(task.metrics[0]).is_share:
        text = resolution_text(resolution(plan(task, samples, options.draws)))
    click.echo(wrapped(f"{task.name}@{task.protocol}: {text}", sys.stderr), err=True)


def _publish(
    registry: "Registry",
    run: "FinishedRun",
    flags: "dict[str, list[Flags]]",
    allowed: dict[str, Any],
    publishable: bool,
) -> "tuple[list[Score], Split | None]":
    """A run's scores, and its split by its flags and the searches of the zoo; kept there if it is publishable."""
    from evals.contamination.flags import write
    from evals.results.publish import publish, scores
    from evals.results.split import make_split
    from zoo.coverage import coverage

    header = run.header
    of_task = flags.get(header.task) or _kept_flags(run)
    for each in of_task:  # beside the evidence, with the documents that matched
        write(run.path.parent / f"overlap-{each.search.method}.jsonl", each)
    searches = _make_searches(of_task, header.checkpoint, header.task)
    if publishable:
        for search in searches:
            registry.add_search(search)
        published = publish(registry, run, **allowed)
        return published, registry.splits(header.checkpoint, header.task).get(header.id)
    searches += registry.searches(header.checkpoint, header.task)
    if not searches:
        return scores(run), None
    covered = coverage(registry, header.checkpoint, searches)
    split, _ = make_split(header.id, (result.sample for result in run.results), searches, covered)
    return scores(run, searches, covered), split


def _kept_flags(run: "FinishedRun") -> "list[Flags]":
    """The flags beside a run from an earlier start, so that its scores stay split."""
    from evals.contamination.flags import read

    return [read(path) for path in sorted(run.path.parent.glob("overlap-*.jsonl"))]


def _row(label: str, run: "FinishedRun", score: "Score", published: bool) -> dict[str, Any]:
    from evals.stats.power import resolution, weakest
    from evals.stats.real import real_resolution

    protocol = next(p for p in run.protocols if p.fingerprint == score.protocol)
    names = ("metric", "value", "low", "high", "n", "unscored", "worst", "best", "seeds", "subset")
    kept = {name: getattr(score, name) for name in names}
    where = {"checkpoint": label, "column": protocol.column, "run": score.run, "published": published}
    where |= {"asked": run.header.samples, "whole": protocol.samples}
    cut = sum(result.truncated > 0 for result in run.results)
    span = (score.value, score.low, score.high, score.n, score.clusters)
    worth = weakest([span])
    smallest = resolution(worth) if worth else None
    if not metric_of(score.metric).is_share:
        smallest = real_resolution([span])
    facts = {"partial": protocol.partial, "truncated": cut, "path": run.header.backend.path}
    facts["unfinished"] = sum(result.unfinished for result in run.results)
    facts["disputed"] = sum(result.disputed for result in run.results)
    facts["without"] = list(run.header.backend.identity.get("without", ()))
    facts |= {
        "coverage_note": coverage_note(score.value, score.clusters, score.metric),
        "notes": score_notes(score, setting=False),
    }
    return {**where, **kept, **facts, "resolution": smallest}


def _with_overlap(rows: list[dict[str, Any]], scores: "Sequence[Score]", split: "Split | None") -> list[dict[str, Any]]:
    """The rows with what the searches of training data say of them."""
    from zoo.coverage import overlap_fields, split_line

    fields = overlap_fields(split)
    return [
        row | fields | {"training_data": split_line(split, score, scores) if score.subset == "all" else ""}
        for row, score in zip(rows, scores, strict=True)
    ]


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        emit_json(rows)
        return
    table([_fields(row) for row in rows])


def _fields(row: dict[str, Any]) -> tuple[str, ...]:
    notes = [SUBSETS[row["subset"]]] if row["subset"] != "all" else []
    notes += [row["notes"]] if row["notes"] else []
    notes += [row["training_data"]] if row["training_data"] else []
    if not row["published"]:
        part = f": {row['asked']:,} of {row['whole']:,} samples" if row["asked"] < row["whole"] else ""
        notes.append(f"not published{part}")
    notes += [f"{row['truncated']} prompts cut to the context"] if row["truncated"] else []
    notes += [f"{row['unfinished']:,} unfinished"] if row["unfinished"] else []
    notes += [f"{row['disputed']:,} disputed"] if row["disputed"] else []
    notes += [f"without {', '.join(row['without'])}"] if row["without"] else []
    notes += [f"partial: {row['partial']}"] if row["partial"] else []
    value = share_cell(row["value"], row["low"], row["high"], row["n"], row["metric"])
    note = f"({', '.join(notes)})" if notes else ""
    return row["checkpoint"], row["column"], value, f"run {row['run'][:12]}", note
