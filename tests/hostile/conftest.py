"""The small checkpoints of `tests/zoo`."""

from tests.zoo.conftest import made as made
