"""An upload of a large object to S3 that goes on where a broken one ended: only parts that are missing move.

S3 keeps the parts of an upload that was never completed. They are listed, each is held against the
md5 of the same bytes here, and what is missing or differs is sent. The object appears when the upload is
completed, whole.

Source: the S3 API (ListMultipartUploads, ListParts, UploadPart, CompleteMultipartUpload).
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PART_BYTES = 64 << 20  # S3 takes 5 MiB to 5 GiB
PARTS = 9_000  # and up to 10,000 of them
AT_ONCE = 4


def upload(fs: Any, source: Path, place: str) -> None:
    """Sends a local file to a place in a bucket (`bucket/key`), as far as it is not there already."""
    bucket, key, _ = fs.split_path(place)
    size = source.stat().st_size
    part_bytes = max(PART_BYTES, -(-size // PARTS))
    where = {"Bucket": bucket, "Key": key}
    where["UploadId"] = _begun(fs, bucket, key) or fs.call_s3("create_multipart_upload", **where)["UploadId"]
    held = _held(fs, where)

    def send(number: int) -> dict[str, Any]:
        with source.open("rb") as reading:
            data = os.pread(reading.fileno(), part_bytes, (number - 1) * part_bytes)
        tag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
        if held.get(number) != (tag, len(data)):
            tag = fs.call_s3("upload_part", **where, PartNumber=number, Body=data)["ETag"]
        return {"PartNumber": number, "ETag": tag}

    with ThreadPoolExecutor(AT_ONCE) as threads:
        parts = list(threads.map(send, range(1, -(-size // part_bytes) + 1)))
    fs.call_s3("complete_multipart_upload", **where, MultipartUpload={"Parts": parts})


def _begun(fs: Any, bucket: str, key: str) -> str | None:
    """The newest upload of this key that was begun and not completed."""
    told = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key)
    found = [one for one in told.get("Uploads", []) if one["Key"] == key]
    return str(max(found, key=lambda one: one["Initiated"])["UploadId"]) if found else None


def _held(fs: Any, where: dict[str, Any]) -> dict[int, tuple[str, int]]:
    """number -> (md5 in quotes, size) of the parts that are there."""
    found: dict[int, tuple[str, int]] = {}
    marker = 0
    while True:
        told = fs.call_s3("list_parts", **where, PartNumberMarker=marker)
        found.update({one["PartNumber"]: (one["ETag"], one["Size"]) for one in told.get("Parts", [])})
        if not told.get("IsTruncated"):
            return found
        marker = int(told["NextPartNumberMarker"])
