"""Reads JSON lines, Parquet and datasets of the Hugging Face Hub in blocks that fit in memory.

A block is 8 MB of lines, a Parquet row group, or a part of one. Only the bytes of a block are read (fsspec and byte
ranges), so a dataset on the Hub is streamed; a gzip file, which has no random access, is unpacked to disk first.
A part that cannot be read is counted in place of its rows. This file does not judge texts.
"""

import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from training.data.gather import rules
from training.data.gather.rules import CutFile, SourceFile
from zoo import gz
from zoo.api_key import read_key
from zoo.errors import ZooError
from zoo.exchange.hub import endpoint
from zoo.records import Record

BLOCK_BYTES = 8_000_000
LINE_BYTES = 24_000_000  # a text of rules.TEXT_BYTES, and half as much again for escapes and other fields
READ_BYTES = 1 << 20
GROUP_BYTES = 64_000_000  # of a row group that is read at once; larger groups are read in parts
BATCH_ROWS = 500
GROUP_ROWS = 20_000
UNPACKED_TIMES = 200  # gzip packs code to a quarter; a real text never to a two-hundredth
UNPACKED_BYTES = 64_000_000  # any file may unpack to this size
COLUMNS = ("content", "code", "text")  # the first of these that exists is read, unless --column names another
PROJECTS = ("project", "repo_name", "max_stars_repo_name", "repository", "url")
LICENCES = ("licence", "license", "max_stars_repo_licenses")
CODE = frozenset(("content", "code"))
ROWS = (".jsonl", ".jsonl.gz", ".json.gz", ".parquet")
PROSE = (".md", ".txt", ".rst")

Form = Literal["python", "text", ""]


class Block(Record, frozen=True):
    """A part of a file of rows: the bytes from start to end (0: the file's end), or rows of a row group.

    path     the path or address for fsspec
    name     the name in documents: the path inside its root
    form     how rows are treated: cut as Python, or as text; "" decides by the column
    refused  why it is not read, or ""; a refused block counts as one lost row
    """

    path: str
    name: str
    start: int = 0
    end: int = 0
    group: int = -1
    rows: int = 1
    column: str = ""
    form: Form = ""
    refused: str = ""


def plan_blocks(path: str, name: str, column: str, form: Form) -> list[Block]:
    """The blocks of one file of rows; a file that cannot be opened becomes one refused block."""
    whole = Block(path=path, name=name, column=column, form=form)
    if "://" not in path and (reason := why_unfit(Path(path))):
        return [msgspec.structs.replace(whole, refused=reason)]
    if path.endswith(".parquet"):
        return _row_groups(whole)
    if is_packed(whole):
        return [whole]
    size = _size(path)
    starts = range(0, max(size, 1), BLOCK_BYTES)
    return [msgspec.structs.replace(whole, start=start, end=min(size, start + BLOCK_BYTES)) for start in starts]


def _size(path: str) -> int:
    import fsspec

    system, inside = fsspec.core.url_to_fs(path)
    return int(system.size(inside) or 0)


def why_unfit(path: Path) -> str:
    """Why a path must not be opened, or "": a pipe would block, and a device has no end."""
    try:
        return "" if stat.S_ISREG(path.stat().st_mode) else rules.NOT_A_FILE
    except (OSError, ValueError):
        return rules.UNREADABLE


def is_packed(block: Block) -> bool:
    """Whether a block must be unpacked before it is read."""
    return not block.refused and block.path.endswith(".gz")


def unpack(block: Block, path: Path) -> list[Block]:
    """Unpacks a gzip file to `path` and returns its blocks; a broken file gives its whole lines and a refused block."""
    import gzip

    import fsspec

    size = _size(block.path)
    most = max(UNPACKED_BYTES, UNPACKED_TIMES * size) if size else sys.maxsize  # some servers do not report a size
    done = whole = 0  # bytes unpacked, and those of them in whole lines
    fault = ""
    with path.open("wb") as out:
        try:
            with fsspec.open(block.path, "rb") as packed_, gzip.GzipFile(fileobj=packed_) as file:
                # for a truncated file, read1 returns the whole part before it raises; ISA-L's does not
                while data := file.read1(READ_BYTES):
                    whole = done + data.rfind(b"\n") + 1 if b"\n" in data else whole
                    done += len(data)
                    if done > most:
                        fault = rules.ENDLESS
                        break
                    out.write(data)
        except gz.read_errors():
            fault = rules.UNREADABLE
        except OSError as error:
            if error.errno is not None:  # a full disk is not the file's fault
                raise
            fault = rules.UNREADABLE
    if fault:
        os.truncate(path, whole := 0 if fault == rules.ENDLESS else whole)
    blocks = plan_blocks(str(path), block.name, block.column, block.form) if path.stat().st_size else []
    return [*blocks, msgspec.structs.replace(block, start=whole, refused=fault)] if fault else blocks


