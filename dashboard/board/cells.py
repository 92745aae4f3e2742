"""The records of the board (cell, column, row, board) and the text of a cell."""

from collections.abc import Iterable
from typing import Literal

from evals.stats.power import smallest_paired, smallest_unpaired, weakest
from evals.stats.real import real_resolution
from evals.stats.signal import PairTest
from zoo import coverage
from zoo.cli import output
from zoo.metrics import metric_of
from zoo.records import Origin, Record, Subset


class Cell(Record, frozen=True):
    """One number of the board, in percent or in its metric's unit (`zoo.metrics`), with its interval and origin.

    low, high  its 95% interval; None if it cannot be derived
    derived    the interval was computed here from the published value and n
    bound      only an upper bound was published: the value reads `<3`
    moved      difference from the value on all samples, if a subset (clean, overlapping) is shown
    overlaps   samples in training data; None: not searched for, or not split
    samples    samples that were searched for, if any were
    clean      value without those in training data and those that could not be searched for, with its interval and n;
               only if all the training data was searched
    searched   whether the training data was searched; `unsearched` says why not in full
    tier       sandbox tier that ran the programs; empty if the task runs none
    source     where the number was published; empty if measured
    address    its source's address, which was read on the day `accessed`
    seeds      runs that differ by seed alone, combined; `runs` are their ids, `run` the newest
    setting    engine and dtype, if cells of this column have different ones
    measured_at  the zoo that it was pulled from; empty: measured here
    unfinished answers whose thought has no end
    disputed   verdicts that rest on one view of the sandbox alone
    worst      with best: the value if all unscored samples were wrong, or all right; None: all are scored
    chance     what guessing scores, in percent; None: unknown, or nothing to guess
    """

    origin: Origin
    value: float
    low: float | None
    high: float | None
    n: int | None
    unscored: int = 0
    unfinished: int = 0
    disputed: int = 0
    clusters: int = 0
    derived: bool = False
    bound: bool = False
    subset: str = "all"
    moved: float | None = None
    overlaps: int | None = None
    samples: int | None = None
    unsearchable: int | None = None
    searched: Literal["no", "in part", "in full"] = "no"
    unsearched: str = ""
    clean: float | None = None
    clean_low: float | None = None
    clean_high: float | None = None
    clean_n: int | None = None
    run: str = ""
    tier: str = ""
    source: str = ""
    protocol: str = ""
    created: str = ""
    address: str = ""
    accessed: str = ""
    chance: float | None = None
    seeds: int = 1
    runs: tuple[str, ...] = ()
    draws: int = 1
    setting: str = ""
    measured_at: str = ""
    worst: float | None = None
    best: float | None = None
    metric: str = ""


class Column(Record, frozen=True):
    """One protocol of a benchmark.

    key          short and stable, used in addresses: fingerprint prefix and metric
    main         this is the main metric of its task; the others are hidden by default
    n            samples of its cells, the smallest number if they differ
    resolves     smallest difference (percentage points, or the metric's unit) that the samples can detect, by the
                 widest interval
    printed      a published table as printed
    mixed        its rows come from several papers, each under its own protocol: nothing here ranks them
    one_protocol its rows were all measured by its source in one way: they may be ranked among themselves
    comparable   whether and why its numbers may be compared with the benchmark's other columns
    tests        of each pair of its rows on the same samples, by their keys, if the samples of all are here
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
    mixed: bool = False
    talk: bool = False
    one_protocol: bool = False
    comparable: str = ""
    tests: tuple[PairTest, ...] = ()


class Row(Record, frozen=True):
    """One model, a checkpoint of this zoo or a published one, with its cells by column key.

    unique_tokens    the size of its training data, each token counted once
    training_tokens  the tokens seen, repeats counted
    date             its month, or else that of the table that reports it; of an own model the day on which it was added
    released         its month, empty where it is not known
    style, weights, licence  empty: not known
    variant          what tells it from other rows of the same model, such as the weights' precision
    model            the same for rows whose training differs by the seed alone; empty: not known
    """

    key: str
    label: str
    name: str
    own: bool
    parameters: float | None
    training_tokens: float | None
    date: str
    family: str
    style: Literal["base", "chat", ""]
    weights: Literal["open", "closed", ""]
    cells: dict[str, Cell]
    digest: str = ""
    talk: bool = False
    unique_tokens: float | None = None
    quantisation: str = ""
    licence: str = ""
    released: str = ""
    variant: str = ""
    model: str = ""


def size_text(row: Row) -> str:
    """A row's number of parameters, and how its weights are quantised where they are: 134.5M Q4_1."""
    return f"{output.count(row.parameters)} {row.quantisation}".strip()


