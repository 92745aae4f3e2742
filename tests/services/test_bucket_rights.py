"""The rights on a bucket that docs/team.md gives to a reader, a writer and an owner are those that the commands use."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from tests.services.servers import Team
from zoo.cli import root
from zoo.store import multipart

DOCS = Path(__file__).parents[2] / "docs"
# what an S3 server asks for each call
ACTION = {
    "HeadBucket": "s3:ListBucket", "ListObjectsV2": "s3:ListBucket", "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "GetObject": "s3:GetObject", "HeadObject": "s3:GetObject", "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject", "UploadPart": "s3:PutObject", "CompleteMultipartUpload": "s3:PutObject",
    "ListParts": "s3:ListMultipartUploadParts", "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CopyObject": "s3:PutObject", "DeleteObject": "s3:DeleteObject", "DeleteObjects": "s3:DeleteObject",
}  # fmt: skip


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The actions of the S3 calls that this process makes."""
    from aiobotocore.client import AioBaseClient

    seen: set[str] = set()
    call: Callable[..., Any] = AioBaseClient._make_api_call

    async def recorded(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
        seen.add(ACTION[operation])
        return await call(self, operation, parameters)

    monkeypatch.setattr(AioBaseClient, "_make_api_call", recorded)
    return seen


READING = (
    "models list", "models show one", "models path one", "models verify", "models card one", "models export one {out}",
    "leaderboard --print", "eval ranks copa", "eval show {run}", "doctor",
    "models pull --list {exchange}",
)  # fmt: skip
WRITING = (
    "models upgrade", "models add {phi} --name one", "models add {big} --name big", "models add {tiny} --name tiny",
    "eval run tiny --task copa --device cpu", "models alias one best", "models pull one {exchange}",
)  # fmt: skip
OWNING = (
    "models gc --dry-run",
    "models verify --repair",
    "models remove big",
    "models gc --yes --grace 0",
    "models adopt --yes",
)


def allowed(role: str) -> set[str]:
    """The actions that the page's policy gives a role."""
    policy = json.loads((DOCS / "team" / "policy.json").read_text())
    return {action for statement in policy[role] for action in statement["Action"]}


@pytest.mark.slow
def test_each_command_uses_the_rights_of_its_role_and_no_right_is_idle(
    team: Team, calls: set[str], tmp_path: Path, made: SimpleNamespace, tiny_phi: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(multipart, "PART_BYTES", 5 << 20)
    exchange = team.store.replace("/team", "/exchange")
    names = {"phi": made.phi(tmp_path / "phi", 1), "big": made.phi(tmp_path / "big", 2, vocab_size=160_000)}
    names |= {"tiny": tiny_phi, "out": tmp_path / "out", "exchange": exchange, "run": ""}

    def typed(lines: tuple[str, ...]) -> set[str]:
        used: set[str] = set()
        for line in lines:
            calls.clear()
            words = line.format(**names).split()
            assert root.run(words) in (0, 1 if "repair" in line or line == "doctor" else 0), (line, capsys.readouterr())
            used |= calls
            if line.startswith("models add {phi}"):
                calls.clear()
                assert root.run(["models", "push", "one", exchange]) == 0
                assert calls <= allowed("writer") | {"s3:DeleteObject"}  # of its pin in the exchange
        return used

    written = typed(WRITING)
    capsys.readouterr()
    assert root.run(["eval", "runs", "--json"]) == 0
    names["run"] = json.loads(capsys.readouterr().out)[0]["run"]
    for folder in (tmp_path / "home").glob("cache/*"):  # a new machine of a reader: nothing is there yet
        shutil.rmtree(folder)
    read = typed(READING)
    client, bucket, key = boto3.client("s3"), team.store.split("/")[2], "team/objects/ab/" + "ab" * 32
    client.create_multipart_upload(Bucket=bucket, Key=key)  # a killed writer's
    damaged = next(
        found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"] if found["Size"] > 5 << 20
    )
    client.put_object(Bucket=bucket, Key=damaged, Body=b"other bytes")
    owned = typed(OWNING)
    assert read == allowed("reader")
    assert read | written == allowed("writer")
    assert read | written | owned == allowed("owner")


def test_the_table_of_the_page_is_the_policy() -> None:
    page = (DOCS / "team.md").read_text()
    for role in ("reader", "writer", "owner"):
        (row,) = re.findall(rf"^\| {role} \| `.*$", page, re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", row)) == {action.removeprefix("s3:") for action in allowed(role)}
