"""The fsspec file system of an address, its time limits, and its errors as one line with the next step.

Every request has a limit and is tried a bounded number of times, so a server that accepts and never answers ends
in a line. What S3 refuses is told by its own code: an expired token, a clock, a right that is lacking.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from typing import Any

from zoo.address import refuse_secrets, shown
from zoo.digest import CHUNK_BYTES
from zoo.errors import UnreachableError, ZooError
from zoo.visible import plain

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 10, 60, 3
FIRST_SECONDS = 30  # for the first small request of a command
BLOCK_BYTES = 8 << 20
S3 = ("s3", "s3a")
REMOTE = ("s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "http", "https", "file", "memory", "hf", "sftp", "ssh", "ftp")
LIBRARIES = ("botocore", "aiobotocore", "aiohttp", "gcsfs", "asyncio", "fsspec", "google")
CHECK = "check the address, its permissions and the credentials."

# what S3 calls an error -> the problem and the next step
REFUSALS = {
    "ExpiredToken": "the session token has expired; get a new one (aws sso login, or a new AWS_SESSION_TOKEN), "
    "then run the same command again.",
    "RequestTimeTooSkewed": "this machine's clock differs too much from the server's; set it right "
    "(timedatectl set-ntp true), then run the same command again.",
    "NoSuchBucket": "there is no such bucket; check its name and AWS_ENDPOINT_URL, or make it: aws s3 mb s3://NAME",
    "InvalidAccessKeyId": "the server does not know this access key; check AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL.",
    "SignatureDoesNotMatch": "the secret key is not that of the access key; check AWS_SECRET_ACCESS_KEY.",
    "PermanentRedirect": "the bucket is in another region; set AWS_DEFAULT_REGION to it.",
    "NoCredentialsError": "no credentials are set; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.",
    "SlowDown": "the server asks for fewer requests; run the same command again in a minute.",
}
SAME_REFUSALS = {
    "ExpiredTokenException": "ExpiredToken", "TokenRefreshRequired": "ExpiredToken", "InvalidToken": "ExpiredToken",
    "RequestExpired": "RequestTimeTooSkewed", "AuthorizationHeaderMalformed": "PermanentRedirect",
    "IllegalLocationConstraintException": "PermanentRedirect", "301": "PermanentRedirect",
    "PartialCredentialsError": "NoCredentialsError", "ServiceUnavailable": "SlowDown", "503": "SlowDown",
}  # fmt: skip
DENIED = ("AccessDenied", "AllAccessDisabled", "AccountProblem", "403", "Forbidden")
# the operation that was refused -> the right that it needs
RIGHTS = {
    "HeadObject": "s3:GetObject", "GetObject": "s3:GetObject", "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject", "UploadPart": "s3:PutObject", "CompleteMultipartUpload": "s3:PutObject",
    "ListObjectsV2": "s3:ListBucket", "HeadBucket": "s3:ListBucket", "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject", "ListParts": "s3:ListMultipartUploadParts",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads", "AbortMultipartUpload": "s3:AbortMultipartUpload",
}  # fmt: skip


def check_address(url: str) -> str:
    """The address, if it is a path or has the form scheme://place. Raises ZooError for a slip of either.

    >>> check_address("/srv/a:b"), check_address("s3://bucket/x")
    ('/srv/a:b', 's3://bucket/x')
    """
    if url.startswith(("/", "./", "../", "~")):
        return url
    scheme, separator, rest = url.partition("://")
    if separator:
        if scheme.lower() in S3 and not rest.split("/")[0]:
            raise ZooError(f"{shown(url)!r:.100} names no bucket; expected s3://bucket/folder.")
        return url
    word = re.match(r"[A-Za-z][\w+.-]*", url)
    rest = url[word.end() :] if word else ""
    if rest.startswith(":") or (rest.startswith("//") and word and word[0].lower() in REMOTE):
        raise ZooError(
            f"{shown(url)!r:.100} is no address; expected two slashes after the colon, such as s3://bucket/folder, "
            "or a path that begins with / or ./"
        )
    return url


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL and the path on it. Raises ZooError naming the missing package."""
    import fsspec

    refuse_secrets(check_address(url), "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile, instead.")
    scheme = url.split("://", 1)[0]
    try:
        fs = fsspec.filesystem(scheme, **_options(scheme))
    except ImportError as error:
        remedy = "pip install 'phi-zoo[s3]'" if scheme in S3 else str(error)
        raise ZooError(f"{url}: {scheme} needs another package: {remedy}") from error
    except ValueError:
        raise ZooError(f"{url}: unknown kind of address; expected a folder or s3://bucket/folder.") from None
    if scheme in S3:
        fs.retries = 1  # the client below tries again by itself; s3fs would multiply its waits
    return fs, fs._strip_protocol(url.rstrip("/"))


def _options(scheme: str) -> dict[str, Any]:
    if scheme == "memory":
        return {}
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if scheme in ("http", "https"):
        options["block_size"] = 0  # read from the beginning to the end: many servers give no ranges
    if scheme in S3:
        limits: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}
        if "AWS_MAX_ATTEMPTS" not in os.environ:
            limits["retries"] = {"mode": "standard", "total_max_attempts": ATTEMPTS}
        options["config_kwargs"] = limits
    return options


def is_s3(fs: Any) -> bool:
    """Whether a file system is fsspec's S3."""
    return "s3" in (fs.protocol if isinstance(fs.protocol, list | tuple) else (fs.protocol,))


