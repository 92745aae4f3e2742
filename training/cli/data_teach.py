"""The `phizoo data` commands that may call a large model within a budget: annotate and synthesise."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from training.cli.data_options import NAME, SEED, print_made, scaled
from zoo.api_key import key_for
from zoo.cli.completion import A_CHECKPOINT, A_DATASET, AN_ENGINE
from zoo.cli.options import AS_JSON, repeated
from zoo.cli.output import cell, emit_json
from zoo.errors import ZooError, unknown

if TYPE_CHECKING:
    from training.data.build import MadeDataset
    from training.data.quality.labeller import Asker, LabellingCost, LabelQuestion, Teacher
    from training.data.quality.ledger import CostEstimate


def endpoint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of a model behind an endpoint."""
    for option in (
        click.option("--concurrency", type=click.IntRange(1, 256), default=8, show_default=True,
                     help="Requests at a time."),
        click.option("--budget", metavar="AMOUNT", help="Most money to spend in all, such as 20usd."),
        click.option("--price", metavar="IN,OUT",
                     help="Money per million prompt and generated tokens, such as 0.15,0.60."),
        click.option("--model", default="", help="The model that the endpoint serves."),
        click.option("--url", default="", help="An OpenAI-compatible address that ends in /v1; by default no model."),
    ):  # fmt: skip
        command = option(command)
    return command


def _asker(question: "LabelQuestion", endpoint: dict[str, Any], dry_run: bool = False) -> "Asker | None":
    """The client of an endpoint within its budget; None without --url."""
    from evals.engines.http.price import parse_price
    from training.data.quality.labeller import Asker
    from training.data.quality.ledger import parse_money

    url, model, price, budget = (endpoint[name] for name in ("url", "model", "price", "budget"))
    if not url:
        if dry_run or budget or price or model:
            raise ZooError("--dry-run, --budget, --price and --model need an endpoint: give its --url")
        return None
    if not model or not price:
        raise ZooError("an endpoint needs --model and --price (0,0 for your own server)")
    money = parse_money(budget) if budget else None
    if money is None and any(parse_price(price)) and not dry_run:
        raise ZooError("the model costs money: give --budget, such as --budget 20usd (data annotate has --dry-run)")
    return Asker(url, key_for(url), model, question, parse_price(price), money, endpoint["concurrency"])


@click.command()
@click.argument("source", shell_complete=A_DATASET)
@NAME
@click.option("--sample", type=click.IntRange(min=1), default=4_000, show_default=True, help="Documents to label.")
@click.option("--question", type=click.Choice(["phi-1", "additive", "prose"]), default="additive", show_default=True,
              help="The question that is sent: the first two are about code.")  # fmt: skip
@endpoint_options
@click.option("--dry-run", is_flag=True, help="Print tokens and cost with an interval; send nothing.")
@SEED
@scaled
@AS_JSON
def annotate(
    source: str, name: str, sample: int, question: str, dry_run: bool, seed: int, as_json: bool, **endpoint: Any
) -> None:
    """Label a sample of documents for their educational value.

    A large model behind any OpenAI-compatible address labels them, or without --url the built-in rubric.
    Answers are kept by the text that they label, so nothing is sent or paid twice. The key is read from
    PHIZOO_API_KEY or OPENAI_API_KEY.

    \b
    phizoo data annotate code --name code-labels
    phizoo data annotate code --url URL --model big --price 0.15,0.60 --dry-run --name code-labels
    phizoo data annotate code --url URL --model big --price 0.15,0.60 --budget 20usd --name code-labels
    """
    from training.data.quality.annotate import annotate_dataset, estimate
    from training.data.quality.labeller import QUESTIONS

    asker = _asker(QUESTIONS[question], endpoint, dry_run)
    if asker and dry_run:
        _print_estimate(estimate(source, sample, seed, asker), asker.budget, as_json)
        return
    made, spending = annotate_dataset(source, name, sample, seed, asker)
    _print(made, spending, as_json)


def _print_estimate(cost: "CostEstimate", budget: float | None, as_json: bool) -> None:
    if as_json:
        emit_json(cost)
        return
    click.echo(f"{cost.documents:,} documents to label, {cost.cached:,} known already ({cost.basis})")
    for title, (low, middle, high) in (("prompt", cost.prompt_tokens), ("generated", cost.tokens)):
        click.echo(f"  {title} tokens: {middle:,} [{low:,}–{high:,}]")
    low_money, money, high_money = cost.money
    click.echo(f"  money: {cell(money, low_money, high_money, digits=4)}")
    if budget is not None:
        fits = "may end the run early" if low_money <= budget else "is too small"
        fits = "covers the whole interval" if high_money <= budget else fits
        click.echo(f"  the budget of {budget:g} {fits}; it is a hard cap")


@click.command()
@click.argument("kind", metavar="KIND", type=click.Choice(["textbooks", "exercises", "knowledge", "rephrase"]))
@click.argument("source", required=False, default="", metavar="[DATASET]", shell_complete=A_DATASET)
@NAME
@click.option("--documents", type=click.IntRange(min=1), default=20_000, show_default=True,
              help="Documents to keep; for rephrase, documents of DATASET to rewrite.")  # fmt: skip
@repeated("--format", "formats", metavar="FORMAT",
          help="rephrase: table, faq, math or tutorial; may be given again.")  # fmt: skip
