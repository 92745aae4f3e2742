"""The connection to a Ray cluster, for evaluations and for the making of data.

Not here: trust. Who can reach a Ray cluster can run code on it; keep it on a network of your own.
"""

import contextlib
import importlib.util
import logging
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.address import shown
from zoo.errors import ZooError
from zoo.safe_path import protect_children

REMEDY = "Start one: ray start --head"


def connect_ray(address: str, **options: Any) -> Any:
    """The module ray, connected to the cluster at an address.

    address  as Ray has it: "auto", HOST:PORT, ray://HOST:PORT; "local" starts one on this machine alone
    options  further arguments of `ray.init`
    Raises   ZooError when Ray is not installed or the cluster does not answer
    """
    if importlib.util.find_spec("ray") is None:
        raise ZooError("Ray is not installed: pip install 'phi-zoo[ray]', here and on each machine of the cluster")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address.rpartition(":")[0] in ("", "127.0.0.1", "localhost") and address != "auto":
        # otherwise Ray replaces a loopback address by this machine's own, where others can reach it
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a worker without GPUs sees none: not asked for
    _check_port(address)
    import ray

    if ray.is_initialized():
        return ray
    try:
        with _outside_current_folder():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RaySystemError) as error:
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ZooError(f"no Ray cluster at {shown(address)} ({line[:100]}). {REMEDY}") from None
    return ray


@contextlib.contextmanager
def _outside_current_folder() -> Iterator[None]:
    """Connects from Python's own folder: Ray puts the driver's current folder first on the path of every worker."""
    protect_children()
    for name in ("PHIZOO_HOME", "PHIZOO_DATA"):  # a local cluster's workers start in that folder, too
        if given := os.environ.get(name):
            os.environ[name] = str(Path(given).expanduser().absolute())
    with contextlib.chdir(sys.prefix):
        yield


def _check_port(address: str) -> None:
    """Raises ZooError when nothing listens at HOST:PORT; Ray itself would try for a minute and a half."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ZooError(f"no Ray cluster at {shown(address)} ({error}). {REMEDY}") from None
