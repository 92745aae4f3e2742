"""The connection to a Ray cluster, for evaluations and for the making of data.

A node's log shows the environment that a run hands it, and a local cluster's processes inherit this one's: keys and
passwords are in neither. Not here: trust. Who can reach a Ray cluster can run code on it; keep it on a network of your
own, and give it a token.
"""

import contextlib
import importlib
import importlib.util
import logging
import os
import re
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from zoo.address import shown, without_secrets
from zoo.api_key import without_keys
from zoo.errors import ZooError
from zoo.safe_path import protect_children
from zoo.visible import plain

REMEDY = "Start one: ray start --head"
ENTRY = (
    "it wants a token: export RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or the file ~/.ray/auth_token with the token "
    "of the machine where it was started (there: ray get-auth-token)"
)
REFUSED = ("InvalidAuthToken", "Unauthenticated", "authentication is enabled but no")  # in Ray's messages
CLIENT = (
    "is for Ray's client, which is not installed; on a machine of the cluster give HOST:6379 or auto, or pip install "
    "'ray[client]' of the cluster's version here"
)


def connect_ray(address: str, handed: Mapping[str, str] | None = None, **options: Any) -> Any:
    """The module ray, connected to the cluster at an address.

    address  as Ray has it: "auto", HOST:PORT, ray://HOST:PORT; "local" starts one on this machine alone
    handed   environment variables for the workers; Ray writes them into the logs of each node
    options  further arguments of `ray.init`
    Raises   ZooError when Ray is not installed or the cluster does not answer
    """
    if importlib.util.find_spec("ray") is None:
        raise ZooError("Ray is not installed: pip install 'phi-zoo[ray]', here and on each machine of the cluster")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a worker without GPUs sees none: not asked for
    if address.startswith("ray://") and importlib.util.find_spec("grpc") is None:
        raise ZooError(f"{shown(address)} {CLIENT}")
    import ray

    if ray.is_initialized():
        return ray
    _check_port(_look_up(address))
    if handed:
        options["runtime_env"] = {"env_vars": dict(handed)}
    with tempfile.TemporaryFile() as told:
        try:
            with _outside_current_folder(), _errors_to(told.fileno()):
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            told.seek(0)
            said = told.read().decode(errors="replace")
            line = " ".join(without_secrets(str(error), address).split()) or type(error).__name__
            if any(mark in text for mark in REFUSED for text in (said, line)):
                raise ZooError(f"the Ray cluster at {shown(address)} does not let us in: {ENTRY}") from None
            raise ZooError(f"no Ray cluster at {shown(address)} ({plain(line)[:160]}). {REMEDY}") from None
    return ray


def _look_up(address: str) -> str:
    """The address that Ray will ask, "auto" looked up; a loopback address stays one.

    Ray would replace a loopback address by this machine's own, where nobody listens if the cluster was started on
    127.0.0.1, and ask there for two minutes. A token is used only if RAY_AUTH_MODE asks for it: the file ~/.ray may be
    left by another cluster, and one without tokens then never answers.
    """
    from ray._private import ray_constants

    services: Any = importlib.import_module("ray._private.services")

    place = address
    if address == "auto":
        try:
            running = [services.get_ray_address_from_environment("auto", None)]
            if running[0] in (None, "auto"):  # not started by `ray start` in Ray's own folder
                running = list(services.find_gcs_addresses())
        except (OSError, ValueError) as error:
            raise ZooError(f"no Ray cluster on this machine ({plain(str(error))[:100]}). {REMEDY}") from None
        if len(running) > 1:
            raise ZooError(f"several Ray clusters on this machine: choose one, --ray {' or --ray '.join(running)}")
        place = running[0] if running else "auto"
    host = place.removeprefix("ray://").rpartition(":")[0].strip("[]")
    loopback = host in ("", "localhost", "::1") or host.startswith("127.")
    if loopback and place != "auto":
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # for the processes of a local cluster
        ray_constants.ENABLE_RAY_CLUSTER = False
    return place


@contextlib.contextmanager
def _errors_to(place: int) -> Iterator[None]:
    """Sends standard error to a file for a while: Ray's core writes there, beside any logger, why it was refused."""
    sys.stderr.flush()
    own = os.dup(2)
    os.dup2(place, 2)
    try:
        yield
    finally:
        os.dup2(own, 2)
        os.close(own)


@contextlib.contextmanager
def _outside_current_folder() -> Iterator[None]:
    """Connects from Python's own folder: Ray puts the driver's current folder first on the path of every worker.

    A local cluster's processes inherit this environment, and its workers start in Python's folder.
    """
    protect_children()
    for name in ("PHIZOO_HOME", "PHIZOO_DATA"):
        if given := os.environ.get(name):
            os.environ[name] = str(Path(given).expanduser().absolute())
    before = dict(os.environ)
    kept = without_keys(before)
    for name in before.keys() - kept.keys():
        del os.environ[name]
    try:
        with contextlib.chdir(sys.prefix):
            yield
    finally:
        os.environ.update({name: before[name] for name in before.keys() - kept.keys()})


def _check_port(address: str) -> None:
    """Raises ZooError when nothing listens at HOST:PORT; Ray itself would try for a minute and a half."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ZooError(f"no Ray cluster at {shown(address)} ({error}). {REMEDY}") from None


def find_cause(error: Any) -> Exception:
    """The error to raise for a failed task or actor: our own ZooError as it is, one line for a module that a node
    does not have, anything else with its traceback."""
    if isinstance(error.cause, ZooError):
        return error.cause
    if missing := re.search(r"No module named '([\w.]+)'", str(error)):
        return ZooError(
            f"a machine of the cluster has no module {missing[1]}: install the same phi-zoo, with the same extras, "
            "where its Ray was started"
        )
    return cast("Exception", error)
