"""gc and the pair of database and store: a wrong pair deletes nothing."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from zoo.errors import ZooError
from zoo.exchange.zoo_remote import push
from zoo.registry import open_registry


def test_gc_by_a_database_that_does_not_own_the_store_deletes_nothing(made: SimpleNamespace, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    with open_registry(f"sqlite:///{tmp_path / 'team.db'}", store) as team:
        team.add(made.phi(tmp_path / "phi", 1), "one")
        wrong_pair = pytest.raises(ZooError, match=r"2 of its 2 files belong to nothing in .*nothing was deleted")
        with open_registry(f"sqlite:///{tmp_path / 'mine.db'}", store) as mine, wrong_pair:
            mine.gc(most=0.5)
        assert team.verify() == []
        assert team.gc(most=0.5).objects == 0


def test_gc_keeps_the_bytes_that_were_pushed_to_its_store(made: SimpleNamespace, tmp_path: Path) -> None:
    with open_registry(f"sqlite:///{tmp_path / 'a.db'}", str(tmp_path / "a")) as lab:
        checkpoint = lab.add(made.phi(tmp_path / "phi", 1), "one")
        with pytest.raises(ZooError, match="own store"):
            push(lab, "one", str(tmp_path / "a"))
        push(lab, "one", str(tmp_path / "b"))
    with open_registry(f"sqlite:///{tmp_path / 'b.db'}", str(tmp_path / "b")) as team:
        assert team.gc().objects == 0
        assert all(team.store.has(file.sha256) == file.bytes for file in checkpoint.files)
        entry = next((tmp_path / "b" / "entries").rglob("*.json"))
        assert json.loads(entry.read_bytes())["checkpoint"]["name"] == "one"
        entry.unlink()
        assert team.gc().objects == 2


@pytest.mark.parametrize(
    "variables",
    [{"PHIZOO_DB": "postgresql+psycopg://team@db/zoo"}, {"PHIZOO_STORE": "memory://team"}],
)
def test_half_of_a_shared_pair_is_refused(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ZooError, match="is not set, so"), open_registry():
        pass
