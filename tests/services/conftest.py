"""Fixtures of a real PostgreSQL and a real S3 server. `make services` runs these tests, `make test` leaves them out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.servers import PostgresServer, Team, TeamDatabase, new_name, running_postgres, running_s3
from tests.zoo.conftest import made  # noqa: F401  the same small checkpoints

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test of this folder."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.services)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this session on 127.0.0.1, which asks every role but `postgres` for its password."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[TeamDatabase]:
    """An empty database with an owner of its own."""
    empty = TeamDatabase(postgres_server, new_name())
    empty.create()
    yield empty
    empty.drop()


@pytest.fixture
def postgres_db(database: TeamDatabase) -> str:
    """The URL of an empty database, as its owner."""
    return database.url


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server of this session."""
    with running_s3() as address:
        yield address


@pytest.fixture
def s3_variables(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables with which s3:// means that server; set in this process too."""
    variables = {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def bucket(s3_variables: dict[str, str]) -> str:
    """The address of an empty store in a new bucket."""
    import boto3

    name = new_name("zoo").replace("_", "-")
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/team"


@pytest.fixture
def team(
    database: TeamDatabase, bucket: str, s3_variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Team:
    """A team's zoo, still without a schema: PHIZOO_DB and PHIZOO_STORE are set in this process too."""
    monkeypatch.setenv("PHIZOO_DB", database.url)
    monkeypatch.setenv("PHIZOO_STORE", bucket)
    return Team(database, bucket, tmp_path / "members", s3_variables)
