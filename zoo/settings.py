"""Where things are, from the environment: PHIZOO_HOME, PHIZOO_DB, PHIZOO_STORE, PHIZOO_DATA.

Read when asked, never at import, so that a test or a script may set them. Nothing is created here.
"""

import os
from pathlib import Path


def home() -> Path:
    """The folder that holds everything of one user: `PHIZOO_HOME`, or the platform's data folder."""
    if given := os.environ.get("PHIZOO_HOME"):
        return Path(given).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("phizoo", appauthor=False)


def database_url() -> str:
    """The registry's database as an SQLAlchemy URL: `PHIZOO_DB`, or SQLite under `home()`."""
    return os.environ.get("PHIZOO_DB") or f"sqlite:///{home() / 'zoo.db'}"


def store_url() -> str:
    """Where checkpoint bytes lie, a path or an fsspec URL: `PHIZOO_STORE`, or `home()/store`."""
    return os.environ.get("PHIZOO_STORE") or str(home() / "store")


def data_dir() -> Path | None:
    """The folder of evaluation sets that a user keeps: `PHIZOO_DATA`, or None."""
    given = os.environ.get("PHIZOO_DATA")
    return Path(given).expanduser().absolute() if given else None


def runs_dir() -> Path:
    """Where evaluation runs are written, one folder a run id."""
    return home() / "runs"


def datasets_dir() -> Path:
    """Where training datasets are written, one folder a digest."""
    return home() / "datasets"


def training_dir() -> Path:
    """Where training runs keep their state until the checkpoint is registered, one folder a run."""
    return home() / "training"
