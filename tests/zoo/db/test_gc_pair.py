"""gc and the pair of database and store: a wrong pair deletes nothing."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from zoo.errors import ZooError
from zoo.registry import open_registry


def test_gc_by_a_database_that_does_not_own_the_store_deletes_nothing(made: SimpleNamespace, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    with open_registry(f"sqlite:///{tmp_path / 'team.db'}", store) as team:
        team.add(made.phi(tmp_path / "phi", 1), "one")
        wrong_pair = pytest.raises(ZooError, match=r"belongs to another zoo .*team\.db")
        with open_registry(f"sqlite:///{tmp_path / 'mine.db'}", store) as mine, wrong_pair:
            mine.gc(most=0.5)
        assert team.verify() == []
        assert team.gc(most=0.5).objects == 0


@pytest.mark.parametrize(
    "variables",
    [{"PHIZOO_DB": "postgresql+psycopg://team@db/zoo"}, {"PHIZOO_STORE": "memory://team"}],
)
def test_half_of_a_shared_pair_is_refused(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ZooError, match="is not set, so"), open_registry():
        pass
