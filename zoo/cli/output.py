"""Formats and prints results: cells `51.2 [43.6–58.8] n=164`, counts, sizes, p-values, tables and JSON.

Needs nothing but the standard library at import, so that libraries below the command line may use it too.
"""

import contextlib
import functools
import os
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from zoo.metrics import metric_of
from zoo.visible import plain

if TYPE_CHECKING:
    from rich.table import Table

    from zoo.records import Score

FOLDED, BLOCK = 200, 5_000  # rows: folding takes 2 ms a row; 5,000 rows of text are some megabytes
NONE = "–"  # a value that is not known
TOO_FEW = 5  # groups: 2 * (1/2)^5 is 0.06, so that no paired test can give p below 0.05
FEW = 30  # groups: below, Student's quantile and whole counts move coverage up to 97.8% (docs/statistics.md)
RARE = ((2.5, "90–99%"), (5.0, "93–99%"))  # below so many groups of the rarer answer: what the interval covers


def cell(
    value: float | str | None, low: float | None = None, high: float | None = None, n: int | None = None,
    digits: int = 1,
) -> str:  # fmt: skip
    """A value with its interval and n; a dash for no value. A string is a value as its source printed it.

    >>> cell(51.219, 43.64, 58.75, 164), cell("<3.0", n=164), cell(7.25, 6.5, 8, 20, digits=2), cell(None)
    ('51.2 [43.6–58.8] n=164', '<3.0 n=164', '7.25 [6.50–8.00] n=20', '–')
    """
    if value is None:
        return NONE
    parts = [value if isinstance(value, str) else f"{value:.{digits}f}"]
    if low is not None and high is not None:
        parts.append(f"[{low:.{digits}f}–{high:.{digits}f}]")
    if n is not None:
        parts.append(f"n={n}")
    return " ".join(parts)


def share_cell(value: float, low: float, high: float, n: int | None = None, metric: str = "") -> str:
    """The cell of a stored score: a share in percent, another metric in its own unit (`zoo.metrics`).

    >>> share_cell(0.51219, 0.43641, 0.58748, 164), share_cell(1.03, 1.01, 1.05, 164, "bits_per_byte")
    ('51.2 [43.6–58.7] n=164', '1.030 [1.010–1.050] n=164')
    """
    kind = metric_of(metric)
    return cell(kind.shown(value), kind.shown(low), kind.shown(high), n, kind.digits)


def unscored_text(unscored: int, worst: float | None, best: float | None, metric: str = "") -> str:
    """How many samples have no score, and the value if all of them were wrong or all right.

    worst, best  as `zoo.records.Score` has them; None: nothing bounds them

    >>> unscored_text(2, 0.5061, 0.5183), unscored_text(2, None, None)
    ('2 unscored: 50.6 to 51.8', '2 unscored')
    """
    if worst is None or best is None:
        return f"{unscored} unscored"
    return f"{unscored} unscored: {metric_of(metric).text(worst)} to {metric_of(metric).text(best)}"


def coverage_note(value: float, clusters: int, metric: str = "") -> str:
    """What a 95% interval covers where that may be outside 93.5% to 97%; "" elsewhere.

    value     as it is stored
    clusters  the independent groups of the score; 0: not known
    Source    the simulations in docs/statistics.md, Coverage

    >>> coverage_note(0.5, 164), coverage_note(0.5, 25)
    ('', 'covers 93–99%, not 95%')
    >>> coverage_note(0.01, 164), coverage_note(0.5, 4)
    ('covers 90–99%, not 95%', '5 groups or fewer: a rough interval, no test can be significant')
    """
    if clusters == 0:
        return ""
    if clusters <= TOO_FEW:
        return f"{TOO_FEW} groups or fewer: a rough interval, no test can be significant"
    if not metric_of(metric).is_share:
        return f"t interval over {clusters} groups" if clusters < FEW else ""
    rarer = clusters * min(value, 1 - value)
    covered = next((share for most, share in RARE if rarer < most), RARE[-1][1] if clusters < FEW else "")
    return f"covers {covered}, not 95%" if covered else ""


def score_notes(score: "Score", setting: bool = True) -> str:
    """How a score was measured: its setting, seeds, draws, the bounds that unscored samples leave, thoughts without
    an end, disputed verdicts, coverage.

    setting  also engine and dtype
    """
    notes = [f"{score.engine} {score.dtype}".strip()] if setting else []
    notes += [f"{score.seeds} seeds"] if score.seeds > 1 else []
    notes += [f"{score.draws} draws"] if score.draws > 1 else []
    notes += [unscored_text(score.unscored, score.worst, score.best, score.metric)] if score.unscored else []
    notes += [f"{score.unfinished:,} unfinished"] if score.unfinished else []
    notes += [f"{score.disputed:,} disputed"] if score.disputed else []
    notes += [f"measured elsewhere: {score.measured_at}"] if score.measured_at else []
    notes += [] if score.whole else ["a part of the samples"]
    notes += [coverage_note(score.value, score.clusters, score.metric)]
    return ", ".join(note for note in notes if note)


