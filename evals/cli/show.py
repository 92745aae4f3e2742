"""`phizoo eval runs | show`: the runs on this machine, one run, one sample."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.completion import A_CHECKPOINT, A_RUN
from zoo.cli.options import AS_JSON, open_registry
from zoo.cli.output import emit_json, note_once, share_cell, table
from zoo.errors import ZooError, nearest

if TYPE_CHECKING:
    from evals.records import Result, Run
    from evals.results.history import PastRun
    from zoo.db.audit import Author


@click.command()
@click.option("--renew", is_flag=True, help="Bring the scores made from several runs or searches up to date instead.")
@click.option("--checkpoint", shell_complete=A_CHECKPOINT, help="With --renew: only of this one and its family.")
@AS_JSON
def runs(renew: bool, checkpoint: str | None, as_json: bool) -> None:
    """List the runs on this machine, newest first.

    \b
    phizoo eval runs
    phizoo eval runs --renew
    phizoo eval runs --renew --checkpoint phi-1-small-mini

    --renew makes again what is derived from the runs of the zoo: scores that combine seeds, clean and overlapping
    parts, and intervals of an older rule. No model runs, and no score of a single run changes its value.
    """
    if renew:
        _renew(checkpoint, as_json)
        return
    if checkpoint is not None:
        raise ZooError(f"--checkpoint needs --renew; the scores of a checkpoint: phizoo models show {checkpoint}")
    from evals.run_folder import read_header, read_results
    from zoo import settings

    root = settings.runs_dir()
    rows: list[dict[str, Any]] = []
    for path in sorted(root.glob("*/header.json")) if root.is_dir() else ():
        try:
            header = read_header(path.parent)
            done = len(read_results(path.parent / "results.jsonl"))
        except ZooError as error:
            note_once(f"a run is left out: {error}")
            continue
        row = {"run": header.id, "checkpoint": header.checkpoint_label, "task": header.task, "done": done}
        row |= {"asked": header.samples * header.draws, "started": header.started, "engine": header.backend.engine}
        rows.append({**row, "sandbox": header.sandbox})
    rows.sort(key=lambda row: str(row["started"]), reverse=True)
    if as_json:
        emit_json(rows)
    elif not rows:
        click.echo("No runs yet. Make one: phizoo eval run NAME --task humaneval")
    else:
        fields = ("checkpoint", "task", "progress", "engine", "started")
        for row in rows:
            row["progress"] = f"{row['done']}/{row['asked']}"
        table(
            [(row["run"][:12], *(str(row[field]) for field in fields)) for row in rows],
            ("RUN", "CHECKPOINT", "TASK", "DONE", "ENGINE", "STARTED"),
            optional=("ENGINE", "STARTED"),
        )


def _renew(checkpoint: str | None, as_json: bool) -> None:
    from evals.results.renew import Renewed, renew

    with open_registry() as registry:
        renewed = renew(registry, checkpoint)
    if as_json:
        emit_json(renewed)
    elif renewed == Renewed():
        click.echo("all derived scores are up to date")
    else:
        click.echo(
            f"renewed: combined over seeds {renewed.combined}, intervals {renewed.intervals}, "
            f"runs split by searches {renewed.splits}"
        )


@click.command()
@click.argument("run", shell_complete=A_RUN)
@click.option("--sample", "sample_id", help="One sample by its id: exact prompt, text, answer, score.")
@AS_JSON
def show(run: str, sample_id: str | None, as_json: bool) -> None:
    """Show a run, or one of its samples to the byte.

    RUN is an id, or its first characters.

    \b
    phizoo eval show 3f2a9c41d0aa
    phizoo eval show 3f2a9c41d0aa --sample HumanEval/0
    """
    import msgspec

    from evals.run_folder import find_run, read_header, read_results
    from zoo import settings

    folder = find_run(settings.runs_dir(), run)
    header = read_header(folder)
    results = read_results(folder / "results.jsonl")
    if sample_id is None:
        _show_run(msgspec.to_builtins(header), results, as_json, *_published(header))
    else:
        _show_sample(header, results, sample_id, as_json)


def _published(header: "Run") -> "tuple[Author | None, tuple[PastRun, ...]]":
    """Who published a run, and its cell's history; nobody and none if it is not in the zoo, or that cannot be asked."""
    import contextlib

    from evals.results.history import cell_history

    with contextlib.suppress(ZooError), open_registry(readonly=True) as registry:
        author = registry.run_author(header.id)
        metric = str(header.protocol.get("metric", ""))
        return author, cell_history(registry, header.checkpoint, header.fingerprint, metric)
    return None, ()


