"""The `phizoo data` commands that make a dataset. Each is done at once when its output is there already."""

import click

from training.cli.data_options import JSON, OUT, SEED, scaled, told
from zoo.cli.completion import A_DATASET, A_TASK
from zoo.errors import ZooError


@click.command()
@click.argument("source", shell_complete=A_DATASET)
@OUT
@click.option("--limit", type=click.IntRange(min=1), help="Take this many files (of tables: blocks), spread by hash.")
@click.option("--column", default="", help="Column of a table that holds the text: content, code or text by default.")
@click.option("--form", type=click.Choice(["python", "text"]), help="How rows are cut; the column decides by default.")
@click.option("--split", default="", help="Split of a hub's dataset, as train.")
@scaled
@JSON
def gather(source: str, name: str, limit: int | None, column: str, form: str | None, split: str, as_json: bool) -> None:
    """Gather source code or text, and cut it into documents.

    SOURCE is python (this machine's own: the standard library and the installed packages), a folder
    (*.py, *.md, *.txt, *.rst and tables), a *.jsonl, *.jsonl.gz or *.parquet file, or a Hugging Face
    dataset as hf:NAME@REVISION, which is read in stretches and not downloaded whole.

    \b
    phizoo data gather python --out code
    phizoo data gather my-folder --out mine
    phizoo data gather hf:bigcode/the-stack-smol@main --column content --out stack
    """
    from training.data.gather.gather import gather as gather_source

    told(gather_source(source, name, limit, column, form or "", split), as_json)  # type: ignore[arg-type]