def count(number: float | None) -> str:
    """A count with its magnitude, three digits at most.

    >>> count(356_794_368), count(950_000), count(999_999), count(1.2e21), count(12), count(None)
    ('357M', '950K', '1M', '1.2Z', '12', '–')
    """
    if number is None:
        return NONE
    for power, unit in zip(range(21, 0, -3), "ZEPTBMK", strict=True):
        if number >= 0.9995 * 10**power:
            return f"{float(f'{number / 10**power:.3g}'):g}{unit}"
    return f"{number:.3g}"


def known_count(number: int | None) -> str:
    """A count in full.

    >>> known_count(1_000_000), known_count(None)
    ('1,000,000', 'unknown')
    """
    return "unknown" if number is None else f"{number:,}"


def bytes_text(number: float) -> str:
    """A size in bytes with its unit, powers of 1,000.

    >>> bytes_text(2_000_000_000), bytes_text(900)
    ('2.00 GB', '900 B')
    """
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return f"{number:.0f} B"


def p_text(p: float | None) -> str:
    """A p-value, never a bare 0; empty for none.

    >>> p_text(0.0386), p_text(0.00001), p_text(1.0), p_text(None)
    ('0.039', '<0.001', '1.00', '')
    """
    if p is None:
        return ""
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def range_text(first: int, last: int) -> str:
    """A range of ranks.

    >>> range_text(2, 5), range_text(3, 3)
    ('2–5', '3')
    """
    return str(first) if first == last else f"{first}–{last}"


def wrapped(text: str, stream: IO[str]) -> str:
    """A text with line breaks between words, where a terminal would break inside one; elsewhere as it is."""
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def table(
    rows: Iterable[Sequence[str]], columns: Sequence[str] = (), bold: Iterable[int] = (), file: IO[str] | None = None,
    optional: Sequence[str] = (),
) -> None:  # fmt: skip
    """Prints rows in columns: on a terminal fitted to its width, in a pipe as wide as the cells need.

    On a terminal no word is broken: where the columns do not fit, the optional ones are left out, and where that is
    not enough, each row becomes a block of lines.

    A table of more than FOLDED rows is not folded, and of one of any length only BLOCK rows are held: columns may
    become wider from block to block.

    columns  titles; one that begins with ">" aligns its column to the right; none: no line of titles
    bold     numbers of the rows that a terminal shows bold
    file     where a table that is not folded is printed
    optional  titles of the columns that a narrow terminal leaves out, the first of them first
    """
    titles = tuple(title.removeprefix(">") for title in columns)
    cells = (tuple(map(plain, row)) for row in rows)
    block = list(islice(cells, BLOCK))
    right = [title.startswith(">") for title in columns] or [False] * len(block[0] if block else ())
    if file is None and sys.stdout.isatty() and len(block) <= FOLDED:
        _fitted_table(block, titles, right, frozenset(bold), optional)
        return
    widths = [len(title) for title in titles] or [0] * len(right)
    lines = [titles, *block] if titles else block
    while lines:
        widths = [max(width, *map(len, column)) for width, column in zip(widths, zip(*lines, strict=True), strict=True)]
        for line in lines:
            fields = zip(line, widths, right, strict=True)
            text = "  ".join(field.rjust(width) if ends else field.ljust(width) for field, width, ends in fields)
            print(text.rstrip(), file=file)
        lines = list(islice(cells, BLOCK))


def _fitted_table(
    body: list[tuple[str, ...]], titles: tuple[str, ...], right: list[bool], bold: frozenset[int],
    optional: Sequence[str],
) -> None:  # fmt: skip
    """Prints a table on a terminal so that it fits without breaking a word."""
    from rich.console import Console

    console = Console(soft_wrap=False)
    lines = [titles, *body] if titles else body
    kept = fitting_columns(lines, right, console.width, [titles.index(name) for name in optional if name in titles])
    if not kept:
        _print_blocks(body, titles)
        return
    columns = [[row[place] for row in body] for place in kept]
    grid = _rich_table(columns, [titles[place] if titles else "" for place in kept], [right[n] for n in kept], bold)
    console.print(grid)
    if len(kept) < len(right):
        hidden = ", ".join(title for place, title in enumerate(titles) if place not in kept)
        print(f"hidden at this width: {hidden}")


