"""Keys are checked before they are used, sent only to the server that they are for, and never shown."""

import pytest

from zoo.api_key import belongs, key_for, read_key
from zoo.errors import ZooError
from zoo.exchange import hub

KEY = "hf_s3cr3tPart"


@pytest.mark.parametrize(
    ("key", "word"),
    [(f"{KEY}\r", "a carriage return"), (f"{KEY}\n", "a line break"), (f" {KEY}", "a space"), (f"{KEY} ", "a space"),
     (f"{KEY}\x1b[0m", "a control character"), (f"{KEY}é", "beyond ASCII"), (f"{KEY}\ud800", "beyond ASCII")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["HF_TOKEN", "PHIZOO_API_KEY", "OPENAI_API_KEY"])
def test_a_key_that_no_request_can_carry_is_named_and_not_shown(
    name: str, key: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.environ", {name: key})
    with pytest.raises(ZooError, match=f"{name} holds .*{word}") as error:
        read_key(name)
    assert KEY not in str(error.value)


def test_a_good_key_is_given_and_an_empty_one_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", KEY)
    assert read_key("HF_TOKEN") == KEY
    monkeypatch.setenv("HF_TOKEN", "")
    assert read_key("HF_TOKEN") is None


def test_the_hub_never_shows_the_token_nor_a_password_of_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("HF_TOKEN", f"{KEY}\r")
    with pytest.raises(ZooError) as error:
        hub.snapshot("a/b", None)
    assert KEY not in str(error.value)
    monkeypatch.delenv("HF_TOKEN")
    for address in (f"http://user:{KEY}@127.0.0.1:1", f"htp://user:{KEY}@127.0.0.1", f"http://user:{KEY}@[x"):
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(ZooError, match="HF_ENDPOINT") as error:
            hub.snapshot("a/b", None)
        assert KEY not in str(error.value)


def test_a_key_goes_to_its_own_server_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PHIZOO_API_KEY", "PHIZOO_API_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PHIZOO_API_KEY", "own")
    assert key_for("http://any/v1") == "own"
    assert not belongs("PHIZOO_API_KEY", "http://any/v1")
    monkeypatch.setenv("PHIZOO_API_URL", "https://api.example/v1")
    assert key_for("https://api.example/v1") == "own"
    assert belongs("PHIZOO_API_KEY", "https://api.example/other")
    for url in ("http://api.example/v1", "https://api.example:444/v1", "https://api.example.evil/v1"):
        assert key_for(url) is None
    monkeypatch.setenv("OPENAI_API_KEY", "other")
    assert key_for("http://any/v1") == "other"