@click.option("--checkpoint", default="", shell_complete=A_CHECKPOINT,
              help="rephrase: a chat model of the zoo that writes on this machine, instead of --url.")  # fmt: skip
@click.option("--engine", default="auto", show_default=True, shell_complete=AN_ENGINE,
              help="With --checkpoint: the engine that runs it.")  # fmt: skip
@endpoint_options
@click.option("--seed", default=0, show_default=True, help="Another seed gives other documents.")
@scaled
@AS_JSON
def synthesise(
    kind: str, source: str, name: str, documents: int, formats: tuple[str, ...], checkpoint: str, engine: str,
    seed: int, as_json: bool, **endpoint: Any,
) -> None:  # fmt: skip
    """Write exercises or textbook passages, and test their code.

    KIND is textbooks or exercises, or with --url knowledge: texts on general knowledge and common sense, as phi-1.5's,
    without code. Every function is run against its own tests in the sandbox; those of the
    held-out task are left out. A template teacher writes, or with --url a large model, by combinations of topic,
    skill, audience and form until a combination gives nothing new; each document records its prompt, seed, teacher
    and cost.

    rephrase rewrites the documents of DATASET in each format, by a model behind --url or a chat model of the zoo. A
    text that copies its source, is cut off, or is not in the form is dropped; each is counted.

    \b
    phizoo data synthesise exercises --name exercises --documents 20000
    phizoo data synthesise rephrase web-clean --format faq --checkpoint smollm2 --name web-faq
    phizoo data synthesise exercises --url URL --model big --price 0.15,0.60 --budget 20usd --name exercises
    """
    from training.data.synthesis import teach
    from training.data.synthesis.synthesize import synthesize

    if kind == "rephrase":
        _print(*_rephrase(source, name, formats, documents, seed, (checkpoint, engine), endpoint), as_json)
        return
    if source or formats or checkpoint:
        raise ZooError(f"DATASET, --format and --checkpoint belong to rephrase, not to {kind}")
    if asker := _asker(teach.QUESTIONS[kind], endpoint):
        made, spending = teach.teach(kind, name, documents, seed, asker)
    elif kind == "knowledge":
        raise ZooError("the template teacher knows Python alone; for knowledge give a large model's --url")
    else:
        made, spending = synthesize(kind, name, documents, seed), None  # type: ignore[arg-type]
    _print(made, spending, as_json)


def _rephrase(
    source: str, name: str, formats: tuple[str, ...], documents: int, seed: int, local: tuple[str, str],
    endpoint: dict[str, Any],
) -> "tuple[MadeDataset, LabellingCost | None]":  # fmt: skip
    """The rewritings of a dataset by an endpoint or by a checkpoint, of which exactly one is given."""
    from training.data.synthesis.rephrase import FORMATS, QUESTION, rephrase

    if not source:
        raise ZooError("rephrase needs the dataset to rewrite: phizoo data synthesise rephrase DATASET --format faq …")
    for each in formats:
        if each not in FORMATS:
            raise unknown("format", each, FORMATS, ", ".join(FORMATS))
    if not formats:
        raise ZooError(f"rephrase needs --format: {', '.join(FORMATS)}; may be given again")
    checkpoint, engine = local
    if bool(checkpoint) == bool(endpoint["url"]):
        raise ZooError("rephrase needs a model that writes: --checkpoint NAME of the zoo, or --url, and not both")

    teacher = _open_checkpoint(checkpoint, engine, QUESTION) if checkpoint else _asker(QUESTION, endpoint)
    assert teacher is not None  # a --url is given
    return rephrase(source, name, formats, documents, seed, teacher)


def _open_checkpoint(name: str, engine: str, question: "LabelQuestion") -> "Teacher":
    """A chat model of the zoo as the teacher. Raises ZooError for an endpoint's engine, and for a base model."""
    from evals.cli.engine_options import check_engine
    from evals.engines import SENDS_MESSAGES
    from evals.engines.fastest import AUTO, fastest_engine
    from training.data.synthesis.local_teacher import LocalTeacher
    from zoo.cli.options import open_registry

    check_engine(engine)
    if engine in SENDS_MESSAGES:
        raise ZooError(f"--engine {engine} runs no checkpoint of the zoo; for an endpoint give --url")
    with open_registry(readonly=True) as registry:
        checkpoint = registry.get(name)
        folder = registry.path(checkpoint)
    if engine == AUTO:
        engine, reason = fastest_engine(folder)
        click.echo(f"{checkpoint.label}: engine {engine}: {reason}", err=True)
    return LocalTeacher(checkpoint.label, checkpoint.digest, folder, engine, question, {})


def _print(made: "MadeDataset", spending: "LabellingCost | None", as_json: bool) -> None:
    """Prints the dataset, and the money spent by the endpoint's count and by the ledger."""
    print_made(made, as_json=as_json)
    if not spending or as_json:
        return
    agree = "they agree" if abs(spending.money - spending.ledger) < 1e-9 else "THEY DIFFER"
    click.echo(
        f"  {spending.asked:,} sent, {spending.cached:,} known before, {spending.invalid:,} without a valid answer; "
        f"{spending.requests:,} requests\n"
        f"  spent {spending.money:.6f} by the endpoint's count, {spending.ledger:.6f} by the ledger: {agree}; "
        f"{spending.job_total:.6f} in all runs of this job"
    )