@click.command("filter")
@click.argument("source", shell_complete=A_DATASET)
@OUT
@click.option("--keep", type=click.FloatRange(0, 1, min_open=True), help="Share of the documents to keep (0.3).")
@click.option("--tokens", type=click.IntRange(min=1), help="Keep the best documents up to this many words and marks.")
@click.option("--precision", type=click.FloatRange(0, 1), help="Keep as far down as this share is educational.")
@click.option("--labels", default="", metavar="NAME", help="Labels made by annotate; the rubric's by default.")
@click.option("--embedding", default="tfidf", show_default=True, help="tfidf, minilm, a checkpoint's name or a folder.")
@click.option("--head", type=click.Choice(["forest", "regression"]), default="forest", show_default=True)
@click.option("--explain", is_flag=True, help="Show high and low documents side by side.")
@SEED
@scaled
@JSON
def filter_documents(
    source: str, name: str, keep: float | None, tokens: int | None, precision: float | None, labels: str,
    embedding: str, head: str, explain: bool, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Keep the documents of the highest educational value.

    A share is labelled, a head learns the labels from embeddings and scores all. Its F1 is out of fold,
    split by project.

    \b
    phizoo data filter code --out code-filtered --keep 0.3 --explain
    phizoo data filter code --labels code-labels --embedding minilm --precision 0.8 --out code-filtered
    """
    from training.data.inspect import compare_extremes
    from training.data.quality.filter import FilterChoice, filter_dataset

    if sum(one is not None for one in (keep, tokens, precision)) > 1:
        raise ZooError(
            "--keep, --tokens and --precision exclude each other: give the share, the budget or the precision"
        )
    choice = FilterChoice(keep=keep, tokens=tokens, precision=precision)
    made = filter_dataset(source, name, choice, seed, labels, embedding, head)  # type: ignore[arg-type]
    told(made, as_json)
    if as_json:
        return
    recipe = made.dataset.recipe or {}
    low, high = recipe["f1_95"]
    click.echo(f"  F1 {recipe['f1']:.3f} [{low:.3f}-{high:.3f}] out of fold, threshold {recipe['threshold']}")
    if explain:
        click.echo("\n".join(compare_extremes(made.dataset, 5)))


@click.command()
@click.argument("source", shell_complete=A_DATASET)
@OUT
@click.option("--jaccard", type=click.FloatRange(0.3, 1), default=0.8, show_default=True, help="Of word 5-grams.")
@click.option("--semantic", type=click.FloatRange(0, 1), help="Also drop documents of this cosine and above.")
@click.option(
    "--embedding", default="minilm", show_default=True, help="For --semantic: minilm, a checkpoint, a folder."
)
@scaled
@JSON
def dedup(source: str, name: str, jaccard: float, semantic: float | None, embedding: str, as_json: bool) -> None:
    """Drop documents that repeat an earlier one.

    Equal texts, near duplicates (MinHash), and with --semantic those of the same meaning. The kept
    twin stands beside each dropped document.

    \b
    phizoo data dedup code-filtered --out code-single
    phizoo data dedup code-filtered --semantic 0.95 --out code-single
    """
    from training.data.dedup.dedup import dedup_dataset

    told(dedup_dataset(source, name, jaccard, semantic, embedding), as_json)


@click.command()
@click.argument("source", shell_complete=A_DATASET)
@OUT
@click.option(
    "--against",
    shell_complete=A_TASK,
    default="humaneval,mbpp",
    show_default=True,
    metavar="TASK,...",
    help="Evaluation sets.",
)
@click.option("--methods", default="ngram,code-ngram,ast", show_default=True, help="Of these and embedding.")
@click.option("--tau", default="0.95", show_default=True, metavar="RATE,...", help="Match rate of syntax trees.")
@click.option("--distance", type=click.FloatRange(0, min_open=True), help="L2 distance of embeddings (0.7 for minilm).")
@click.option("--embedding", default="minilm", show_default=True, help="minilm, a checkpoint's name or a folder.")
@scaled
@JSON
def decontaminate(
    source: str,
    name: str,
    against: str,
    methods: str,
    tau: str,
    distance: float | None,
    embedding: str,
    as_json: bool,
) -> None:
    """Drop documents that hold evaluation problems.

    The search is that of `phizoo eval contamination`: by word n-grams of the question (13) and of the
    code (10), by the edit distance of syntax trees, and by the distance of embeddings. Each dropped
    document records its problems: method, similarity, span. Several rates make several datasets, as
    NAME-tau95.

    \b
    phizoo data decontaminate code --against humaneval,mbpp --out code-clean
    phizoo data decontaminate exercises --tau 0.95,0.9,0.85,0.8 --out exercises-pruned
    """
    from training.data.decontaminate import decontaminate_dataset

    rates = _rates(tau)
    for rate in rates:
        own = f"{name}-tau{round(100 * rate)}" if len(rates) > 1 else name
        made = decontaminate_dataset(
            source, own, tuple(against.split(",")), tuple(methods.split(",")), rate, distance, embedding
        )
        told(made, as_json)


def _rates(text: str) -> list[float]:
    try:
        rates = [float(one) for one in text.split(",")]
    except ValueError:
        rates = [-1.0]
    if not all(0.5 <= rate <= 1 for rate in rates):
        raise ZooError(f'--tau "{text}" is no match rate; give 0.5 to 1, as 0.95 or 0.95,0.9,0.85,0.8')
    return rates


@click.command()
@click.argument("source", shell_complete=A_DATASET)
@OUT
@click.option("--keep", type=click.FloatRange(0, 1, min_open=True), help="Share of the documents to keep (0.3).")
@click.option("--tokens", type=click.IntRange(min=1), help="Keep the best documents up to this many words and marks.")
@click.option(
    "--against",
    shell_complete=A_TASK,
    default="humaneval,mbpp",
    show_default=True,
    metavar="TASK,...",
    help="Evaluation sets.",
)
@click.option("--samples", type=click.IntRange(min=0), default=10, show_default=True, help="Documents at each end.")
@SEED
@scaled
@JSON
def refine(
    source: str, name: str, keep: float | None, tokens: int | None, against: str, samples: int, seed: int, as_json: bool
) -> None:
    """Filter, deduplicate and decontaminate, and print the table of it.

    Makes NAME-filtered, NAME-dedup and NAME; run again, it prints the same table at once.

    \b
    Example:  phizoo data refine code --keep 0.3 --out code-refined
    """
    import msgspec

    from training.data.inspect import compare_extremes
    from training.data.quality.filter import FilterChoice
    from training.data.refine import refine as refined
    from training.data.refine import table

    if keep is not None and tokens is not None:
        raise ZooError("--keep and --tokens exclude each other: give the share or the budget")
    steps = refined(source, name, FilterChoice(keep=keep, tokens=tokens), tuple(against.split(",")), seed)
    if as_json:
        click.echo(msgspec.json.encode(steps).decode())
        return
    click.echo("\n".join(table(steps)))
    if samples:
        click.echo("\n".join(compare_extremes(steps[1].dataset, samples, lines=12)))


@click.command()
@click.argument("sources", shell_complete=A_DATASET, nargs=-1, required=True)
@click.option("--vocabulary", type=int, default=1024, show_default=True, help="Number of tokens, 257 to 65536.")
@OUT
@JSON
def tokenizer(sources: tuple[str, ...], vocabulary: int, name: str, as_json: bool) -> None:
    """Train a byte-level BPE tokenizer.

    \b
    Example:  phizoo data tokenizer code-filtered textbooks exercises --vocabulary 1024 --out mini-bpe
    """
    from training.data.tokens.tokenizer import train_tokenizer

    told(train_tokenizer(sources, name, vocabulary), as_json)


@click.command()
@click.argument("sources", shell_complete=A_DATASET, nargs=-1, required=True, metavar="NAME[=WEIGHT]...")
@click.option("--tokenizer", "coder", required=True, metavar="NAME", help="A dataset made by: phizoo data tokenizer.")
@OUT
@click.option("--tokens", type=click.IntRange(min=1), help="How many tokens to take in all.")
@click.option("--seed", default=0, show_default=True, help="Seed of the order.")
@scaled
@JSON
def pack(sources: tuple[str, ...], coder: str, name: str, tokens: int | None, seed: int, as_json: bool) -> None:
    """Turn documents into tokens, mixed by weight.

    Without weights everything is taken once; with them a source that is too small is repeated. The
    tokenizer may also be a checkpoint's name or a folder with a tokenizer.json, such as CodeGen's.

    \b
    Example:  phizoo data pack code-filtered=0.4 textbooks=0.6 --tokenizer mini-bpe --out base-tokens
    """
    from training.data.tokens.pack import pack as pack_datasets

    told(pack_datasets(sources, coder, name, tokens, seed), as_json)