class Board(Record, frozen=True):
    """The whole table: ordered columns; own rows, then published ones."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    subset: Subset = "all"


def smallest_difference(cells: Iterable[Cell], origin: Origin) -> float | None:
    """The smallest difference that a column detects with 80% power, in points near 50%; None if it detects none.

    Of a metric that is no share it is in its unit.

    It follows from the least certain cell's interval. Measured rows are compared sample by sample (paired); for
    published rows only the totals are known (unpaired).

    >>> cell = Cell(origin="measured", value=50.0, low=42.439, high=57.561, n=164, clusters=164)
    >>> [round(smallest_difference([cell], origin) or 0, 1) for origin in ("measured", "reported")]
    [11.2, 15.4]
    """
    spans, metric = [], metric_of("")
    for c in cells:
        if c.low is not None and c.high is not None and c.n:
            metric = metric_of(c.metric)
            span = (c.value / metric.scale, c.low / metric.scale, c.high / metric.scale)
            spans.append((*span, c.n, c.clusters or c.n))
    if not metric.is_share:
        known = real_resolution(spans)
        if known is None:
            return None
        return known.paired if origin == "measured" else known.unpaired
    effective = weakest(spans)
    if effective is None:
        return None
    smallest = smallest_paired(effective) if origin == "measured" else smallest_unpaired(effective.score)
    return None if smallest is None else metric.shown(smallest)


def percent_text(value: float) -> str:
    """A value in percent with one decimal, or more if the source printed more.

    >>> percent_text(50.6), percent_text(67), percent_text(54.74)
    ('50.6', '67.0', '54.74')
    """
    return f"{value:.1f}" if abs(round(value, 1) - value) < 1e-9 else f"{value:.4g}"


def value_text(cell: Cell) -> str:
    """The value of a cell: with its metric's digits if measured, as printed if published."""
    if cell.origin == "measured":
        return f"{cell.value:.{metric_of(cell.metric).digits}f}"
    return ("<" if cell.bound else "") + percent_text(cell.value)


def merit(cell: Cell) -> float:
    """A number that is larger for a better cell."""
    return metric_of(cell.metric).merit(cell.value)


def numbers_text(cell: Cell, value: str | None = None) -> str:
    """The value of a cell (another text in its place), its interval and n."""
    digits = metric_of(cell.metric).digits
    return output.cell(value_text(cell) if value is None else value, cell.low, cell.high, cell.n, digits)


def at_chance(cell: Cell) -> bool:
    """Whether the cell's interval holds what guessing scores.

    >>> at_chance(Cell(origin="measured", value=26.1, low=24.0, high=28.3, n=1172, chance=25.0))
    True
    """
    return (
        cell.chance is not None
        and cell.low is not None
        and cell.high is not None
        and (cell.low <= cell.chance <= cell.high)
    )


