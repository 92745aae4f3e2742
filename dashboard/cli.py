"""`phizoo leaderboard`: opens the page, prints the table, or writes it to a file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.options import AS_JSON, RenamedOption
from zoo.cli.output import emit_json
from zoo.errors import ZooError

if TYPE_CHECKING:
    from dashboard.board.cells import Board
    from dashboard.board.front import Front
    from zoo.records import Subset

PASSWORD = "PHIZOO_PASSWORD"  # noqa: S105 - the variable's name
SHORTEST_PASSWORD = 8


@click.command(
    short_help="Open the leaderboard page, or export it.", context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option("--print", "printed", is_flag=True, help="Print the table in the terminal instead of opening the page.")
@click.option("--out", cls=RenamedOption, former=("--export",), type=click.Path(dir_okay=False, path_type=Path),
              metavar="FILE", help="Write FILE.html, .md, .csv, .tex or .parquet.")  # fmt: skip
@AS_JSON
@click.option("--view", default="", metavar="ADDRESS", help="Address of a view of the page (or its part from the ?).")
@click.option("--suite", default="here", show_default=True, metavar="NAME",
              help="here, code, commonsense, knowledge, talk, one-protocol, phi-1, phi-1.5, phi-2, own, all."
)  # fmt: skip
@click.option("--subset", default="all", show_default=True, type=click.Choice(["all", "clean", "overlapping"]),
              help="Scores on all samples, or only on those (not) found in training data.")  # fmt: skip
@click.option("--search", default="", help="Only models whose name contains these words.")
@click.option("--where", "conditions", multiple=True, metavar="CONDITION",
              help="Print only models that satisfy a condition; may be given several times.")  # fmt: skip
@click.option("--front", type=click.Choice(["parameters", "unique", "tokens", "flops"]),
              help="Print only models that no smaller one equals, by size, data, tokens seen or cost.")  # fmt: skip
@click.option("--sort", default="board", show_default=True,
              help="board, name, parameters, unique, tokens, date, a benchmark or a column key.")  # fmt: skip
@click.option("--reported", is_flag=True, help="With --print: also what others report on the same benchmarks.")
@click.option("--every-metric", is_flag=True, help="Show all metrics of each task, not only the main one.")
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535), help="Port of the page.")
@click.option("--public", is_flag=True, help="Let other machines open the page; needs a password in PHIZOO_PASSWORD.")
def leaderboard(
    printed: bool, out: Path | None, as_json: bool, view: str, suite: str, subset: "Subset", search: str,
    conditions: tuple[str, ...], front: "Front | None", sort: str, reported: bool, every_metric: bool, port: int,
    public: bool,
) -> None:  # fmt: skip
    """Open the leaderboard page, or export it.

    Each number has its interval and n, under its own protocol; measured and reported numbers are marked.
    The page only reads the zoo, and binds to 127.0.0.1. JSON has columns, rows and cells in percent.

    A condition is one of `phizoo models find --where`, over fields (name family licence kind weights quantisation
    quantised chat released origin parameters unique_tokens training_tokens) and scores (BENCHMARK.low). A fact that is
    not known satisfies only "= unknown". The answer above the table names the best, or those that the data cannot tell
    apart.

    \b
    phizoo leaderboard
    phizoo leaderboard --print
    phizoo leaderboard --out table.html
    phizoo leaderboard --suite phi-1.5 --json
    phizoo leaderboard --suite code --where "parameters <= 500M and licence = apache-2.0"
    phizoo leaderboard --view 'http://127.0.0.1:8501/?suite=phi-1&search=codex' --out codex.tex
    """
    printed = printed or ((bool(conditions) or bool(front)) and not (out or as_json))
    if not (printed or out or as_json):
        options = {"suite": suite, "subset": subset, "search": search, "sort": sort}
        options |= {"every": "true"} if every_metric else {}
        open_page(port, public, page_query(view, options))
        return
    from dashboard.frame import select_board

    if view:
        board, notes = view_board(view)
    else:
        where = " and ".join(f"({condition})" for condition in conditions)
        board, notes = select_board(suite, subset, search, sort, every_metric, where, front or "")
    if out:
        from dashboard.board.export import write

        write(board, out, notes)
        click.echo(f"wrote {out}: {len(board.rows)} models, {len(board.columns)} columns", err=as_json or printed)
    if as_json:
        from dashboard.board.export import as_data

        emit_json(as_data(board, notes))
    elif printed:
        from dashboard.board.terminal import own_part, show
        from dashboard.board.view import View

        own = suite == View().suite and not (reported or view or conditions or front)
        show(own_part(board) if own else board, notes)
        if own:
            click.echo("More: --reported, --suite code, --suite all; the page: phizoo leaderboard", err=True)


def page_query(view: str, options: Mapping[str, str]) -> str:
    """The part of the page's address that opens it at these choices; empty for its first view.

    Raises  ZooError for a value that the page would not show
    """
    from urllib.parse import urlencode

    from dashboard.board.address import parameters, read
    from dashboard.board.view import View, select
    from dashboard.data.source import load_board, open_zoo

    defaults = {"suite": View().suite, "subset": "all", "sort": View().sort}
    query = parameters(view) | {key: [value] for key, value in options.items() if value and value != defaults.get(key)}
    if query:
        with open_zoo() as registry:
            board = load_board(registry)
        select(board, read(query, board)[0])
    return urlencode(query, doseq=True)


def view_board(address: str) -> tuple["Board", tuple[str, ...]]:
    """The board of this zoo as the page shows it at an address, and the notes above it."""
    from dashboard.board.address import parameters, read
    from dashboard.data.source import load_board, open_zoo
    from dashboard.frame import select_view

    query = parameters(address)
    with open_zoo() as registry:
        view, subset = read(query, load_board(registry))
    return select_view(view, subset)


def open_page(port: int, public: bool, query: str = "") -> None:
    """Runs the page's server until it is interrupted. query: the view that the printed address opens."""
    if public and len(os.environ.get(PASSWORD, "")) < SHORTEST_PASSWORD:
        raise ZooError(
            f"--public needs a password of {SHORTEST_PASSWORD} or more characters in {PASSWORD}, which is not set; "
            f"set it and run again: {PASSWORD}=... phizoo leaderboard --public"
        )
    from importlib.util import find_spec

    if find_spec("streamlit") is None:
        raise ZooError("the page needs Streamlit, which is not installed: pip install 'phi-zoo[dashboard]'")
    from dashboard.server import serve
    from evals.engines.vllm.process import check_port

    check_port("0.0.0.0" if public else "127.0.0.1", port)  # noqa: S104 - only with --public and a password
    serve(port, public, query)
