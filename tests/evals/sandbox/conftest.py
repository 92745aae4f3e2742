"""One open sandbox for the tests of this folder: two workers, the best tier of this machine."""

from collections.abc import Iterator

import pytest

from evals.sandbox import Sandbox, open_sandbox
from zoo.errors import ZooError


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    try:
        opened = open_sandbox(workers=2, tier="namespaces")
        entered = opened.__enter__()
    except ZooError as error:
        pytest.skip(f"no namespaces here: {error}")
    yield entered
    opened.__exit__(None, None, None)
