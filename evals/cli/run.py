"""`phizoo eval run`: checkpoints x tasks, each resumable, each number printed with its interval."""

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from evals.cli.engine_options import engine_options
from zoo.cli.completion import A_CHECKPOINT, A_TASK, AN_ENGINE
from zoo.errors import ZooError, unknown
from zoo.records import Record

SUBSETS = {"clean": "without the samples found in training data", "overlapping": "those found in training data alone"}


@click.command()
@click.argument("names", shell_complete=A_CHECKPOINT, nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--tasks",
    "wanted",
    shell_complete=A_TASK,
    required=True,
    help="Tasks or suites, commas between: humaneval,arc_easy@lm-eval,suite:quick.",
)
@click.option(
    "--engine", shell_complete=AN_ENGINE, default="transformers", show_default=True, help="Which engine runs the model."
)
@click.option("--limit", type=click.IntRange(1), help="Only the first N samples (not published).")
@click.option("--samples", "ids", help="Only these sample ids, commas between (not published).")
@click.option("--draws", type=click.IntRange(1), default=1, show_default=True, help="Texts drawn per sample.")
@click.option("--temperature", type=click.FloatRange(0), help="Sample at this temperature instead of the protocol's.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), help="Nucleus when sampling (default 0.95).")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all draws.")
@click.option("--batch", type=click.IntRange(1), help="Samples at a time (default: by token budget).")
@click.option("--dtype", default="auto", show_default=True, help="auto, float32, bfloat16 or float16.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of evaluation sets (as PHIZOO_DATA).")
@click.option("--tier", help="Sandbox tier instead of the best one.")
@click.option("--allow-weak-isolation", "weak", is_flag=True, help="Run code with resource limits only. Dangerous.")
@click.option("--allow-unscored", is_flag=True, help="Publish although some samples could not be scored.")
@click.option("--no-publish", is_flag=True, help="Keep the run, but write no score to the registry.")
@click.option(
    "--overlap", multiple=True, type=click.Path(path_type=Path), help="Flags of leaked samples: scores split by them."
)
@click.option("--ray", metavar="ADDRESS", help="Spread over a Ray cluster: auto, HOST:PORT, or local for this machine.")
@click.option("--data-parallel", type=click.IntRange(1), help="So many replicas of the model on this machine (Ray).")
@click.option(
    "--cpus-per-replica", type=click.IntRange(1), help="With --ray, on machines without a GPU (default: 4 or all)."
)
@engine_options
@click.option("--dry-run", is_flag=True, help="Tell what would be asked, memory and time, and what is lacking here.")
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
def run(names: tuple[str, ...], wanted: str, **options: Any) -> None:
    """Score checkpoints on tasks and publish the numbers.

    \b
    phizoo eval run phi-1-small-mini --tasks humaneval
    phizoo eval run phi-1-small-mini phi-1-small-mini-base --tasks arc_easy,piqa
    phizoo eval run phi-1-small-mini --tasks humaneval --draws 20 --temperature 0.2
    phizoo eval run phi-1-small-mini --tasks arc_easy --engine openai_http --url http://127.0.0.1:8000/v1
    phizoo eval run endpoint:gpt-5 --tasks humaneval --engine openai_http --url https://api.openai.com/v1 --chat
    phizoo eval run phi-1-small-mini phi-1-mini --tasks suite:quick --ray auto --engine vllm
    phizoo eval run phi-2 --tasks suite:phi-2 --engine vllm --dry-run

    Killed at any moment, the same command goes on where it was.
    """
    from evals.engines import BACKENDS
    from evals.suites import tasks as find_tasks
    from zoo.registry import open_registry

    if options["data_dir"]:
        if not options["data_dir"].is_dir():
            raise ZooError(f"--data-dir {options['data_dir']} is no folder; it should hold NAME/data.jsonl files")
        os.environ["PHIZOO_DATA"] = str(options["data_dir"])
    if options["engine"] not in BACKENDS:
        raise unknown("engine", options["engine"], BACKENDS, ", ".join(BACKENDS))
    tasks = [_decoded(task, options) for task in find_tasks(wanted)]
    if options["dry_run"]:
        from evals.checks import estimate

        _connection(options)  # refuses an option of another engine
        found = estimate.runs(names, tasks, lambda task: _asked(task, options), options["engine"], options["dtype"])
        estimate.tell(found)
        return
    flags = _flags(options["overlap"], tasks)
    rows = []
    with open_registry() as registry:
        checkpoints = [_checkpoint(registry, name, options) for name in names]
        spread = options["ray"] or (options["data_parallel"] and options["engine"] != "vllm_server")
        for checkpoint, done in (_spread if spread else _here)(registry, checkpoints, tasks, options):
            rows += _published(registry, checkpoint, done, flags, options)
    order = [checkpoint.label for checkpoint in checkpoints]
    _tell(sorted(rows, key=lambda row: order.index(row["checkpoint"])), options["as_json"])


