"""Uploads a large object to S3 and resumes an interrupted upload: only missing parts are sent.

S3 keeps the parts of an upload that was never completed. We list them, compare each with the md5 of the
same bytes here, and send those that are missing or differ. The object appears, whole, when the upload is
completed.

Source: the S3 API (ListMultipartUploads, ListParts, UploadPart, CompleteMultipartUpload).
"""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from zoo.store.store import Advance, Leftover

PART_BYTES = 64 << 20  # S3 allows 5 MiB to 5 GiB
PARTS = 9_000  # and up to 10,000 of them
AT_ONCE = 4


def upload(fs: Any, source: Path, target: str, advance: Advance) -> None:
    """Uploads a local file to `bucket/key`, except the parts that are already there."""
    bucket, key, _ = fs.split_path(target)
    size = source.stat().st_size
    part_bytes = max(PART_BYTES, -(-size // PARTS))
    where = {"Bucket": bucket, "Key": key}
    where["UploadId"] = _unfinished(fs, bucket, key) or fs.call_s3("create_multipart_upload", **where)["UploadId"]
    present = _present_parts(fs, where)

    def send(number: int) -> dict[str, Any]:
        with source.open("rb") as reading:
            data = os.pread(reading.fileno(), part_bytes, (number - 1) * part_bytes)
        tag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
        if present.get(number) != (tag, len(data)):
            tag = fs.call_s3("upload_part", **where, PartNumber=number, Body=data)["ETag"]
        advance(len(data))
        return {"PartNumber": number, "ETag": tag}

    with ThreadPoolExecutor(AT_ONCE) as threads:
        parts = list(threads.map(send, range(1, -(-size // part_bytes) + 1)))
    fs.call_s3("complete_multipart_upload", **where, MultipartUpload={"Parts": parts})


def _unfinished(fs: Any, bucket: str, key: str) -> str | None:
    """The id of the newest upload of this key that was not completed."""
    answer = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key)
    uploads = [item for item in answer.get("Uploads", []) if item["Key"] == key]
    return str(max(uploads, key=lambda item: item["Initiated"])["UploadId"]) if uploads else None


def unfinished(fs: Any, prefix: str) -> list[Leftover]:
    """Every upload below a path that was not completed, as old as its newest part."""
    bucket, key, _ = fs.split_path(prefix)
    found: list[Leftover] = []
    more: dict[str, str] = {}
    while True:
        answer = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key, **more)
        for item in answer.get("Uploads", []):
            where = {"Bucket": bucket, "Key": item["Key"], "UploadId": item["UploadId"]}
            try:
                parts = list(_parts(fs, where))
            except FileNotFoundError:  # just completed
                continue
            newest = max([item["Initiated"], *(part["LastModified"] for part in parts)]).timestamp()
            name = f"{bucket}/{item['Key']}"
            found.append(Leftover(name, sum(part["Size"] for part in parts), newest, str(item["UploadId"])))
        if not answer.get("IsTruncated"):
            return found
        more = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}


def abort(fs: Any, leftover: Leftover) -> None:
    """Frees an upload that was not completed."""
    bucket, key, _ = fs.split_path(leftover.name)
    fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=leftover.id)


def _present_parts(fs: Any, where: dict[str, Any]) -> dict[int, tuple[str, int]]:
    """number -> (md5 in quotes, size) of the parts that S3 has."""
    return {part["PartNumber"]: (part["ETag"], part["Size"]) for part in _parts(fs, where)}


def _parts(fs: Any, where: dict[str, Any]) -> Iterator[dict[str, Any]]:
    marker = 0
    while True:
        answer = fs.call_s3("list_parts", **where, PartNumberMarker=marker)
        yield from answer.get("Parts", [])
        if not answer.get("IsTruncated"):
            return
        marker = int(answer["NextPartNumberMarker"])