def _show_sample(header: Any, results: "Sequence[Result]", sample_id: str, as_json: bool) -> None:
    import msgspec

    from evals.results.sample import view_sample

    draws = [result for result in results if result.sample == sample_id]
    if not draws:
        ids = {result.sample for result in results}
        raise ZooError(f'run {header.id[:12]} has no sample "{sample_id}"{nearest(sample_id, ids)}')
    view = view_sample(header, sample_id)
    if as_json:
        shared = {"prompt": view.prompt, "prompt_tokens_fed": view.tokens, "choices": view.choices}
        emit_json([{**shared, **msgspec.to_builtins(result)} for result in draws])
        return
    click.echo(f"prompt ({len(view.prompt.encode())} bytes): {view.prompt!r}")
    click.echo(f"tokens fed ({len(view.tokens)}): {' '.join(map(str, view.tokens))}" if view.tokens else view.why)
    for result in draws:
        verdict = f"{result.verdict} (disputed)" if result.disputed else result.verdict
        click.echo(f"draw {result.draw}: {verdict}, score {result.score}, {result.detail}")
        of_thought = f" ({result.thought_tokens} of thought)" if result.thought_tokens else ""
        written = f"{result.prompt_tokens} + {result.tokens}{of_thought}"
        click.echo(f"  tokens {written}, truncated {result.truncated}, {result.finish}")
        if result.thought:
            click.echo(f"  thought{' (unfinished)' if result.unfinished else ''}: {result.thought!r}")
        if not result.logprobs:
            click.echo(f"  text:   {result.text!r}")
            click.echo(f"  answer: {result.answer!r}")
        for choice, logprob in zip(view.choices, result.logprobs, strict=bool(view.choices)):
            click.echo(f"  choice {choice.text!r} ({len(choice.text.encode())} bytes): log-probability {logprob:.4f}")
            if choice.tokens:
                click.echo(f"    its tokens: {' '.join(map(str, choice.tokens))}")


def _first(samples: Sequence[str]) -> str:
    """The first five of the samples, each once, in words."""
    return ", ".join(dict.fromkeys(samples[:5])) + (", …" if len(samples) > 5 else "")