class Elsewhere(Record, frozen=True, kw_only=True):
    """A model that only an endpoint has: its name there, and a digest of where that is."""

    digest: str
    label: str


def _checkpoint(registry: Any, name: str, options: dict[str, Any]) -> Any:
    """A checkpoint of the zoo, or of an endpoint alone (`endpoint:MODEL`)."""
    from zoo.digest import digest

    if not name.startswith("endpoint:"):
        return registry.get(name)
    if options["engine"] != "openai_http" or options["model"]:
        raise ZooError(f"{name} is asked with --engine openai_http, and without --model: it names the model itself")
    return Elsewhere(digest=digest(["endpoint", options["url"], name]), label=name)


def _decoded(task: Any, options: dict[str, Any]) -> Any:
    """The task with the sampling that was asked for; its protocol then carries it in its name."""
    import msgspec

    temperature = options["temperature"]
    if temperature is None or task.kind == "choices":
        return task
    top_p = 1.0 if temperature == 0 else options["top_p"] or 0.95
    decoding = msgspec.structs.replace(task.decoding, temperature=temperature, top_p=top_p)
    return msgspec.structs.replace(task, decoding=decoding, protocol=f"{task.protocol} t={temperature:g} p={top_p:g}")


def _flags(paths: tuple[Path, ...], tasks: list[Any]) -> dict[str, tuple[frozenset[str], list[Any]]]:
    """By task: the ids that overlap by any of its flags files, and those files' flags.

    Checked before anything runs, against all samples of the task, so that a part of it can be split too.
    """
    from evals.contamination.flags import any_of, read
    from evals.tasks import task as find

    found: dict[str, list[Any]] = {}
    for flags in map(read, paths):
        found.setdefault(flags.search.task, []).append(flags)
    for name in found:
        if name not in {task.name for task in tasks}:
            raise ZooError(
                f"--overlap has flags of {name}, which --tasks does not name; add it, or leave the flags out"
            )
    ids = {name: [sample.id for sample in find(name).samples()] for name in found}
    return {name: (any_of(searches, name, ids[name]), searches) for name, searches in found.items()}


def _resolution(task: Any, options: dict[str, Any]) -> None:
    """Tells what difference the samples asked for can show, before the time is spent."""
    from evals.cli.rank import resolves

    asked = _asked(task, options)
    n = len(asked.samples) or min(task.size, asked.limit or task.size)
    click.echo(f"{task.name}@{task.protocol}: {resolves(n)}", err=True)


def _asked(task: Any, options: dict[str, Any]) -> Any:
    from evals.run import Asked

    return Asked(
        seed=options["seed"],
        draws=1 if task.kind == "choices" else options["draws"],
        limit=options["limit"],
        samples=tuple(filter(None, (options["ids"] or "").split(","))),
        tier=options["tier"],
        allow_weak=options["weak"],
        command=shlex.join(["phizoo", *sys.argv[1:]]),
    )


def _connection(options: dict[str, Any]) -> dict[str, Any]:
    """What the engine's `connect` is given."""
    from evals.cli.engine_options import given

    common = {name: options[name] for name in ("dtype", "device", "batch")}
    if options["engine"] == "vllm_server":
        common["data_parallel"] = options["data_parallel"] or 1
    return {**common, **given(options["engine"], options)}


def _here(
    registry: Any, checkpoints: list[Any], tasks: list[Any], options: dict[str, Any]
) -> Iterator[tuple[Any, Any]]:
    """Every run in this process: a model is loaded once for all tasks, and not at all when all is done already."""
    import importlib

    from evals.engines import BACKENDS
    from evals.run import evaluate
    from zoo import settings

    module = importlib.import_module(BACKENDS[options["engine"]])
    for checkpoint in checkpoints:
        if isinstance(checkpoint, Elsewhere):
            named = {**_connection(options), "model": checkpoint.label.removeprefix("endpoint:")}
            backend = module.connect(None, **named)
        else:
            backend = module.connect(registry.path(checkpoint), **_connection(options))
        about = (checkpoint.digest, checkpoint.label)
        try:
            for task in tasks:
                _resolution(task, options)
                yield checkpoint, evaluate(backend, task, about, settings.runs_dir(), _asked(task, options))
        finally:
            backend.close()


