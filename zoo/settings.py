"""Reads the locations of the zoo from the environment: PHIZOO_HOME, PHIZOO_DB, PHIZOO_STORE, PHIZOO_DATA.

They are read on each call, never at import, so that a test or a script may set them. Nothing is created.
"""

import os
from pathlib import Path


def home() -> Path:
    """The folder of one user's files: `PHIZOO_HOME`, or the platform's data folder."""
    if given := os.environ.get("PHIZOO_HOME"):
        return Path(given).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("phizoo", appauthor=False)


def sqlite_url(file: Path) -> str:
    """The URL of a SQLite file, with the characters escaped that mean something in a URL.

    >>> sqlite_url(Path("/srv/50%20off?/zoo.db"))
    'sqlite:////srv/50%2520off%3F/zoo.db'
    """
    path = str(file)
    for character in "%?#":  # "%" first, since it begins the others' escapes
        path = path.replace(character, f"%{ord(character):02X}")
    return f"sqlite:///{path}"


def database_url() -> str:
    """The registry's database as a URL: `PHIZOO_DB`, or SQLite under `home()`."""
    return os.environ.get("PHIZOO_DB") or sqlite_url(home() / "zoo.db")


def store_url() -> str:
    """The store of checkpoint bytes, a path or an fsspec URL: `PHIZOO_STORE`, or `home()/store`."""
    return os.environ.get("PHIZOO_STORE") or str(home() / "store")


def data_dir() -> Path | None:
    """The folder of evaluation sets that a user keeps: `PHIZOO_DATA`, or None."""
    given = os.environ.get("PHIZOO_DATA")
    return Path(given).expanduser().absolute() if given else None


def runs_dir() -> Path:
    """The folder of evaluation runs, one subfolder per run id."""
    return home() / "runs"


def datasets_dir() -> Path:
    """The folder of training datasets, one subfolder per digest."""
    return home() / "datasets"


def training_dir() -> Path:
    """The folder of training runs, which keep their state there until the checkpoint is registered."""
    return home() / "training"
