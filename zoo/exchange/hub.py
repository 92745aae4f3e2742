"""Downloads a Hugging Face repository at one commit: resumable, and checked before a file is visible.

Only files that may enter the zoo are requested. Each is checked against the hub's listing: the sha256 of
a large file, the git blob id of a small one. A branch is resolved to its commit once, and the commit is
recorded. `huggingface_hub` is not used: it deletes a partial file when the process or the connection ends,
so an interrupted phi-2 would start its 5 GB again, and it checks sizes only.
"""

import contextlib
import hashlib
import http.client
import os
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from zoo.address import refuse_secrets, same_server, shown
from zoo.admission import gate
from zoo.api_key import read_key
from zoo.digest import CHUNK_BYTES
from zoo.errors import ZooError
from zoo.jsonl import parse_json
from zoo.lock import lock_file
from zoo.progress import progress
from zoo.store.store import leaving_room

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
COMMIT = re.compile(r"[0-9a-f]{40}")
TIMEOUT_SECONDS = 60
LISTING_BYTES = 50_000_000


class HubFile(NamedTuple):
    """One file of a repository as the hub lists it."""

    path: str
    bytes: int
    sha256: str
    blob: str


class Snapshot(NamedTuple):
    """A repository at one commit."""

    repository: str
    commit: str
    files: tuple[HubFile, ...]
    licence: str

    @property
    def source(self) -> str:
        """The address that is recorded as its source."""
        return f"hf://{self.repository}@{self.commit}"


