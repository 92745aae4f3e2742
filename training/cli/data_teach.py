"""The `phizoo data` commands that may ask a large model: annotate and synthesise, behind a budget."""

import os
from typing import TYPE_CHECKING

import click

from training.cli.data_options import CONCURRENCY, JSON, OUT, SEED, scaled, told
from zoo.cli.completion import A_DATASET
from zoo.errors import ZooError

if TYPE_CHECKING:
    from training.data.quality.labeller import LabellingCost

KEYS = ("PHIZOO_API_KEY", "OPENAI_API_KEY")  # read from the environment, in this order


def api_key() -> str | None:
    """The endpoint's key, from the environment and from nowhere else."""
    return next((os.environ[name] for name in KEYS if os.environ.get(name)), None)


@click.command()
@click.argument("source", shell_complete=A_DATASET)
@OUT
@click.option("--sample", type=click.IntRange(min=1), default=4_000, show_default=True, help="Documents to label.")
@click.option("--url", default="", help="An OpenAI-compatible address, up to and with /v1; none: the rubric labels.")
@click.option("--model", default="", help="The model to ask.")
@click.option("--question", type=click.Choice(["phi-1", "additive"]), default="additive", show_default=True)
@click.option("--price", metavar="READ,WRITTEN", help="Money per million tokens, as 0.15,0.60.")
@click.option("--budget", metavar="AMOUNT", help="The most that may be spent in all, as 20usd.")
@click.option("--dry-run", is_flag=True, help="Print tokens and money with an interval, and send nothing.")
@CONCURRENCY
@SEED
@scaled
@JSON
def annotate(
    source: str, name: str, sample: int, url: str, model: str, question: str, price: str | None, budget: str | None,
    dry_run: bool, concurrency: int, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Label a sample of documents for their educational value.

    By a large model behind any OpenAI-compatible address, or without --url by the transparent rubric.
    Answers are kept by the text they are about, so nothing is asked or paid twice. The key is read from
    PHIZOO_API_KEY or OPENAI_API_KEY.

    \b
    phizoo data annotate code --out code-labels
    phizoo data annotate code --url URL --model big --price 0.15,0.60 --dry-run --out code-labels
    phizoo data annotate code --url URL --model big --price 0.15,0.60 --budget 20usd --out code-labels
    """
    from training.data.quality.annotate import annotate_dataset, estimate
    from training.data.quality.labeller import QUESTIONS, Asker
    from training.data.quality.ledger import parse_money, parse_price

    if not url:
        if dry_run or budget or price or model:
            raise ZooError("--dry-run, --budget, --price and --model are about an endpoint: give its --url")
        made, _ = annotate_dataset(source, name, sample, seed, None)
        told(made, as_json)
        return
    if not model or not price:
        raise ZooError("an endpoint needs --model and --price (0,0 for your own server)")
    money = parse_money(budget) if budget else None
    if money is None and parse_price(price) != (0.0, 0.0) and not dry_run:
        raise ZooError("labels cost money: look with --dry-run, then give --budget, as --budget 20usd")
    asker = Asker(url, api_key(), model, QUESTIONS[question], parse_price(price), money, concurrency)
    if dry_run:
        _print_estimate(estimate(source, sample, seed, asker), money, as_json)
        return
    made, spending = annotate_dataset(source, name, sample, seed, asker)
    told(made, as_json)
    if spending and not as_json:
        click.echo(_reconciled(spending))


def _print_estimate(found: object, budget: float | None, as_json: bool) -> None:
    import msgspec

    from training.data.quality.ledger import CostEstimate

    assert isinstance(found, CostEstimate)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    click.echo(f"{found.documents:,} documents to ask about, {found.cached:,} known already ({found.basis})")
    for title, (low, middle, high) in (("read", found.prompt_tokens), ("written", found.tokens)):
        click.echo(f"  tokens {title}: {middle:,} [{low:,}-{high:,}]")
    low_, middle_, high_ = found.money
    click.echo(f"  money: {middle_:.4f} [{low_:.4f}-{high_:.4f}]")
    if budget is not None:
        fits = (
            "holds the whole interval" if high_ <= budget else "may end it early" if low_ <= budget else "is too small"
        )
        click.echo(f"  the budget of {budget:g} {fits}; it is a hard cap")


@click.command()
@click.argument("what", type=click.Choice(["textbooks", "exercises"]))
@OUT
@click.option("--documents", type=click.IntRange(min=1), default=20_000, show_default=True, help="How many to keep.")
@click.option("--url", default="", help="An OpenAI-compatible address; none: the embedded template teacher writes.")
@click.option("--model", default="", help="The model to ask.")
@click.option("--price", metavar="READ,WRITTEN", help="Money per million tokens, as 0.15,0.60.")
@click.option("--budget", metavar="AMOUNT", help="The most that may be spent in all, as 20usd.")
@CONCURRENCY
@click.option("--seed", default=0, show_default=True, help="Another seed, other documents.")
@scaled
@JSON
def synthesise(
    what: str, name: str, documents: int, url: str, model: str, price: str | None, budget: str | None,
    concurrency: int, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Write exercises or textbook passages, tested.

    Every function is run against its own tests in the sandbox; the held-out task's are left out. With
    --url a large model is asked, slot by slot of topic, skill, audience and form, until a slot gives
    nothing new; prompt, seed, teacher and cost stand beside each document.

    \b
    phizoo data synthesise exercises --out exercises --documents 20000
    phizoo data synthesise exercises --url URL --model big --price 0.15,0.60 --budget 20usd --out exercises
    """
    from training.data.quality.ledger import parse_money, parse_price
    from training.data.synthesis.synthesize import synthesize

    if not url:
        if budget or price or model:
            raise ZooError("--budget, --price and --model are about an endpoint: give its --url")
        told(synthesize(what, name, documents, seed), as_json)  # type: ignore[arg-type]
        return
    from training.data.quality.labeller import Asker
    from training.data.synthesis import teach

    if not model or not price:
        raise ZooError("an endpoint needs --model and --price (0,0 for your own server)")
    money = parse_money(budget) if budget else None
    if money is None and parse_price(price) != (0.0, 0.0):
        raise ZooError("a teacher costs money: give --budget, as --budget 20usd")
    asker = Asker(url, api_key(), model, teach.QUESTIONS[what], parse_price(price), money, concurrency)
    made, spending = teach.teach(what, name, documents, seed, asker)
    told(made, as_json)
    if spending and not as_json:
        click.echo(_reconciled(spending))


def _reconciled(spending: "LabellingCost") -> str:
    """What was spent, by the endpoint's tally and by the ledger's lines."""
    agree = "they agree" if abs(spending.money - spending.ledger) < 1e-9 else "THEY DIFFER"
    return (
        f"  asked {spending.asked:,}, known before {spending.cached:,}, without valid answer {spending.invalid:,}; "
        f"{spending.requests:,} requests\n"
        f"  spent {spending.money:.6f} by the endpoint's tally, {spending.ledger:.6f} by the ledger: {agree}; "
        f"{spending.job_total:.6f} in all runs of this job"
    )