def _show_run(
    header: dict[str, Any], results: "Sequence[Result]", as_json: bool, author: "Author | None" = None,
    history: "tuple[PastRun, ...]" = (),
) -> None:  # fmt: skip
    from collections import Counter

    verdicts = dict(Counter(result.verdict for result in results))
    thoughts = {
        "unfinished": sum(result.unfinished for result in results),
        "thought_tokens": sum(result.thought_tokens for result in results),
        "answer_tokens": sum(result.tokens - result.thought_tokens for result in results),
    }
    if as_json:
        import msgspec

        disputed = sorted({result.sample for result in results if result.disputed})
        by = author.fields() if author else None
        emit_json(
            {
                **header,
                "verdicts": verdicts,
                **thoughts,
                "disputed": disputed,
                "published_by": by,
                "history": [msgspec.to_builtins(past) for past in history],
            }
        )
        return
    for key in ("id", "checkpoint_label", "checkpoint", "task", "fingerprint", "seed", "draws", "samples", "sandbox"):
        click.echo(f"{key:<17} {header[key]}")
    click.echo(f"{'protocol':<17} {header['protocol']['name']}")
    if chat := header["protocol"].get("chat"):
        turns = "examples as turns" if chat["fewshot_as_turns"] else "examples in one message"
        template = f"template {chat['template'][:12]}" if chat["template"] else "the endpoint's own template"
        date = f", written on {chat['date']}" if chat.get("date") else ""
        click.echo(f"{'chat':<17} {template}, {turns}{date}")
        if chat["system"]:
            click.echo(f"{'system':<17} {chat['system']!r}")
    backend = header["backend"]
    click.echo(f"{'engine':<17} {backend['engine']} {backend['version']}, {backend['dtype']} on {backend['device']}")
    if without := (backend.get("identity") or {}).get("without"):
        click.echo(f"{'without':<17} {', '.join(without)}: the endpoint refuses them")
    if backend.get("path"):
        click.echo(f"{'path':<17} {backend['path']}")
    click.echo(f"{'verdicts':<17} " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())))
    if any(result.thought or result.unfinished for result in results):
        thought, answer = thoughts["thought_tokens"], thoughts["answer_tokens"]
        click.echo(f"{'tokens':<17} {thought:,} of thoughts, {answer:,} of answers")
    if unfinished := [result.sample for result in results if result.unfinished]:
        note = f"{len(unfinished)} thoughts without an end, scored as no answer: {_first(unfinished)}"
        click.echo(f"{'unfinished':<17} {note}")
    if header["sandbox"] and not header["views"]:
        click.echo(f"{'disputed':<17} not known: scored by a sandbox of one view")
    elif disputed := [result.sample for result in results if result.disputed]:
        note = f"{len(disputed)} verdicts rest on one view of the sandbox alone: {', '.join(dict.fromkeys(disputed))}"
        click.echo(f"{'disputed':<17} {note}")
    cut = [result.sample for result in results if result.truncated]
    if cut:
        click.echo(f"{'truncated':<17} {len(cut)} prompts cut from the left to the context: {_first(cut)}")
    for name, value in _groups(header["task"], header["protocol"]["metric"], results):
        click.echo(f"{name:<17} {value}")
    click.echo(f"{'command':<17} {header['command']}")
    click.echo(f"{'published by':<17} {author.text() if author else 'nobody: it is not in the zoo'}")
    for number, past in enumerate(history if len(history) > 1 else ()):
        click.echo(f"{'' if number else 'its cell':<17} {_past_line(past, header['id'])}")


def _past_line(past: "PastRun", this: str) -> str:
    """One line of a cell's history: role, score, day, run, engine, and what another version changed."""
    runs = ", ".join(run[:12] for run in past.runs or (past.run,)) + (" (this)" if past.run == this else "")
    facts = [share_cell(past.value, past.low, past.high, past.n), past.created[:10], f"run {runs}"]
    facts += [f"{past.engine} {past.dtype}".strip()] + ([past.measured_at] if past.measured_at else [])
    changed = f": version {past.version}; {past.changed}" if past.role == "another version" else ""
    return f"{past.role}: {', '.join(fact for fact in facts if fact)}{changed}"


def _groups(task_name: str, metric: str, results: "Sequence[Result]") -> list[tuple[str, str]]:
    """The groups of subjects that a task defines (MMLU's four), each with its value and interval."""
    from evals.stats.summary import summarise
    from evals.tasks import TASKS, file_of, groups_of

    rows = []
    for group, subjects in (getattr(file_of(task_name), "GROUPS", {}) if task_name in TASKS else {}).items():
        members = [result for result in results if result.cluster in subjects.split()]
        if any(result.score is not None for result in members):
            score = summarise(members, metric, groups_of(task_name))
            rows.append((group, share_cell(score.value, score.low, score.high, score.n, metric)))
    return rows
