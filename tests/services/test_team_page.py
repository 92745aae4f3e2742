"""docs/team.md, typed word for word: each block by the person that its first line names, each with a home of their own."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
import yaml

from tests.services.servers import PostgresServer, TeamDatabase, running_postgres

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "team.md"
BLOCK = re.compile(r"^```sh\n# (\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SYNC = """#!{python}
# `aws s3 sync SOURCE TARGET`, without the command line of Amazon
import sys, boto3
assert sys.argv[1:4] == ["s3", "sync", "--only-show-errors"], sys.argv
(source, before), (target, after) = (address.removeprefix("s3://").split("/", 1) for address in sys.argv[4:])
client = boto3.client("s3")
for page in client.get_paginator("list_objects_v2").paginate(Bucket=source, Prefix=before + "/"):
    for found in page.get("Contents", []):
        key = after + found["Key"].removeprefix(before)
        client.copy_object(Bucket=target, Key=key, CopySource={{"Bucket": source, "Key": found["Key"]}})
"""


class Page:
    """The people of the page. `type` runs one block as its person and gives back what it printed."""

    def __init__(self, folder: Path, port: int, tools: Path, s3: dict[str, str]) -> None:
        self.folder, self.port, self.s3 = folder, port, s3
        (folder / "bin").mkdir()
        (folder / "bin" / "aws").write_text(SYNC.format(python=sys.executable))
        (folder / "bin" / "aws").chmod(0o755)
        (folder / "docs").symlink_to(ROOT / "docs")
        self.path = os.pathsep.join(
            [str(folder / "bin"), str(Path(sys.executable).parent), str(tools), os.environ["PATH"]]
        )
        self.variables: dict[str, dict[str, str]] = {}

    def environment(self, person: str) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PHIZOO_", "PG"))}
        home = self.folder / "homes" / person
        home.mkdir(parents=True, exist_ok=True)
        own |= self.s3 | {
            "PATH": self.path,
            "HOME": str(home),
            "PHIZOO_HOME": str(home / "phizoo"),
            "OMP_NUM_THREADS": "1",
        }
        return own | {"PGPORT": str(self.port)} | self.variables.get(person, {})

    def type(self, person: str, text: str) -> str:
        lines = text.replace("db.example.org", "127.0.0.1")
        script = f"set -e\n{lines}\nenv -0 > {self.folder}/environment\n"
        done = subprocess.run(
            ["bash", "-c", script],
            env=self.environment(person),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=800,
        )
        assert done.returncode == 0, f"{person}:\n{lines}\n{done.stdout}\n{done.stderr}"
        left = dict(part.split("=", 1) for part in (self.folder / "environment").read_text().split("\0") if part)
        self.variables[person] = {name: value for name, value in left.items() if name.startswith(("PHIZOO_", "PG"))}
        self.variables[person] |= {name: value for name, value in left.items() if name.endswith("_PASSWORD")}
        return done.stdout


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A server of its own: the page's roles have plain names."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def page(own_server: PostgresServer, s3_variables: dict[str, str], tmp_path: Path) -> Page:
    for bucket in ("team-zoo", "team-backup", "team-restored"):
        boto3.client("s3").create_bucket(Bucket=bucket)
    return Page(tmp_path, own_server.port, Path(str(own_server._server.bin_path)), s3_variables)


def write_on(page: Page, made: SimpleNamespace, ended: threading.Event, added: list[str]) -> None:
    """Adds checkpoint after checkpoint as ann; `added` has what was acknowledged."""
    number = 0
    while not ended.is_set():
        number += 1
        folder = made.phi(page.folder / f"more{number}", 10 + number)
        line = ["phizoo", "models", "add", str(folder), "--name", f"more-{number}", "--json"]
        done = subprocess.run(line, env=page.environment("ann"), capture_output=True, text=True, timeout=800)
        assert done.returncode == 0, done.stderr
        added.append(json.loads(done.stdout)["name"])


def listed(page: Page) -> set[str]:
    done = subprocess.run(
        ["phizoo", "models", "list", "--json"],
        env=page.environment("owner"),
        capture_output=True,
        text=True,
        timeout=800,
    )
    return {row["name"] for row in json.loads(done.stdout)}


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_every_block_of_the_page_runs_as_it_stands(page: Page, made: SimpleNamespace) -> None:
    made.phi(page.folder / "my-model", 1)
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) == PAGE.read_text().count("```sh\n") >= 12
    ended, added = threading.Event(), list[str]()
    writing = threading.Thread(target=write_on, args=(page, made, ended, added))
    before: set[str] = set()
    for person, text in blocks:
        if "pg_dump" in text:
            writing.start()  # people write while the backup is taken
            while len(added) < 2:
                time.sleep(0.1)
            before = set(added)
        printed = page.type(person, text)
        if "pg_dump" in text:
            ended.set()
            writing.join()
        if "models adopt" in text:
            held = page.variables["owner"] | {
                "PHIZOO_DB": page.variables["owner"]["PHIZOO_DB"].removesuffix("/zoo") + "/restored"
            }
            page.variables["owner"], kept = held | {"PHIZOO_STORE": "s3://team-restored/zoo"}, page.variables["owner"]
            assert before | {"ann-model"} <= listed(page)  # acknowledged before the dump
            page.variables["owner"] = kept
            assert set(added) <= listed(page)
        if "models audit" in printed or "models audit" in text:
            assert "ann-model" in printed and "ann" in printed
        if "doctor --json" in text:
            assert ('"ok"' in printed and printed.rstrip().endswith("}")) or "[]" in printed


def test_a_reader_of_the_page_may_not_write(page: Page) -> None:
    """The groups of roles.sql, on the server that the page's blocks have prepared."""
    page.variables["carl"] = {
        "PHIZOO_DB": f"postgresql+psycopg://carl@127.0.0.1:{page.port}/zoo", "PGPASSWORD": "as long", "PHIZOO_STORE": "s3://team-zoo/zoo"
    }  # fmt: skip
    done = subprocess.run(
        ["phizoo", "models", "alias", "ann-model", "mine"], env=page.environment("carl"), capture_output=True, text=True
    )
    assert done.returncode == 2 and 'the role "carl" may not write to this zoo' in done.stderr