def cell_text(cell: Cell | None) -> str:
    """The cell as one line: value, interval, n, chance, seeds, setting, unscored samples, coverage, overlap; or a dash.

    `†` marks a published number (its interval, if it has one, is derived here from value and n).

    >>> cell_text(Cell(origin="measured", value=0.0, low=0.0, high=2.288, n=164, unscored=2))
    '0.0 [0.0–2.3] n=164 (2 unscored)'
    >>> cell_text(Cell(origin="reported", value=3.0, low=None, high=None, n=None, bound=True)), cell_text(None)
    ('<3.0 †', '–')
    """
    if cell is None:
        return output.NONE
    parts = [numbers_text(cell)]
    if at_chance(cell):
        parts.append("(at chance)")
    parts += [f"({text})" for text in run_texts(cell)]
    if overlap := overlap_text(cell):
        parts.append(f"({overlap})")
    if cell.origin == "reported":
        parts.append("†")
    return " ".join(parts)


def run_texts(cell: Cell) -> list[str]:
    """Seeds, the place if it is not here, the setting, unscored with bounds, endless thoughts, disputes, coverage.

    >>> facts = {"unscored": 1, "worst": 49.5, "best": 50.5, "seeds": 3}
    >>> run_texts(Cell(origin="measured", value=50.0, low=40, high=60, n=100, **facts))
    ['3 seeds', '1 unscored: 49.5 to 50.5']
    """
    texts = [f"{cell.seeds} seeds"] if cell.seeds > 1 else []
    texts += [f"measured elsewhere: {cell.measured_at}"] if cell.measured_at else []
    texts += [cell.setting] if cell.setting else []
    if cell.unscored and cell.worst is not None and cell.best is not None:
        scale = metric_of(cell.metric).scale
        texts.append(output.unscored_text(cell.unscored, cell.worst / scale, cell.best / scale, cell.metric))
    elif cell.unscored:
        texts.append(f"{cell.unscored} unscored")
    texts += [f"{cell.unfinished:,} unfinished"] if cell.unfinished else []
    texts += [f"{cell.disputed:,} disputed"] if cell.disputed else []
    note = coverage_note(cell)
    return [*texts, note] if note else texts


def coverage_note(cell: Cell) -> str:
    """What the cell's interval covers where that is not 95%; empty elsewhere, and without an interval."""
    value = cell.value / metric_of(cell.metric).scale
    return "" if cell.low is None else output.coverage_note(value, cell.clusters, cell.metric)


def overlap_text(cell: Cell, why: bool = False) -> str:
    """What searches of the training data say of a measured cell; empty if nobody searched.

    why  also say what was not searched

    >>> shares = {"value": 90.0, "low": 86.2, "high": 92.8, "n": 320, "samples": 320, "unsearchable": 0}
    >>> overlap_text(Cell(origin="measured", overlaps=0, searched="in full", clean=90.0, clean_n=320, **shares))
    '0 of 320 in training data, searched in full'
    >>> overlap_text(Cell(origin="measured", overlaps=3, searched="in part", unsearched="no data of a:1", **shares))
    '3 of 320 in training data; not searched in full'
    """
    if cell.searched == "no":
        return ""
    clean, digits = "", metric_of(cell.metric).digits
    if cell.clean is not None:
        clean = output.cell(cell.clean, cell.clean_low, cell.clean_high, cell.clean_n, digits)
    text = coverage.overlap_text(cell.overlaps, cell.samples or 0, cell.unsearchable or 0, cell.unsearched, clean)
    return text if why or not cell.unsearched else text.removesuffix(f": {cell.unsearched}")


def overlap_notes(board: Board) -> list[str]:
    """Notes below a table: which training data was not searched in full, and what a cell without a note means."""
    cells = [
        (row, column, cell)
        for row in board.rows
        for column in board.columns
        if (cell := row.cells.get(column.key)) and cell.origin == "measured"
    ]
    why = dict.fromkeys(
        f"{row.label} {column.task}: not searched in full: {cell.unsearched}"
        for row, column, cell in cells
        if cell.unsearched
    )
    none = ["A measured score without a note on training data: its samples were not searched for there."]
    return [*why, *(none if any(cell.searched == "no" for _, _, cell in cells) else [])]
