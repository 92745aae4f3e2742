"""Uploads a large object to S3 and resumes an interrupted upload: only missing parts are sent.

S3 keeps the parts of an upload that was never completed. We list them, compare each with the md5 of the
same bytes here, and send those that are missing or differ. The object appears, whole, when the upload is
completed.

Source: the S3 API (ListMultipartUploads, ListParts, UploadPart, CompleteMultipartUpload).
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PART_BYTES = 64 << 20  # S3 allows 5 MiB to 5 GiB
PARTS = 9_000  # and up to 10,000 of them
AT_ONCE = 4


def upload(fs: Any, source: Path, target: str) -> None:
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
        return {"PartNumber": number, "ETag": tag}

    with ThreadPoolExecutor(AT_ONCE) as threads:
        parts = list(threads.map(send, range(1, -(-size // part_bytes) + 1)))
    fs.call_s3("complete_multipart_upload", **where, MultipartUpload={"Parts": parts})


def _unfinished(fs: Any, bucket: str, key: str) -> str | None:
    """The id of the newest upload of this key that was not completed."""
    answer = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key)
    uploads = [item for item in answer.get("Uploads", []) if item["Key"] == key]
    return str(max(uploads, key=lambda item: item["Initiated"])["UploadId"]) if uploads else None


def _present_parts(fs: Any, where: dict[str, Any]) -> dict[int, tuple[str, int]]:
    """number -> (md5 in quotes, size) of the parts that S3 has."""
    parts: dict[int, tuple[str, int]] = {}
    marker = 0
    while True:
        answer = fs.call_s3("list_parts", **where, PartNumberMarker=marker)
        parts.update({part["PartNumber"]: (part["ETag"], part["Size"]) for part in answer.get("Parts", [])})
        if not answer.get("IsTruncated"):
            return parts
        marker = int(answer["NextPartNumberMarker"])
