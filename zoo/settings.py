"""Reads the locations of the zoo from the environment: PHIZOO_HOME, PHIZOO_DB, PHIZOO_STORE, PHIZOO_DATA.

They are read on each call, never at import, so that a test or a script may set them. Nothing is created.
"""

import os
from pathlib import Path

from zoo.address import shown
from zoo.errors import ZooError


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


def chosen_zoo() -> str:
    """The line that names the database and the store, without secrets; "" if the environment names neither."""
    chosen = [name for name in ("PHIZOO_DB", "PHIZOO_STORE") if os.environ.get(name)]
    if not chosen:
        return ""
    return f"zoo {shown(database_url())}, bytes in {shown(store_url())} ({' and '.join(chosen)})"


def check_pair() -> None:
    """Raises ZooError if only one half of a shared zoo is set: the other half would be this user's own.

    Writing to such a pair puts a team's bytes into one person's home, and gc there would delete the team's.
    """
    database, store = os.environ.get("PHIZOO_DB", ""), os.environ.get("PHIZOO_STORE", "")
    if database.startswith("postgres") and not store:
        raise ZooError(
            "PHIZOO_DB is a shared database, but PHIZOO_STORE is not set, so bytes would lie in your own home; "
            "set it to the store of that zoo, such as PHIZOO_STORE=s3://bucket/folder."
        )
    if "://" in store and not store.startswith("file://") and not database:
        raise ZooError(
            "PHIZOO_STORE is a shared store, but PHIZOO_DB is not set, so your own database would own its bytes; "
            "set it to the database of that zoo, such as PHIZOO_DB=postgresql://…"
        )


def half_pair(database: str, store: str) -> str:
    """The reason not to give this database this store, new as it is, if only PHIZOO_DB is set; "" otherwise.

    A store alone may be set, for a larger disk; a database alone is a team's, and the bytes would lie in one home.
    """
    is_half = bool(os.environ.get("PHIZOO_DB")) and not os.environ.get("PHIZOO_STORE")
    if not is_half or (database, store) != (database_url(), store_url()) or database == sqlite_url(home() / "zoo.db"):
        return ""
    return "is in your own home: PHIZOO_DB is set, but PHIZOO_STORE is not; set it to the store of that zoo"


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
