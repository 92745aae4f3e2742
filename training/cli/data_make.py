"""The `phizoo data` commands that make a dataset. A dataset that exists already is not made again."""

from typing import Any

import click

from training.cli.data_options import NAME, SEED, print_made, scaled
from zoo.cli.completion import A_DATASET
from zoo.cli.options import AS_JSON, repeated, task_option
from zoo.cli.output import cell, emit_json
from zoo.errors import ZooError

TASKS = task_option(
    "Evaluation set to search for; may be given again.", ("--against",), default=("humaneval", "mbpp"),
    show_default=True,
)  # fmt: skip


@click.command()
@click.argument("source", shell_complete=A_DATASET)
@NAME
@click.option("--limit", type=click.IntRange(min=1), help="Take this many files (blocks of tables), chosen by hash.")
@click.option("--column", default="", help="Column of a table that holds the text: content, code or text by default.")
@click.option("--form", type=click.Choice(["python", "text"]), help="How to cut rows; the column decides by default.")
@click.option("--split", default="", help="Split of a dataset of the hub, such as train.")
@scaled
@AS_JSON
def gather(source: str, name: str, limit: int | None, column: str, form: str | None, split: str, as_json: bool) -> None:
    """Gather source code or text, and cut it into documents.

    SOURCE is python or prose (code or text of the standard library and the installed packages), a folder
    (*.py, *.md, *.txt, *.rst and tables), a *.jsonl, *.jsonl.gz or *.parquet file, or a Hugging Face
    dataset as hf:NAME@REVISION, which is read in parts and not downloaded whole.

    \b
    phizoo data gather python --name code
    phizoo data gather my-folder --name mine
    phizoo data gather hf:bigcode/the-stack-smol@main --column content --name stack
    """
    from training.data.gather.gather import gather as gather_source

    print_made(gather_source(source, name, limit, column, form or "", split), as_json=as_json)  # type: ignore[arg-type]


@click.command("filter")
@click.argument("source", shell_complete=A_DATASET)
@NAME
@click.option("--keep", type=click.FloatRange(0, 1, min_open=True), help="Share of the documents to keep (0.3).")
@click.option("--tokens", type=click.IntRange(min=1), help="Keep the best documents up to this many words and marks.")
@click.option("--precision", type=click.FloatRange(0, 1), help="Keep the most documents with this educational share.")
@click.option(
    "--labels", default="", metavar="NAME", help="Labels made by annotate; hand: ours of prose; or the rubric's."
)
@click.option("--embedding", default="tfidf", show_default=True, help="tfidf, minilm, a checkpoint's name or a folder.")
@click.option("--head", type=click.Choice(["forest", "regression"]), default="forest", show_default=True,
              help="The classifier on the embeddings.")  # fmt: skip