class _NoTokenElsewhere(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and drops the token if they lead to another host."""

    def redirect_request(self, req: Any, *rest: Any) -> Any:
        following = super().redirect_request(req, *rest)
        if following is not None and not same_server(following.full_url, req.full_url):
            following.headers.pop("Authorization", None)
        return following


def endpoint() -> str:
    """The hub's address: `HF_ENDPOINT`, or the public one."""
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise ZooError(f"HF_ENDPOINT={shown(address)}: expected an address that begins with https://")
    refuse_secrets(address, "put the token into HF_TOKEN (HF_ENDPOINT)")
    return address


def _open(url: str, offset: int = 0) -> Any:
    request = urllib.request.Request(url)  # noqa: S310  (endpoint() lets only http and https through)
    if token := read_key("HF_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    try:
        return urllib.request.build_opener(_NoTokenElsewhere).open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        reasons = {401: "needs HF_TOKEN, or does not exist", 403: "is not open to this HF_TOKEN", 404: "does not exist"}
        raise ZooError(f"{url}: {reasons.get(error.code, f'the hub answered {error.code}')}.") from None
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ZooError(
            f"{url}: the hub cannot be reached ({reason}); run the same command again later: it resumes."
        ) from None


def snapshot(repository: str, revision: str | None) -> Snapshot:
    """The files of a repository at a revision (a commit; a branch is resolved to one; None: main).

    Raises ZooError if it does not exist, the hub cannot be reached, or it answers for another commit
    """
    if not REPOSITORY.fullmatch(repository):
        raise ZooError(f"{repository!r} is no folder here and no repository; expected such as microsoft/phi-2.")
    quoted = urllib.parse.quote(revision or "main", safe="")
    url = f"{endpoint()}/api/models/{repository}/revision/{quoted}?blobs=true"
    try:
        opened = _open(url)
    except ZooError as error:
        raise ZooError(f"{repository} is no folder here, and as a repository: {error}") from None
    with opened as answer, _interruptible(url):
        text = answer.read(LISTING_BYTES)
    try:
        listing = parse_json(text)
        files = tuple(_parse_file(item) for item in listing.get("siblings", []))
        commit = str(listing.get("sha", ""))
        licence = str((listing.get("cardData") or {}).get("license", "") or "unknown")
    except (ValueError, TypeError, AttributeError):
        raise ZooError(f"{url}: the answer is not a listing of a repository; check HF_ENDPOINT.") from None
    if not COMMIT.fullmatch(commit):
        raise ZooError(f"{repository}: the hub names no commit for {revision or 'main'}; give one with --revision.")
    if revision and COMMIT.fullmatch(revision) and commit != revision:
        raise ZooError(f"{repository}: asked for {revision}, the hub answers for {commit}; nothing was fetched.")
    return Snapshot(repository, commit, files, licence)


def _parse_file(item: dict[str, Any]) -> HubFile:
    large = item.get("lfs") or {}
    return HubFile(
        str(item.get("rfilename", "")), int(large.get("size") or item.get("size") or 0), str(large.get("sha256", "")),
        str(item.get("blobId", "")),
    )  # fmt: skip


def select_files(source: Snapshot) -> list[HubFile]:
    """The files of a snapshot that may enter; the rest (code, pickles, pictures) is not downloaded.

    Raises ZooError if there are no weights as safetensors
    """
    chosen = []
    left_out = gate.find_left_out([file.path for file in source.files])
    for file in source.files:
        try:
            gate.check_path(file.path)
            gate.check_name(file.path, Path(file.path))
            gate.check_bytes(file.path, file.bytes, file.path)
        except ZooError:
            continue
        # folders of a repository hold other formats (onnx, original)
        if file.path not in left_out and ("/" not in file.path or gate.TEMPLATES.fullmatch(file.path)):
            chosen.append(file)
    if not any(file.path.endswith(".safetensors") for file in chosen):
        pickles = [file.path for file in source.files if file.path.endswith((".bin", ".pt", ".pth"))]
        has = f"only a pickle ({pickles[0]}), which can run code when loaded" if pickles else "no weights"
        if any(file.path.endswith(".gguf") for file in source.files):
            has = "only GGUF files, which come in one by one (fetch one, then phizoo models add FILE.gguf --name NAME)"
        raise ZooError(f"{source.repository}: has {has}; choose a revision with safetensors: --revision COMMIT")
    return chosen


def download(source: Snapshot, folder: Path) -> Path:
    """Downloads the snapshot's files into a folder; complete files are kept, partial ones resumed."""
    files = select_files(source)
    folder.mkdir(parents=True, exist_ok=True)
    with progress(f"importing {source.repository}", sum(file.bytes for file in files), "bytes") as bar:
        for file in files:
            if not (folder / file.path).exists():
                _download(source, file, folder / file.path)
            bar.advance(file.bytes)
    return folder


def _download(source: Snapshot, file: HubFile, target: Path) -> None:
    part = target.with_name(f".{target.name}.part")
    url = f"{endpoint()}/{source.repository}/resolve/{source.commit}/{urllib.parse.quote(file.path)}"
    with leaving_room(part), part.open("a+b") as writing:
        lock_file(writing)
        if target.exists():  # another process downloaded it while this one waited
            part.unlink(missing_ok=True)
            return
        _append(writing, url, file.bytes)
        if os.fstat(writing.fileno()).st_size < file.bytes:
            raise ZooError(f"{url}: broken off; run the same command again to resume.")
        if not _is_whole(part, file):
            size = part.stat().st_size
            part.unlink()
            raise ZooError(
                f"{url}: the {size:,} bytes received are not those the hub lists ({file.bytes:,}); run it again."
            )
        part.rename(target)


def _append(writing: BinaryIO, url: str, size: int) -> None:
    """Downloads the rest of an open file of `size` bytes, and flushes it to disk."""
    offset = writing.seek(0, os.SEEK_END)
    if offset < size or not offset:
        with _open(url, offset) as answer, _interruptible(url):
            if offset and answer.status != 206:  # the server sends all of it again
                writing.truncate(0)
            while chunk := answer.read(CHUNK_BYTES):
                writing.write(chunk)
                if writing.tell() > size:
                    break
    writing.flush()
    os.fsync(writing.fileno())


@contextlib.contextmanager
def _interruptible(url: str) -> Iterator[None]:
    """Turns an interrupted transfer into a ZooError; errors of the local disk pass unchanged."""
    try:
        yield
    except (TimeoutError, ConnectionError, http.client.HTTPException, ssl.SSLError) as error:
        raise ZooError(f"{url}: broken off ({error}); run the same command again to resume.") from None


def _is_whole(path: Path, file: HubFile) -> bool:
    """Whether a file matches the hub's listing: its size, and its sha256 (large) or git blob id (small)."""
    if path.stat().st_size != file.bytes:
        return False
    with path.open("rb") as reading:
        if file.sha256:
            return hashlib.file_digest(reading, "sha256").hexdigest() == file.sha256
        sha = hashlib.sha1(b"blob %d\0" % file.bytes, usedforsecurity=False)
        while chunk := reading.read(CHUNK_BYTES):
            sha.update(chunk)
        return not file.blob or sha.hexdigest() == file.blob
