"""A repository of the Hugging Face hub at one commit, downloaded whole, resumable, checked.

Only files that may enter the zoo are asked for. Each is checked against what the hub says of it:
the sha256 of a large file, the git blob id of a small one. A branch is resolved to its commit once,
and the commit is what is recorded. Nothing but the standard library is used.
"""

import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from zoo.admission import gate
from zoo.digest import CHUNK_BYTES
from zoo.errors import ZooError
from zoo.progress import progress
from zoo.store.store import leaving_room

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
COMMIT = re.compile(r"[0-9a-f]{40}")
TIMEOUT_SECONDS = 60
LISTING_BYTES = 50_000_000


class Remote(NamedTuple):
    """One file of a repository as the hub lists it."""

    path: str
    bytes: int
    sha256: str
    blob: str


class Snapshot(NamedTuple):
    """A repository at one commit."""

    repository: str
    commit: str
    files: tuple[Remote, ...]
    licence: str

    @property
    def source(self) -> str:
        """Where it comes from, as it is recorded."""
        return f"hf://{self.repository}@{self.commit}"


class _NoTokenElsewhere(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and leaves the token at home when they lead to another host."""

    def redirect_request(self, req: Any, *rest: Any) -> Any:
        made = super().redirect_request(req, *rest)
        if (
            made is not None
            and urllib.parse.urlsplit(made.full_url).netloc != urllib.parse.urlsplit(req.full_url).netloc
        ):
            made.headers.pop("Authorization", None)
        return made


def endpoint() -> str:
    """The hub's address: `HF_ENDPOINT`, or the public one."""
    found = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    if urllib.parse.urlsplit(found).scheme not in ("http", "https"):
        raise ZooError(f"HF_ENDPOINT={found}: expected an address that begins with https://")
    return found


def _open(url: str, offset: int = 0) -> Any:
    request = urllib.request.Request(url)  # noqa: S310  (endpoint() lets only http and https through)
    if token := os.environ.get("HF_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    try:
        return urllib.request.build_opener(_NoTokenElsewhere).open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        what = {401: "needs HF_TOKEN, or does not exist", 403: "is not open to this HF_TOKEN", 404: "does not exist"}
        raise ZooError(f"{url}: {what.get(error.code, f'the hub answered {error.code}')}.") from None
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ZooError(
            f"{url}: the hub cannot be reached ({reason}); run the same command again when it can: what came is kept."
        ) from None


def snapshot(repository: str, revision: str | None) -> Snapshot:
    """What a repository holds at a revision (a commit; a branch is resolved to one; None: main).

    Raises ZooError when it does not exist, the hub cannot be reached or answers for another commit
    """
    if not REPOSITORY.fullmatch(repository):
        raise ZooError(f"{repository!r} is no repository of the hub; expected such as microsoft/phi-2.")
    wanted = urllib.parse.quote(revision or "main", safe="")
    url = f"{endpoint()}/api/models/{repository}/revision/{wanted}?blobs=true"
    with _open(url) as answer, _told(url):
        text = answer.read(LISTING_BYTES)
    try:
        told = json.loads(text)
        files = tuple(_listed(one) for one in told.get("siblings", []))
        commit, licence = str(told.get("sha", "")), str((told.get("cardData") or {}).get("license", "") or "unknown")
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise ZooError(f"{url}: the answer is not a listing of the hub's; check HF_ENDPOINT.") from None
    if not COMMIT.fullmatch(commit):
        raise ZooError(f"{repository}: the hub names no commit for {revision or 'main'}; give one with --revision.")
    if revision and COMMIT.fullmatch(revision) and commit != revision:
        raise ZooError(f"{repository}: asked for {revision}, the hub answers for {commit}; nothing was fetched.")
    return Snapshot(repository, commit, files, licence)


def _listed(one: dict[str, Any]) -> Remote:
    large = one.get("lfs") or {}
    return Remote(
        str(one.get("rfilename", "")),
        int(large.get("size") or one.get("size") or 0),
        str(large.get("sha256", "")),
        str(one.get("blobId", "")),
    )


def wanted_files(found: Snapshot) -> list[Remote]:
    """The files of a snapshot that may enter; the rest (code, pickles, pictures) is not downloaded.

    Raises ZooError when there are weights, but none as safetensors
    """
    chosen = []
    for file in found.files:
        try:
            gate.check_path(file.path)
            gate.check_name(file.path, Path(file.path))
            gate.check_bytes(file.path, file.bytes, file.path)
        except ZooError:
            continue
        if "/" not in file.path:  # folders of a repository hold other formats (onnx, original)
            chosen.append(file)
    if not any(file.path.endswith(".safetensors") for file in chosen):
        pickles = [file.path for file in found.files if file.path.endswith((".bin", ".pt", ".pth"))]
        has = f"only a pickle ({pickles[0]}), which can run code when loaded" if pickles else "no weights"
        raise ZooError(f"{found.repository}: has {has}; choose a revision with safetensors: --revision COMMIT")
    return chosen


def download(found: Snapshot, folder: Path) -> Path:
    """The snapshot's files in a folder; what is there whole is left, what is broken off goes on."""
    files = wanted_files(found)
    folder.mkdir(parents=True, exist_ok=True)
    with progress(f"importing {found.repository}", sum(file.bytes for file in files), "bytes") as bar:
        for file in files:
            place = folder / file.path
            if not place.exists():
                _download(found, file, place)
            bar.advance(file.bytes)
    return folder


def _download(found: Snapshot, file: Remote, place: Path) -> None:
    part = place.with_name(f".{place.name}.part")
    url = f"{endpoint()}/{found.repository}/resolve/{found.commit}/{urllib.parse.quote(file.path)}"
    with leaving_room(part), part.open("a+b") as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        if place.exists():  # another process fetched it while this one waited
            part.unlink(missing_ok=True)
            return
        _append(writing, url, file.bytes)
        if os.fstat(writing.fileno()).st_size < file.bytes:
            raise ZooError(f"{url}: broken off; run the same command again: it goes on from there.")
        if not _is_whole(part, file):
            size = part.stat().st_size
            part.unlink()
            raise ZooError(
                f"{url}: the bytes that came ({size:,}) are not those the hub lists ({file.bytes:,}); run it again."
            )
        part.rename(place)


def _append(writing: BinaryIO, url: str, wanted: int) -> None:
    """Fetches what an open file lacks of `wanted` bytes, and makes it durable."""
    offset = writing.seek(0, os.SEEK_END)
    if offset < wanted or not offset:
        with _open(url, offset) as answer, _told(url):
            if offset and answer.status != 206:  # the server sends all of it again
                writing.truncate(0)
            while chunk := answer.read(CHUNK_BYTES):
                writing.write(chunk)
                if writing.tell() > wanted:
                    break
    writing.flush()
    os.fsync(writing.fileno())


@contextlib.contextmanager
def _told(url: str) -> Iterator[None]:
    """Turns what breaks a transfer off into one line; a fault of the local disk passes as it is."""
    try:
        yield
    except (TimeoutError, ConnectionError, http.client.HTTPException, ssl.SSLError) as error:
        raise ZooError(f"{url}: broken off ({error}); run the same command again: it goes on from there.") from None


def _is_whole(path: Path, file: Remote) -> bool:
    """Whether a file is what the hub lists: sha256 of a large file, git blob id of a small one, and the size."""
    if path.stat().st_size != file.bytes:
        return False
    with path.open("rb") as reading:
        if file.sha256:
            return hashlib.file_digest(reading, "sha256").hexdigest() == file.sha256
        sha = hashlib.sha1(b"blob %d\0" % file.bytes, usedforsecurity=False)
        while chunk := reading.read(CHUNK_BYTES):
            sha.update(chunk)
        return not file.blob or sha.hexdigest() == file.blob