def fitting_columns(
    lines: Sequence[Sequence[str]], right: Sequence[bool], width: int, optional: Sequence[int]
) -> list[int]:
    """The places of the columns that fit a width without breaking a word; empty if even the needed ones do not.

    right     columns that are not wrapped at all
    optional  places that may be left out, the first of them first

    >>> fitting_columns([("NAME", "DIGEST"), ("a model", "0123456789ab")], [False, False], 12, [1])
    [0]
    """
    kept = list(range(len(right)))
    needs = [
        max((len(line[place]) if right[place] else max(map(len, line[place].split()), default=0) for line in lines),
            default=0)
        for place in kept
    ]  # fmt: skip
    waiting = list(optional)
    while kept and sum(needs[place] for place in kept) + 2 * (len(kept) - 1) > width:
        if not waiting:
            return []
        kept.remove(waiting.pop(0))
    return kept


def _print_blocks(body: list[tuple[str, ...]], titles: tuple[str, ...]) -> None:
    """Prints each row as a block: its first field, and under it the others, one a line."""
    for row in body:
        print(row[0])
        for title, field in zip(titles[1:] or [""] * len(row[1:]), row[1:], strict=True):
            if field:
                print(f"  {title.lower()} {field}" if title else f"  {field}")


def _rich_table(columns: list[list[str]], titles: list[str], right: list[bool], bold: frozenset[int]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold", show_header=any(titles))
    for title, cells, to_right in zip(titles, columns, right, strict=True):
        words = max((len(word) for cell in (title, *cells) for word in cell.split()), default=1)
        grid.add_column(
            Text(title), overflow="fold", justify="right" if to_right else "left", no_wrap=to_right, min_width=words
        )
    for number, row in enumerate(zip(*columns, strict=True)):
        grid.add_row(*(Text(field, style="bold" if number in bold else "") for field in row))
    return grid


@functools.cache
def note_once(text: str) -> None:
    """Prints a line to stderr, the same line once a process."""
    print(f"phizoo: {text}", file=sys.stderr)


class _Command:
    """The command that runs in this process, and whether it has said which zoo it speaks to."""

    words: Sequence[str] = ()
    running = stated = False


@contextlib.contextmanager
def one_command(words: Sequence[str]) -> Iterator[None]:
    """While the block runs, the first zoo that is opened is stated. A command inside another is a part of it."""
    outer = _Command.running, _Command.words
    if not _Command.running:
        _Command.running, _Command.stated = True, False
    _Command.words = words
    try:
        yield
    finally:
        _Command.running, _Command.words = outer


def command_line() -> str:
    """The command that runs, as its user would type it: of one inside another the inner one, which repeats its part."""
    return shlex.join(["phizoo", *_Command.words])


def state_zoo(line: str) -> None:
    """Prints to stderr which zoo a command speaks to, once a command, of torchrun's processes the first.

    A library prints nothing, and neither does an empty line.
    """
    if line and _Command.running and not _Command.stated and os.environ.get("RANK", "0") == "0":
        _Command.stated = True
        print(f"phizoo: {plain(line)}", file=sys.stderr)


def report_dry_run(lines: Iterable[str], missing: Sequence[str], outcome: str) -> None:
    """Prints a dry run and what is missing here. Raises CheckFailed (exit code 1) when something is."""
    from zoo.errors import CheckFailed

    print("\n".join((*lines, *(f"missing here: {requirement}" for requirement in missing))))
    if missing:
        noun = "requirement is" if len(missing) == 1 else "requirements are"
        raise CheckFailed(f"{len(missing)} {noun} missing (listed above); {outcome}")


def json_text(value: Any) -> str:
    """A value (records too) as one JSON value: two spaces of indent, letters unescaped, NaN as null."""
    import msgspec

    try:
        data = msgspec.json.encode(value, enc_hook=os.fspath)
    except UnicodeEncodeError:  # half a surrogate pair, from a file's name or a published table
        data = msgspec.json.encode(_encodable(msgspec.to_builtins(value, enc_hook=os.fspath)))
    return msgspec.json.format(data, indent=2).decode()


def _encodable(value: Any) -> Any:
    """Lists, dicts and texts with "?" in place of half a surrogate pair."""
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def emit_json_list(items: Iterable[Any]) -> None:
    """Prints items as `emit_json` prints a list of them, each as soon as it is there."""
    sys.stdout.flush()
    before = b"[]"
    for item in items:
        text = json_text(item).replace("\n", "\n  ")  # a line feed inside a text is escaped
        sys.stdout.buffer.write((b"[" if before == b"[]" else b",") + b"\n  " + text.encode())
        before = b"\n]"
    sys.stdout.buffer.write(before + b"\n")
    sys.stdout.buffer.flush()


def emit_json(value: Any) -> None:
    """Prints a value as one JSON value, as every `--json` does."""
    sys.stdout.flush()
    sys.stdout.buffer.write(json_text(value).encode() + b"\n")
    sys.stdout.buffer.flush()
