"""Keys from the environment: checked before they are used, sent only where they belong, never part of a message."""

import os
import re
from collections.abc import Mapping, Sequence

from zoo.address import same_server, shown
from zoo.errors import ZooError

# the key's variable -> the variable with the one address that it is for; without it, the address on the command line
ADDRESS_OF = {"PHIZOO_API_KEY": "PHIZOO_API_URL", "OPENAI_API_KEY": "OPENAI_BASE_URL"}
ENDPOINT_KEYS = tuple(ADDRESS_OF)  # in this order
# a variable that holds a secret, by its name; Ray's and vLLM's own belong to their processes
SECRET = re.compile(
    r"(?i)(?!RAY_|VLLM_)(?:\w*_)?(?:\w*API_?KEY|KEY|KEY_ID|TOKEN|\w*SECRET|\w*PASSWORD|PASSWD|CREDENTIALS?)"
)
USABLE = re.compile(r"[!-~]+(?: [!-~]+)*")


def without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that needs no key: without those, and without addresses that hold a password.

    >>> without_keys({"PHIZOO_DB": "postgresql://a:b@c/d", "HF_TOKEN": "x", "HOME": "/root", "VLLM_API_KEY": "y"})
    {'HOME': '/root', 'VLLM_API_KEY': 'y'}
    """
    return {
        name: value
        for name, value in environment.items()
        if not SECRET.fullmatch(name) and not ("://" in value and shown(value) != value)
    }


def read_key(name: str) -> str | None:
    """The key in an environment variable, or None. Raises ZooError, without the key, if no request can carry it."""
    key = os.environ.get(name)
    if not key:
        return None
    if not USABLE.fullmatch(key):
        at, bad = next(((n, c) for n, c in enumerate(key, 1) if not "!" <= c <= "~"), (len(key), " "))
        kinds = {"\r": "a carriage return", "\n": "a line break", " ": "a space", "\t": "a tab"}
        kind = kinds.get(bad, "a control character" if bad < " " else "a character beyond ASCII")
        raise ZooError(f"{name} holds {kind} (character {at} of {len(key)}), so it is no key; set it again without it")
    return key


def key_for(url: str, names: Sequence[str] = ENDPOINT_KEYS) -> str | None:
    """The first key that may be sent to an endpoint: one whose own address is not set, or is on the same server."""
    for name in names:
        if (key := read_key(name)) and belongs(name, url, unbound=True):
            return key
    return None


def belongs(name: str, url: str, unbound: bool = False) -> bool:
    """Whether a key is for the server at `url`. unbound: the answer where no address is set for the key."""
    own = os.environ.get(ADDRESS_OF.get(name, ""))
    return same_server(own, url) if own else unbound