@pytest.mark.slow
def test_the_commands_of_the_compose_file_as_processes(
    database: TeamDatabase, s3_variables: dict[str, str], tmp_path: Path
) -> None:
    services = yaml.safe_load((ROOT / "docs" / "team" / "compose.yaml").read_text())["services"]
    page, server = services["page"], services["db"]["environment"]
    assert set(page["depends_on"]) == {"db", "s3"} and ":9000" in services["s3"]["command"]
    assert (
        page["environment"]["PHIZOO_DB"] == f"postgresql+psycopg://{server['POSTGRES_USER']}@db/{server['POSTGRES_DB']}"
    )
    values = {
        "OWNER_PASSWORD": "s3cr3t-w0rd",
        "PAGE_PASSWORD": "long enough to be one",
        "S3_KEY": "test",
        "S3_SECRET": "test",
    }
    given = {
        name: re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], value)
        for name, value in page["environment"].items()
    }
    given["PHIZOO_DB"] = given["PHIZOO_DB"].replace(
        "zoo_owner@db/zoo", f"{database.owner}@127.0.0.1:{database.server.port}/{database.name}"
    )
    given["AWS_ENDPOINT_URL"] = given["AWS_ENDPOINT_URL"].replace("http://s3:9000", s3_variables["AWS_ENDPOINT_URL"])
    given["PHIZOO_STORE"] = given["PHIZOO_STORE"].replace("s3://zoo/", f"s3://{database.name.replace('_', '-')}/")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shell, option, script = page["command"]
    install, *lines = script.strip().splitlines()
    assert (shell, option) == ("bash", "-ec") and install == "pip install 'phi-zoo[dashboard,postgres,s3]'"
    # on 127.0.0.1 alone, where a password is not asked for; the rest is as it stands
    run = (
        "\n".join(lines).replace('"zoo"', f'"{database.name.replace("_", "-")}"').replace("--public", f"--port {port}")
    )
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PHIZOO_", "PG", "AWS_"))}
    own |= given | {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with subprocess.Popen([shell, option, run], env=own, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        try:
            for _ in range(400):
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as answer:
                        assert answer.read() == b"ok"
                    break
                except OSError:
                    assert process.poll() is None, process.stderr and process.stderr.read()
                    time.sleep(0.3)
            else:
                raise AssertionError("the page did not answer")
        finally:
            process.kill()