def _row_groups(whole: Block) -> list[Block]:
    import fsspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    blocks = []
    try:
        with fsspec.open(whole.path, "rb") as file:
            metadata = pq.ParquetFile(file).metadata
            for number in range(metadata.num_row_groups):
                group = metadata.row_group(number)
                rows, size = group.num_rows, group.total_byte_size
                each = min(GROUP_ROWS, rows if size <= GROUP_BYTES else rows * GROUP_BYTES // size)
                each = max(1, each // BATCH_ROWS) * BATCH_ROWS
                for start in range(0, max(1, rows), each):
                    part = min(rows, start + each) - start
                    blocks.append(msgspec.structs.replace(whole, group=number, start=start, rows=part))
    except (pa.ArrowException, OSError, ValueError):
        return [whole]  # cut_block meets the same error and counts it
    return blocks


def cut_block(block: Block) -> Iterator[tuple[CutFile, str]]:
    """Cuts each row of a block and yields its text too ("" if it is refused); a broken part is one refused row."""
    rows = iter([(str(block.start), block.refused, dict[str, Any]())]) if block.refused else _rows(block)
    for done, (place, reason, row) in enumerate(rows):
        origin = SourceFile(
            path=block.path, relative=f"{block.name}#{place}", project=_first_text(row, PROJECTS) or block.name,
            licence=_first_text(row, LICENCES) or "unknown", bytes=0,
        )  # fmt: skip
        yield _cut_row(origin, reason, row, block, max(1, block.rows - done))


def _rows(block: Block) -> Iterator[tuple[str, str, dict[str, Any]]]:
    return _parquet(block) if block.path.endswith(".parquet") else _json_lines(block)


def _cut_row(origin: SourceFile, reason: str, row: dict[str, Any], block: Block, left: int) -> tuple[CutFile, str]:
    column = block.column or next((name for name in COLUMNS if name in row), "")
    value = row.get(column)
    if not reason and not isinstance(value, str | bytes):
        reason = rules.NO_TEXT
    if reason:
        return CutFile(origin=origin, sha256="", reason=reason, rows=left if reason in rules.BROKEN else 1), ""
    data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
    origin = msgspec.structs.replace(origin, bytes=len(data))
    python = block.form == "python" or (not block.form and column in CODE)
    cut = rules.cut_file(origin, data) if python else rules.cut_prose(origin, data)
    return cut, "" if cut.reason else rules.plain_text(data)


def _first_text(row: dict[str, Any], names: Sequence[str]) -> str:
    """The first of these columns that is not empty, as text without lone surrogates."""
    for name in names:
        value = row.get(name)
        if isinstance(value, list) and value:
            value = ", ".join(str(item) for item in value)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "backslashreplace")
        if isinstance(value, str) and value.strip():
            return rules.printable_name(value.strip())[:200]
    return ""


def _json_lines(block: Block) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(position, reason, row) of each line that begins in the block; a position is a byte offset."""
    try:
        for offset, line in _lines(block):
            if line is None:
                yield str(offset), rules.TOO_BIG, {}
                continue
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line)
            except msgspec.DecodeError as error:
                bad = "surrogate" in str(error).lower() or b"\\ud" in line.lower()
                yield str(offset), rules.SURROGATES if bad and _is_json(line) else rules.NOT_JSON, {}
                continue
            except (ValueError, RecursionError):  # bytes that are not UTF-8, or deeply nested brackets
                yield str(offset), rules.NOT_UTF8 if not _is_utf8(line) else rules.NOT_JSON, {}
                continue
            yield str(offset), "" if isinstance(row, dict) else rules.NOT_JSON, row if isinstance(row, dict) else {}
    except OSError:
        yield f"{block.start}-{block.end}", rules.UNREADABLE, {}


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_json(line: bytes) -> bool:
    """Whether the standard library, which accepts lone surrogates, can parse the line."""
    import json

    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _lines(block: Block) -> Iterator[tuple[int, bytes | None]]:
    """Offset and bytes of each line that begins in the block; None for a line over LINE_BYTES, which is skipped."""
    import fsspec

    with fsspec.open(block.path, "rb") as file:
        offset, pending, skipping = block.start, bytearray(), False
        if block.start:
            file.seek(block.start - 1)
            offset, skipping = block.start - 1, True  # the line that runs into this block belongs to the previous one
        begin, too_long = offset, False
        while True:
            data = file.read(READ_BYTES)
            for part in data.splitlines(keepends=True) if b"\r" not in data else re.findall(rb"[^\n]*\n|[^\n]+", data):
                ended = part.endswith(b"\n")
                offset += len(part)
                if not skipping and not too_long:
                    pending += part
                    too_long = len(pending) > LINE_BYTES
                if too_long:
                    pending.clear()
                if not ended:
                    continue
                if not skipping:
                    yield begin, None if too_long else bytes(pending)
                pending.clear()
                begin, skipping, too_long = offset, False, False
                if block.end and begin >= block.end:
                    return
            if not data:
                break
        if (pending or too_long) and not skipping:
            yield begin, None if too_long else bytes(pending)


def _parquet(block: Block) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(position, reason, row) of each row of a block of a row group; a position is group and row."""
    import fsspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    done, end = 0, block.start + block.rows
    try:
        with fsspec.open(block.path, "rb") as raw:
            file = pq.ParquetFile(raw)
            if block.group < 0 and file.metadata.num_row_groups:
                raise OSError("could not be opened when it was planned")
            wanted = {*([block.column] if block.column else COLUMNS), *PROJECTS, *LICENCES}
            names = [name for name in file.schema_arrow.names if name in wanted]
            groups = [block.group] if block.group >= 0 else []
            for batch in file.iter_batches(BATCH_ROWS, row_groups=groups, columns=names):
                if done >= block.start:
                    columns = {name: _values(batch.column(name)) for name in names}
                    for row in range(min(batch.num_rows, end - done)):
                        yield f"{block.group}-{done + row}", "", {name: values[row] for name, values in columns.items()}
                done += batch.num_rows
                if done >= end:
                    break
    except (pa.ArrowException, OSError, ValueError):
        broken = rules.BROKEN_GROUP if block.group >= 0 else rules.UNREADABLE
        yield f"{max(block.group, 0)}-{max(done, block.start)}", broken, {}


def _values(column: Any) -> list[Any]:
    """A column's values; text as bytes, because a damaged page may not be UTF-8."""
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        large = pa.types.is_large_string(column.type)
        column = column.view(pa.large_binary() if large else pa.binary())
    values: list[Any] = column.to_pylist()
    return values


def hub_files(wanted: str, split: str) -> tuple[list[tuple[str, str]], str]:
    """The addresses and names of the data files of `NAME@REVISION`, and the commit that pins them."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    name, _, revision = wanted.partition("@")
    endpoint()  # refuses an address that holds a password
    read_key("HF_TOKEN")
    try:
        info = HfApi().dataset_info(name, revision=revision or None)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise ZooError(f'no dataset "{name}" with revision "{revision or "main"}" on the hub') from None
    except Exception as error:
        faults = (HfHubHTTPError, OSError, ValueError)
        if not isinstance(error, faults) and not type(error).__module__.startswith("httpx"):
            raise  # the client of the hub: requests, whose errors are OSErrors, httpx or httpx2
        reason = str(error)[:100]
        raise ZooError(f"the hub cannot be reached for {name} ({reason}); HF_ENDPOINT names another") from None
    files = sorted(file.rfilename for file in info.siblings or () if file.rfilename.endswith(ROWS))
    chosen = [file for file in files if not split or re.search(rf"(^|[/_.-]){re.escape(split)}([/_.-])", file)]
    if not chosen:
        raise ZooError(
            f"{name} has no {'/'.join(ROWS)} file" + (f' of split "{split}"' if split else "")
            + (f"; it has {', '.join(files[:5])}" if files else "")
        )  # fmt: skip
    return [(f"hf://datasets/{name}@{info.sha}/{file}", file) for file in chosen], str(info.sha)


def is_rows(path: Path) -> bool:
    """Whether a file's name is that of a file of rows."""
    return path.name.endswith(ROWS)
