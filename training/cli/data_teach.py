"""The `phizoo data` commands that may call a large model within a budget: annotate and synthesise."""

import os
from typing import TYPE_CHECKING

import click

from training.cli.data_options import CONCURRENCY, NAME, SEED, print_made, scaled
from zoo.cli.completion import A_DATASET
from zoo.cli.options import AS_JSON
from zoo.cli.output import cell, emit_json
from zoo.errors import ZooError

if TYPE_CHECKING:
    from training.data.quality.labeller import LabellingCost
    from training.data.quality.ledger import CostEstimate

KEYS = ("PHIZOO_API_KEY", "OPENAI_API_KEY")  # read from the environment, in this order


def api_key() -> str | None:
    """The endpoint's key, read only from the environment."""
    return next((os.environ[name] for name in KEYS if os.environ.get(name)), None)


@click.command()
@click.argument("source", shell_complete=A_DATASET)
@NAME
@click.option("--sample", type=click.IntRange(min=1), default=4_000, show_default=True, help="Documents to label.")
@click.option("--url", default="", help="An OpenAI-compatible address that ends in /v1; without it the rubric labels.")
@click.option("--model", default="", help="The model that the endpoint serves.")
@click.option("--question", type=click.Choice(["phi-1", "additive"]), default="additive", show_default=True,
              help="The question that is sent.")  # fmt: skip
@click.option("--price", metavar="IN,OUT", help="Money per million prompt and generated tokens, such as 0.15,0.60.")
@click.option("--budget", metavar="AMOUNT", help="Most money to spend in all, such as 20usd.")
@click.option("--dry-run", is_flag=True, help="Print tokens and cost with an interval; send nothing.")
@CONCURRENCY
@SEED
@scaled
@AS_JSON
def annotate(
    source: str, name: str, sample: int, url: str, model: str, question: str, price: str | None, budget: str | None,
    dry_run: bool, concurrency: int, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Label a sample of documents for their educational value.

    A large model behind any OpenAI-compatible address labels them, or without --url the built-in rubric.
    Answers are kept by the text that they label, so nothing is sent or paid twice. The key is read from
    PHIZOO_API_KEY or OPENAI_API_KEY.

    \b
    phizoo data annotate code --name code-labels
    phizoo data annotate code --url URL --model big --price 0.15,0.60 --dry-run --name code-labels
    phizoo data annotate code --url URL --model big --price 0.15,0.60 --budget 20usd --name code-labels
    """
    from evals.engines.http.price import parse_price
    from training.data.quality.annotate import annotate_dataset, estimate
    from training.data.quality.labeller import QUESTIONS, Asker
    from training.data.quality.ledger import parse_money

    if not url:
        if dry_run or budget or price or model:
            raise ZooError("--dry-run, --budget, --price and --model need an endpoint: give its --url")
        made, _ = annotate_dataset(source, name, sample, seed, None)
        print_made(made, as_json)
        return
    if not model or not price:
        raise ZooError("an endpoint needs --model and --price (0,0 for your own server)")
    money = parse_money(budget) if budget else None
    if money is None and parse_price(price) != (0.0, 0.0) and not dry_run:
        raise ZooError("labels cost money: see how much with --dry-run, then give --budget, such as --budget 20usd")
    asker = Asker(url, api_key(), model, QUESTIONS[question], parse_price(price), money, concurrency)
    if dry_run:
        _print_estimate(estimate(source, sample, seed, asker), money, as_json)
        return
    made, spending = annotate_dataset(source, name, sample, seed, asker)
    print_made(made, as_json)
    if spending and not as_json:
        click.echo(_spending_text(spending))


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
@click.argument("kind", metavar="KIND", type=click.Choice(["textbooks", "exercises"]))
@NAME
@click.option("--documents", type=click.IntRange(min=1), default=20_000, show_default=True, help="Documents to keep.")
@click.option("--url", default="", help="An OpenAI-compatible address; without it a template teacher writes.")
@click.option("--model", default="", help="The model that the endpoint serves.")
@click.option("--price", metavar="IN,OUT", help="Money per million prompt and generated tokens, such as 0.15,0.60.")
@click.option("--budget", metavar="AMOUNT", help="Most money to spend in all, such as 20usd.")
@CONCURRENCY
@click.option("--seed", default=0, show_default=True, help="Another seed gives other documents.")
@scaled
@AS_JSON
def synthesise(
    kind: str, name: str, documents: int, url: str, model: str, price: str | None, budget: str | None,
    concurrency: int, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Write exercises or textbook passages, and test their code.

    KIND is textbooks or exercises. Every function is run against its own tests in the sandbox; those of the
    held-out task are left out. With --url a large model writes, by combinations of topic, skill, audience and
    form until a combination gives nothing new; each document records its prompt, seed, teacher and cost.

    \b
    phizoo data synthesise exercises --name exercises --documents 20000
    phizoo data synthesise exercises --url URL --model big --price 0.15,0.60 --budget 20usd --name exercises
    """
    from evals.engines.http.price import parse_price
    from training.data.quality.ledger import parse_money
    from training.data.synthesis.synthesize import synthesize

    if not url:
        if budget or price or model:
            raise ZooError("--budget, --price and --model need an endpoint: give its --url")
        print_made(synthesize(kind, name, documents, seed), as_json)  # type: ignore[arg-type]
        return
    from training.data.quality.labeller import Asker
    from training.data.synthesis import teach

    if not model or not price:
        raise ZooError("an endpoint needs --model and --price (0,0 for your own server)")
    money = parse_money(budget) if budget else None
    if money is None and parse_price(price) != (0.0, 0.0):
        raise ZooError("a teacher costs money: give --budget, such as --budget 20usd")
    asker = Asker(url, api_key(), model, teach.QUESTIONS[kind], parse_price(price), money, concurrency)
    made, spending = teach.teach(kind, name, documents, seed, asker)
    print_made(made, as_json)
    if spending and not as_json:
        click.echo(_spending_text(spending))


def _spending_text(spending: "LabellingCost") -> str:
    """The money spent, by the endpoint's count and by the ledger."""
    agree = "they agree" if abs(spending.money - spending.ledger) < 1e-9 else "THEY DIFFER"
    return (
        f"  {spending.asked:,} sent, {spending.cached:,} known before, {spending.invalid:,} without a valid answer; "
        f"{spending.requests:,} requests\n"
        f"  spent {spending.money:.6f} by the endpoint's count, {spending.ledger:.6f} by the ledger: {agree}; "
        f"{spending.job_total:.6f} in all runs of this job"
    )