def _spread(
    registry: Any, checkpoints: list[Any], tasks: list[Any], options: dict[str, Any]
) -> Iterator[tuple[Any, Any]]:
    """Every run on a Ray cluster, or by several replicas on this machine."""
    from evals.cluster import replicas
    from evals.cluster import spread as ray_spread
    from zoo import settings

    if options["engine"] not in ("transformers", "vllm"):
        raise ZooError(f"--ray and --data-parallel spread transformers or vllm, not {options['engine']}")
    if options["ray"] and options["data_parallel"]:
        raise ZooError("--data-parallel is for this machine alone; --ray takes all machines of its cluster")
    count, cpus = options["data_parallel"], options["cpus_per_replica"]
    if count:
        cpus = cpus or max(1, len(os.sched_getaffinity(0)) // count)
    by_digest = {checkpoint.digest: checkpoint for checkpoint in checkpoints}
    jobs = [
        ray_spread.Job(
            digest=one.digest, label=one.label, path=registry.path(one), task=task, asked=_asked(task, options)
        )
        for one in by_digest.values()
        for task in tasks
    ]
    address = options["ray"] or "local"
    with replicas.opened(address, options["engine"], _connection(options), cpus=cpus, most=count) as cluster:
        if count and cluster.wanted() < count:
            raise ZooError(f"--data-parallel {count}: this machine has room for {cluster.wanted()} replicas")
        for task in tasks:
            _resolution(task, options)
        for job, done in ray_spread.spread(cluster, jobs, settings.runs_dir()):
            yield by_digest[job.digest], done


def _published(
    registry: Any, checkpoint: Any, done: Any, flags: dict[str, Any], options: dict[str, Any]
) -> list[dict[str, Any]]:
    """A run's scores as rows, written to the registry where it is whole and that was not declined."""
    from evals.contamination.flags import write
    from evals.results.publish import publish, scores

    publishable = done.complete and not options["no_publish"] and not isinstance(checkpoint, Elsewhere)
    leaked, searches = flags.get(done.header.task) or _kept_flags(done)
    for one in searches:  # beside the evidence, so that the split can be followed
        write(done.path.parent / f"overlap-{one.search.method}.jsonl", one)
    if publishable:
        found = publish(registry, done, allow_unscored=options["allow_unscored"], overlapping=leaked)
    else:
        found = [score for _, score in scores(done, leaked)]
    return [_row(checkpoint.label, done, score, publishable) for score in found]


def _kept_flags(done: Any) -> tuple[frozenset[str] | None, list[Any]]:
    """The flags that stand beside a run from an earlier start: what was found to overlap stays split."""
    from evals.contamination.flags import any_of, read
    from evals.tasks import task as find

    searches = [read(path) for path in sorted(done.path.parent.glob("overlap-*.jsonl"))]
    if not searches:
        return None, []
    ids = [sample.id for sample in find(done.header.task).samples()]
    return any_of(searches, done.header.task, ids), searches


def _row(label: str, done: Any, score: Any, published: bool) -> dict[str, Any]:
    protocol = next(p for p in done.protocols if p.fingerprint == score.protocol)
    kept = {name: getattr(score, name) for name in ("metric", "value", "low", "high", "n", "unscored", "subset")}
    where = {"checkpoint": label, "column": protocol.column, "run": score.run, "published": published}
    cut = sum(result.truncated > 0 for result in done.results)
    return {**where, **kept, "partial": protocol.partial, "truncated": cut}


def _tell(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2))
        return
    widths = [max(len(str(row[key])) for row in rows) for key in ("checkpoint", "column")]
    for row in rows:
        cell = f"{100 * row['value']:.1f} [{100 * row['low']:.1f}–{100 * row['high']:.1f}] n={row['n']}"
        notes = [SUBSETS[row["subset"]]] if row["subset"] != "all" else []
        notes += [f"{row['unscored']} unscored"] if row["unscored"] else []
        notes += ["not published"] if not row["published"] else []
        notes += [f"{row['truncated']} prompts cut to the context"] if row["truncated"] else []
        notes += [f"partial: {row['partial']}"] if row["partial"] else []
        tail = f"  ({', '.join(notes)})" if notes else ""
        click.echo(
            f"{row['checkpoint']:<{widths[0]}}  {row['column']:<{widths[1]}}  {cell}  run {row['run'][:12]}{tail}"
        )