@click.option("--by", type=click.Choice(["fineweb-edu", "dclm"]), help="A published classifier of text instead.")
@click.option("--weights", default="", metavar="PATH", help="Its weights, a folder or file; the hub's by default.")
@click.option("--explain", is_flag=True, help="Print the best and the worst documents side by side.")
@SEED
@scaled
@AS_JSON
def filter_documents(
    source: str, name: str, keep: float | None, tokens: int | None, precision: float | None, labels: str,
    embedding: str, head: str, by: str | None, weights: str, explain: bool, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Keep the documents of the highest educational value.

    Code and text are judged apart: a sample of each is labelled, a classifier learns the labels from embeddings and
    scores every document. Its F1 is out of fold, split by project, or by document if there is one project.

    \b
    phizoo data filter code --name code-filtered --keep 0.3 --explain
    phizoo data filter web --name web-filtered --by fineweb-edu --weights FOLDER
    phizoo data filter code --labels code-labels --embedding minilm --precision 0.8 --name code-filtered
    """
    from training.data.inspect import compare_extremes
    from training.data.quality.filter import FilterChoice, filter_dataset

    if sum(value is not None for value in (keep, tokens, precision)) > 1:
        raise ZooError("--keep, --tokens and --precision exclude each other: give a share, a budget or a precision")
    choice = FilterChoice(keep=keep, tokens=tokens, precision=precision)
    made = filter_dataset(source, name, choice, seed, labels, embedding, head, by or "", weights)  # type: ignore[arg-type]
    print_made(made, as_json=as_json)
    if as_json:
        return
    for kind, part in (made.dataset.recipe or {})["heads"].items():
        click.echo(f"  {kind}: {_measured(part)}; threshold {part['threshold']}")
    if explain:
        click.echo("\n".join(compare_extremes(made.dataset, 5)))


def _measured(part: dict[str, Any]) -> str:
    """How well a kind's classifier was measured."""
    if "classifier" in part:
        return f"scored by {part['classifier']}, whose F1 is not measured here"
    if part["f1"] is None:
        return "F1 cannot be measured: too few labels of one sort"
    text = f"F1 {_cell(part, 'f1')} out of fold, split by {part['split']}"
    if "hand_f1" in part:
        text += f"; {_cell(part, 'hand_f1')} on 200 passages labelled by hand"
    return text


def _cell(part: dict[str, Any], name: str) -> str:
    low, high = part[f"{name}_95"]
    return cell(part[name], low, high, digits=3)


@click.command()
@click.argument("source", shell_complete=A_DATASET)
@NAME
@click.option("--jaccard", type=click.FloatRange(0.3, 1), default=0.8, show_default=True,
              help="Similarity of word 5-grams.")  # fmt: skip
@click.option("--semantic", type=click.FloatRange(0, 1), help="Also drop documents with this cosine or more.")
@click.option("--embedding", default="minilm", show_default=True,
              help="For --semantic: minilm, a checkpoint, a folder.")  # fmt: skip
@scaled
@AS_JSON
def dedup(source: str, name: str, jaccard: float, semantic: float | None, embedding: str, as_json: bool) -> None:
    """Drop documents that repeat an earlier one.

    Drops equal texts, near duplicates (MinHash), and with --semantic texts of the same meaning. Each
    dropped document records the one that was kept.

    \b
    phizoo data dedup code-filtered --name code-single
    phizoo data dedup code-filtered --semantic 0.95 --name code-single
    """
    from training.data.dedup.dedup import dedup_dataset

    print_made(dedup_dataset(source, name, jaccard, semantic, embedding), as_json=as_json)


@click.command()
@click.argument("source", shell_complete=A_DATASET)
@NAME
@TASKS
@repeated("--method", "methods", ("--methods",), metavar="METHOD", default=("ngram", "code-ngram", "ast"),
          show_default=True, help="One of these or embedding; may be given again.")  # fmt: skip
@repeated("--tau", "rates", metavar="RATE", default=("0.95",), show_default=True,
          help="Match rate of syntax trees; several make several datasets.")  # fmt: skip
@click.option("--distance", type=click.FloatRange(0, min_open=True), help="L2 distance of embeddings (0.7 for minilm).")
@click.option("--embedding", default="minilm", show_default=True, help="minilm, a checkpoint's name or a folder.")
@scaled
@AS_JSON
def decontaminate(
    source: str, name: str, tasks: tuple[str, ...], methods: tuple[str, ...], rates: tuple[str, ...],
    distance: float | None, embedding: str, as_json: bool,
) -> None:  # fmt: skip
    """Drop documents that contain evaluation problems.

    The search is that of `phizoo eval contamination`: by word n-grams of the question (13) and of the
    code (10), by the edit distance of syntax trees, and by the distance of embeddings. Each dropped
    document records its problems: method, similarity, span. Several rates make several datasets, such as
    NAME-tau95.

    \b
    phizoo data decontaminate code --task humaneval --task mbpp --name code-clean
    phizoo data decontaminate exercises --tau 0.95,0.9,0.85,0.8 --name exercises-pruned
    """
    from training.data.decontaminate import decontaminate_dataset

    results = []
    for rate in _match_rates(rates):
        own = f"{name}-tau{round(100 * rate)}" if len(rates) > 1 else name
        results.append(decontaminate_dataset(source, own, tasks, methods, rate, distance, embedding))
    print_made(*results, as_json=as_json)


def _match_rates(texts: tuple[str, ...]) -> list[float]:
    try:
        rates = [float(text) for text in texts]
    except ValueError:
        rates = [-1.0]
    if not all(0.5 <= rate <= 1 for rate in rates):
        raise ZooError(f'--tau "{",".join(texts)}" is not a match rate; give 0.5 to 1, such as 0.95')
    return rates


@click.command()
@click.argument("source", shell_complete=A_DATASET)
@NAME
@click.option("--keep", type=click.FloatRange(0, 1, min_open=True), help="Share of the documents to keep (0.3).")
@click.option("--tokens", type=click.IntRange(min=1), help="Keep the best documents up to this many words and marks.")
@TASKS
@click.option("--samples", type=click.IntRange(min=0), default=10, show_default=True,
              help="Documents printed at each end.")  # fmt: skip
@SEED
@scaled
@AS_JSON
def refine(
    source: str, name: str, keep: float | None, tokens: int | None, tasks: tuple[str, ...], samples: int, seed: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Filter, deduplicate and decontaminate, with a table of the steps.

    Makes NAME-filtered, NAME-dedup and NAME. Run again, it prints the same table at once.

    \b
    Example:  phizoo data refine code --keep 0.3 --name code-refined
    """
    from training.data.inspect import compare_extremes
    from training.data.quality.filter import FilterChoice
    from training.data.refine import markdown_table, refine_dataset

    if keep is not None and tokens is not None:
        raise ZooError("--keep and --tokens exclude each other: give the share or the budget")
    steps = refine_dataset(source, name, FilterChoice(keep=keep, tokens=tokens), tasks, seed)
    if as_json:
        emit_json(steps)
        return
    click.echo("\n".join(markdown_table(steps)))
    if samples:
        click.echo("\n".join(compare_extremes(steps[1].dataset, samples, lines=12)))


@click.command()
@click.argument("sources", shell_complete=A_DATASET, nargs=-1, required=True)
@click.option("--vocabulary", type=int, default=1024, show_default=True, help="Number of tokens, 257 to 65536.")
@NAME
@AS_JSON
def tokenizer(sources: tuple[str, ...], vocabulary: int, name: str, as_json: bool) -> None:
    """Train a byte-level BPE tokenizer.

    \b
    Example:  phizoo data tokenizer code-filtered textbooks exercises --vocabulary 1024 --name mini-bpe
    """
    from training.data.tokens.tokenizer import train_tokenizer

    print_made(train_tokenizer(sources, name, vocabulary), as_json=as_json)


@click.command()
@click.argument("sources", shell_complete=A_DATASET, nargs=-1, required=True, metavar="NAME[=WEIGHT]...")
@click.option("--tokenizer", "coder", required=True, metavar="NAME", help="A tokenizer made by: phizoo data tokenizer.")
@NAME
@click.option("--tokens", type=click.IntRange(min=1), help="Tokens to take in all.")
@click.option("--seed", default=0, show_default=True, help="Seed of the order.")
@scaled
@AS_JSON
def pack(sources: tuple[str, ...], coder: str, name: str, tokens: int | None, seed: int, as_json: bool) -> None:
    """Turn documents into tokens, mixed by weight.

    Without weights each source is taken once; with weights a source that is too small is repeated. The
    tokenizer may also be a checkpoint's name, or a folder with a tokenizer.json such as CodeGen's.

    \b
    Example:  phizoo data pack code-filtered=0.4 textbooks=0.6 --tokenizer mini-bpe --name base-tokens
    """
    from training.data.tokens.pack import pack as pack_datasets

    print_made(pack_datasets(sources, coder, name, tokens, seed), as_json=as_json)
