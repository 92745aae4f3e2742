"""Cells, columns, rows and the board they make, and how a cell reads. Built by `dashboard.board.build`."""

from typing import Literal

from dashboard.escape import percent
from evals.stats.power import resolution
from zoo.cli import output
from zoo.records import Origin, Record, Subset


class Cell(Record, frozen=True):
    """One number of the board, in percent, with what it rests on.

    low, high  its 95% interval; None where nothing to derive it from is known
    derived    the interval was computed here from a published value and n, not published with it
    bound      only an upper bound was published: the value reads `<3`
    moved      value minus that of the whole set, when a subset (clean, overlapping) is shown
    overlaps   samples that were found in training data; None: nobody looked
    clean      the value without those samples
    tier       the sandbox tier that ran the programs; empty for tasks that run none
    source     where a published number stands; empty for a measured one
    """

    origin: Origin
    value: float
    low: float | None
    high: float | None
    n: int | None
    unscored: int = 0
    clusters: int = 0
    derived: bool = False
    bound: bool = False
    subset: str = "all"
    moved: float | None = None
    overlaps: int | None = None
    clean: float | None = None
    run: str = ""
    tier: str = ""
    source: str = ""
    protocol: str = ""
    created: str = ""


class Column(Record, frozen=True):
    """One protocol under its benchmark.

    key          short, stable and fit for an address: fingerprint prefix and metric
    main         the metric that stands for the task: shown unless more are asked for
    n            samples of its cells, the smallest number where they differ
    resolves     smallest difference in percentage points that this n tells apart
    printed      a published table as it is printed: its rows come from several papers
    comparable   whether its numbers may be read against the benchmark's other columns, and why (not)
    """

    key: str
    benchmark: str
    title: str
    protocol: str
    origin: Origin
    metric: str
    shots: int | None = None
    fingerprint: str = ""
    task: str = ""
    main: bool = True
    n: int | None = None
    resolves: float | None = None
    tiers: tuple[str, ...] = ()
    source: str = ""
    subset: str = ""
    printed: bool = False
    talk: bool = False
    comparable: str = ""


class Row(Record, frozen=True):
    """One model: a checkpoint of this zoo, or a published one, and its cells by column key."""

    key: str
    label: str
    name: str
    own: bool
    parameters: float | None
    training_tokens: float | None
    date: str
    family: str
    style: Literal["base", "chat"]
    weights: Literal["open", "closed"]
    cells: dict[str, Cell]
    digest: str = ""
    talk: bool = False


class Board(Record, frozen=True):
    """The whole table: columns in their order, own rows first, then the published ones."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    subset: Subset = "all"


def resolvable(n: int, origin: Origin) -> float:
    """The smallest difference, in points near 50%, that n samples tell apart with 80% power.

    Measured rows are compared paired, sample by sample; of published ones only the totals are known.

    >>> round(resolvable(164, "measured"), 1), round(resolvable(164, "reported"), 1)
    (10.9, 15.4)
    """
    told = resolution(n)
    return 100 * (told.paired if origin == "measured" else told.unpaired)


def value_text(cell: Cell) -> str:
    """The cell's value: one decimal if measured, as printed if published."""
    if cell.origin == "measured":
        return f"{cell.value:.1f}"
    return ("<" if cell.bound else "") + percent(cell.value)


def cell_text(cell: Cell | None) -> str:
    """The cell as one line: value, interval, n, what is missing or marked; a dash where nothing is known.

    `†` marks a published number (its interval, where it has one, is derived here from value and n).

    >>> cell_text(Cell(origin="measured", value=0.0, low=0.0, high=2.288, n=164, unscored=2))
    '0.0 [0.0–2.3] n=164 (2 unscored)'
    >>> cell_text(Cell(origin="reported", value=3.0, low=None, high=None, n=None, bound=True)), cell_text(None)
    ('<3.0 †', '–')
    """
    if cell is None:
        return "–"
    parts = [output.cell(value_text(cell), cell.low, cell.high, cell.n)]
    if cell.unscored:
        parts.append(f"({cell.unscored} unscored)")
    if overlap := overlap_text(cell):
        parts.append(f"({overlap})")
    if cell.origin == "reported":
        parts.append("†")
    return " ".join(parts)


def overlap_text(cell: Cell) -> str:
    """How many samples of a cell over all of them were found in training data, and the value without those.

    >>> overlap_text(Cell(origin="measured", value=90.0, low=86.2, high=92.8, n=320, overlaps=137, clean=83.1))
    '137 in training data, 83.1 without'
    >>> overlap_text(Cell(origin="measured", value=90.0, low=86.2, high=92.8, n=320, overlaps=0, clean=90.0))
    ''
    """
    if not cell.overlaps:
        return ""
    return f"{cell.overlaps} in training data, " + (
        "none without" if cell.clean is None else f"{cell.clean:.1f} without"
    )
