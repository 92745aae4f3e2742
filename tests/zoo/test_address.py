"""No secret of an address is shown: in any place of it, whole or mistyped, and not in a library's message about it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.address import refuse_secrets, same_server, shown, without_secrets
from zoo.db.open import open_database
from zoo.db.postgres import PostgresDatabase
from zoo.errors import ZooError
from zoo.store.bucket import BucketStore

SECRET = "s3cr3tPart"
WITH_SECRET = [
    f"postgresql://ann:{SECRET}@host/zoo",
    f"postgresql://ann:a/{SECRET}#b?c@host/zoo",
    f"postgresql://ann:{SECRET}@{SECRET}@host/zoo",
    f"postgresql://host/zoo?user=ann&password={SECRET}",
    f"postgresql://host/zoo?sslmode=require;sslpassword={SECRET}",
    f"postgresql+psycopg://ann:{SECRET}@[::1]:5432/zoo",
    f"postgresql:/ann:{SECRET}@host/zoo",
    f"postgresql//ann:{SECRET}@host/zoo",
    f"postgresql:ann:{SECRET}@host/zoo",
    f" postgresql;//ann:{SECRET}@host/zoo",
    f"postgresql://ann:{SECRET}/zoo",
    f"postgresql://ann:{SECRET}%40host/zoo",
    f"ann:{SECRET}@host/zoo",
    f"host=db user=ann password={SECRET}",
    f"host=db user=ann password = '{SECRET} x'",
    f"s3://KEY:{SECRET}@bucket/zoo",
    f"s3://KEY:a/{SECRET}@bucket/zoo",
    f"s3://{SECRET}@bucket/zoo",
    f"http://user:{SECRET}@[host/v1",
    f"https://{SECRET}@hub.example",
    f"https://hub.example/v1?token={SECRET}",
    f"https://hub.example/v1?{SECRET}",
    f"https://hub.example/v1#access_token={SECRET}",
]
WITHOUT = [
    "postgresql://ann@host:5432/zoo?sslmode=require", "sqlite:////srv/a@b:c/zoo.db?mode=ro", "s3://bucket/folder@2",
    "/srv/a@b:c?d#e", "./a:b@c", "hf:microsoft/phi-2@abc", "hf://microsoft/phi-2@abc", "http://127.0.0.1:8000/v1",
    "https://hub.example/api/models/a/b?blobs=true", "microsoft/phi-2", "phi-1@best", "ray://host:10001", "auto",
    "s3://arn:aws:s3:us-west-2:1234:accesspoint/zoo", "https://[::1]:8000/v1", "",
]  # fmt: skip


@pytest.mark.parametrize("address", WITH_SECRET)
def test_a_secret_is_hidden_wherever_it_stands(address: str) -> None:
    assert SECRET not in shown(address)
    assert "***" in shown(address)
    with pytest.raises(ZooError, match="carry no password") as refused:
        refuse_secrets(address, "set it elsewhere")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("address", WITHOUT)
def test_an_address_without_a_secret_is_shown_as_it_is(address: str) -> None:
    assert shown(address) == address


@given(
    st.text(alphabet=st.characters(codec="ascii", exclude_characters="@"), min_size=1),
    st.sampled_from(["s3", "http", "x"]),
)
def test_whatever_stands_before_the_at_is_hidden(password: str, scheme: str) -> None:
    assert shown(f"{scheme}://u:{password}@host/zoo").endswith("***@host/zoo")


@given(st.text())
def test_any_text_is_shown_without_a_fault(text: str) -> None:
    assert set(shown(text)) <= {*text, "*"}


@pytest.mark.parametrize("address", [text for text in WITH_SECRET if not text.startswith(("s3", "http"))])
def test_no_error_of_a_database_shows_its_password(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "1")
    address = address.replace("@host", "@127.0.0.1:1").replace("//host", "//127.0.0.1:1")
    with pytest.raises(ZooError) as error:
        open_database(address)
    assert SECRET not in str(error.value)
    assert SECRET not in repr(error.value.__cause__)


def test_a_piece_of_a_password_in_a_drivers_message_is_hidden() -> None:
    with pytest.raises(ZooError) as error:
        PostgresDatabase(f"postgresql://ann:p@{SECRET}@nowhere.invalid/zoo", readonly=True)
    assert SECRET not in str(error.value)
    message = f"cannot resolve '{SECRET}@host': no such name"
    assert SECRET not in without_secrets(message, f"postgresql://ann:p@{SECRET}@host/zoo")


def test_a_store_takes_no_keys_in_its_address() -> None:
    with pytest.raises(ZooError, match="AWS_SECRET_ACCESS_KEY") as error:
        BucketStore(f"s3://KEY:{SECRET}@bucket/zoo")
    assert not re.search(f"{SECRET}|KEY:", str(error.value))


def test_servers_are_compared_by_scheme_host_and_port() -> None:
    assert same_server("http://host:80/v1", "http://HOST/other ")
    assert not same_server("http://host/v1", "https://host/v1")
    assert not same_server("http://host/v1", "http://host.example/v1")
    assert not same_server("http://user@evil/v1", "http://user/v1")
    assert not same_server("http://[bad", "http://[bad")
    assert not same_server("", "")