def read_small(fs: Any, path: str, most: int) -> bytes | None:
    """The first bytes of a small file, None if it is absent. Bounded: the first request of most commands."""
    from fsspec.asyn import AsyncFileSystem, sync

    try:
        if isinstance(fs, AsyncFileSystem):
            return bytes(sync(fs.loop, fs._cat_file, path, start=0, end=most, timeout=FIRST_SECONDS))
        return bytes(fs.cat_file(path, start=0, end=most))
    except FileNotFoundError as error:
        if error_code(error) == "NoSuchBucket":
            raise
        return None
    except OSError as error:
        if error_code(error) in ("InvalidRange", "416"):
            return b""  # an empty file
        raise


def write_small(fs: Any, path: str, data: bytes, first: bool = False) -> bool:
    """Writes a small file whole; False, and nothing is written, if it should be the first and is not."""
    fs.makedirs(path.rpartition("/")[0], exist_ok=True) if "file" in fs.protocol else None
    try:
        fs.pipe_file(path, data, mode="create" if first else "overwrite")
        return True
    except FileExistsError:
        return False
    except OSError as error:
        if first and error_code(error) in ("PreconditionFailed", "412", "ConditionalRequestConflict", "409"):
            return False
        if not first or error_code(error) not in ("NotImplemented", "501"):
            raise
    if fs.exists(path):  # an older server that has no conditional writes
        return False
    fs.pipe_file(path, data)
    return True


def stream(fs: Any, path: str, offset: int) -> Iterator[bytes]:
    """The bytes of a file from an offset on, in chunks; S3 sends them as the answer to one request."""
    if not is_s3(fs):
        with fs.open(path, "rb", block_size=BLOCK_BYTES) as reading:
            reading.seek(offset)
            while chunk := reading.read(CHUNK_BYTES):
                yield chunk
        return
    from fsspec.asyn import sync

    bucket, key, _ = fs.split_path(path)
    try:
        body = fs.call_s3("get_object", Bucket=bucket, Key=key, Range=f"bytes={offset}-")["Body"]
    except OSError as error:
        if error_code(error) == "InvalidRange" or (error.errno == errno.EINVAL and "range" in str(error)):
            return  # the object ends before the offset, as one that was damaged does
        raise
    try:
        while chunk := sync(fs.loop, body.read, CHUNK_BYTES):
            yield chunk
    finally:
        body.close()


@contextlib.contextmanager
def translate_faults(url: str, fs: Any = None) -> Iterator[None]:
    """Turns the errors of a remote store into a ZooError. Errors of the local disk pass unchanged.

    fs  asked once more what is refused, where a refusal says nothing (an answer to HEAD has no text)
    """
    try:
        yield
    except ZooError:
        raise
    except Exception as error:
        if not _is_remote(error):
            raise
        raise _translated(error, url, fs) from error


def _is_remote(error: Exception) -> bool:
    """Whether an error is of a remote store: of a library, or an OSError of none of this machine's files."""
    if type(error).__module__.split(".")[0] in LIBRARIES or error_code(error):
        return True
    return isinstance(error, OSError) and not (error.errno in (28, 122) or error.filename)  # the local disk is full


def _translated(error: Exception, url: str, fs: Any) -> ZooError:
    code, place = error_code(error), shown(url)
    if code in DENIED:
        return ZooError(f"{place}: {_denied(error, url, fs)}")
    known = REFUSALS.get(SAME_REFUSALS.get(code, code)) or REFUSALS.get(
        SAME_REFUSALS.get(type(error).__name__, type(error).__name__)
    )
    if known:
        return ZooError(f"{place}: {known}")
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return UnreachableError(
            f"{place}: the server accepted and did not answer in time; {CHECK} Then run the same command again."
        )
    line = plain((str(error) or type(error).__name__).splitlines()[0][:200])
    kind = ZooError if code else UnreachableError
    return kind(f"{place}: {line}; {CHECK}")


def error_code(error: BaseException | None) -> str:
    """What S3 calls an error, "" if it is none of S3's; looks through the errors that it was turned into."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""


def _operation(error: BaseException | None) -> str:
    while error is not None:
        if name := getattr(error, "operation_name", ""):
            return str(name)
        error = error.__cause__
    return ""


def _denied(error: Exception, url: str, fs: Any) -> str:
    """The right that is lacking. A refused HEAD, or GET of an absent object, says less than a second request."""
    operation = _operation(error)
    right = RIGHTS.get(operation, "")
    if fs is None or not is_s3(fs) or right not in ("s3:GetObject", "s3:ListBucket"):
        lacking = f"the right {right}" if right else f"a right ({operation or 'refused'})"
        return f"these credentials lack {lacking} there; ask the owner of the bucket for it."
    bucket, prefix, _ = fs.split_path(fs._strip_protocol(url.rstrip("/")))
    listed = _probe(fs, "list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
    known = REFUSALS.get(SAME_REFUSALS.get(listed, listed))
    if known:
        return known
    if not listed:
        return "these credentials may list but not read (s3:GetObject is lacking); ask the owner of the bucket for it."
    read = _probe(fs, "get_object", Bucket=bucket, Key=f"{prefix}/zoo.json".lstrip("/"))
    if not read:
        return "these credentials may read but not list (s3:ListBucket is lacking); ask the owner of the bucket for it."
    return (
        "these credentials have no right there (AccessDenied: neither s3:ListBucket nor s3:GetObject); "
        "check AWS_PROFILE and the address, or ask the owner of the bucket."
    )


def _probe(fs: Any, method: str, **arguments: Any) -> str:
    """The code with which S3 refuses a request, "" if it answers."""
    try:
        fs.call_s3(method, **arguments)
    except FileNotFoundError as error:
        return error_code(error) if error_code(error) == "NoSuchBucket" else ""
    except Exception as error:
        return error_code(error) or type(error).__name__
    return ""
