"""`phizoo eval run`: checkpoints x tasks, each resumable, each number printed with its interval."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evals.cli.engine_options import check_engine, engine_options
from zoo.cli.completion import A_CHECKPOINT, AN_ENGINE
from zoo.cli.options import ALLOW_WEAK, AS_JSON, DTYPE, TIER, open_registry, task_option
from zoo.cli.output import command_line, emit_json, share_cell, table, wrapped
from zoo.errors import ZooError
from zoo.metrics import metric_of

if TYPE_CHECKING:
    from evals.results.measure import ScoreRow
    from evals.run import RunOptions
    from evals.subjects import Subject
    from evals.task import Task
    from zoo.registry import Registry

ENDPOINT = "endpoint:"  # before the name of a model that only an endpoint has
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
    from evals.asked import choose_tasks, note_kinds
    from evals.decisions.cli.until import check_until, resolve_pair
    from evals.results.measure import Publishing, measure, open_subject, read_flags

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
    rules = Publishing(
        publish=not options["no_publish"], flags=read_flags(options["overlap"], chosen),
        allow_unscored=options["allow_unscored"], max_unscored=options["max_unscored"],
    )  # fmt: skip
    publishing = rules.publish and not until and any(not name.startswith(ENDPOINT) for name in names)
    with open_registry(readonly=not publishing) as registry:
        subjects = [_subject(registry, name, options) for name in names]
        note_kinds(registry, subjects, chosen, run_options.engine)
        if until:
            resolve_pair(registry, subjects, chosen, run_options, options["margin"], open_subject, options["as_json"])
            return
        rows = measure(registry, subjects, chosen, run_options, rules, partial(_print_resolution, run_options))
    for label, path in {row.checkpoint: row.path for row in rows if row.path}.items():
        click.echo(f"{label} was read by these paths: {path}", err=True)
    if options["as_json"]:
        emit_json(rows)
        return
    table([_fields(row) for row in rows])


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
        command=command_line(), **{name: options[name] for name in same},
    )  # fmt: skip


def _subject(registry: "Registry", name: str, options: dict[str, Any]) -> "Subject":
    """A checkpoint of the zoo, or a model that only an endpoint has (`endpoint:MODEL`)."""
    from evals.results.measure import find_subject
    from evals.subjects import Subject
    from zoo.digest import digest

    if not name.startswith(ENDPOINT):
        return find_subject(registry, name)
    if options["engine"] != "openai_http" or options["model"]:
        raise ZooError(f"{name} needs --engine openai_http and no --model: the name already says the model")
    return Subject(digest=digest(["endpoint", options["url"], name]), label=name, model=name.removeprefix(ENDPOINT))


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


def _fields(row: "ScoreRow") -> tuple[str, ...]:
    notes = [SUBSETS[row.subset]] if row.subset != "all" else []
    notes += [row.notes] if row.notes else []
    notes += [row.training_data] if row.training_data else []
    if not row.published:
        part = f": {row.asked:,} of {row.whole:,} samples" if row.asked < row.whole else ""
        notes.append(f"not published{part}")
    notes += [f"{row.truncated:,} prompt{'s' * (row.truncated > 1)} cut to the context"] if row.truncated else []
    notes += [f"{row.unfinished:,} unfinished"] if row.unfinished else []
    notes += [f"{row.disputed:,} disputed"] if row.disputed else []
    notes += [f"without {', '.join(row.without)}"] if row.without else []
    notes += [f"partial: {row.partial}"] if row.partial else []
    value = share_cell(row.value, row.low, row.high, row.n, row.metric)
    note = f"({', '.join(notes)})" if notes else ""
    return row.checkpoint, row.column, value, f"run {row.run[:12]}", note
