# ruff: noqa: S108, SIM115
"""One worker: a zygote, its judge, and the sockets between them; started, watched, killed here."""

import contextlib
import json
import marshal
import mmap
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from glob import glob
from pathlib import Path
from typing import Any

from evals.sandbox.host import cgroup, syscall_filter
from evals.sandbox.host.launch import ENVIRONMENT, INSIDE, ZONES, library_folders
from evals.sandbox.host.spawner import FILTER
from evals.sandbox.judge.judge import MOST_MEMORY, STATUS
from zoo.jsonl import without_halves

REPOSITORY = str(Path(__file__).resolve().parents[3])
# of a worker's control group: two children with their files, pipes and sockets
GROUP_MEMORY, GROUP_PROCESSES = 2560 << 20, 160
START_SECONDS = 60.0  # a zygote is ready in half a second, later on an overloaded machine
START = "import sys; sys.path.insert(0, sys.argv[1]); from evals.sandbox.{0} import main; main({1})"


ALONE = ("-s", "-S", "-P", "-B", "-c", f"import sys; sys.path.insert(0, '{INSIDE}/phizoo'); "
         "from evals.sandbox.guest.zygote import serve_alone; serve_alone()")  # fmt: skip


class CannotIsolate(Exception):
    """A worker cannot start here; the message names the step that the machine refused."""


def launch_config(judge: int, control: int, numpy: bool, wide: bool) -> dict[str, Any]:
    """The config of `launch`: descriptors and binds, with the real paths of this interpreter."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    binds = [(python, f"{INSIDE}/bin/python{version}")]
    library = Path(sys.base_prefix, "lib")
    system = sys.base_prefix == "/usr"
    libraries = sorted(glob(str(library / ("libpython*.so*" if system else "*.so*"))))
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    folders = [folder for folder in library_folders(multiarch) if os.path.isdir(folder)]
    links: list[tuple[str, str]] = []
    for path in libraries:
        place, real = f"{INSIDE}/lib/{os.path.basename(path)}", os.path.realpath(path)
        if os.path.islink(path) and str(library / os.path.basename(real)) in libraries:
            links.append((place, os.path.basename(real)))
        else:
            binds.append((real, place))
        if "/usr/lib" not in folders:
            # the loader's default folder: a program's second interpreter has no environment variable that names another
            links.append((f"/usr/lib/{os.path.basename(path)}", place))
    here = Path(__file__).resolve().parents[1] / "guest"
    names = sorted(path.name for path in here.glob("*.py") if path.name != "__init__.py")
    binds += [(str(here / name), f"{INSIDE}/phizoo/evals/sandbox/guest/{name}") for name in names]
    if numpy:
        import numpy as package

        home = Path(package.__file__).resolve().parent
        binds.append((str(home), f"{INSIDE}/numpy/numpy"))
        binds.append((str(home.with_name("numpy.libs")), f"{INSIDE}/numpy/numpy.libs"))
    return {
        "libraries": folders, "links": links,
        "stdlib": os.path.realpath(sysconfig.get_path("stdlib")),
        "version": version, "binds": binds, "judge": judge, "control": control, "numpy": numpy, "wide": wide,
    }  # fmt: skip


def _receive(connection: socket.socket, process: "subprocess.Popen[bytes]", errors: Any) -> bytes:
    connection.settimeout(START_SECONDS)
    silent = "the zygote ended with code {}"
    try:
        try:
            data = connection.recv(1 << 16)
        except ConnectionResetError:  # it ended before it had read everything: its message comes after that
            data = connection.recv(1 << 16)
    except TimeoutError:
        data, silent = b"", f"the zygote was not ready after {START_SECONDS:g} s"
        process.kill()
    if data != b"ready":
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)  # its own exit code says more than our kill
        process.kill()
        code = process.wait()
        errors.seek(0)
        message = errors.read().decode(errors="replace").strip() or data.decode(errors="replace").strip()
        raise CannotIsolate(message.splitlines()[-1] if message else silent.format(code))
    return data


def bubblewrap_command(config: dict[str, Any]) -> list[str]:
    """bwrap with the same root as `launch` builds, and new namespaces of every kind."""
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    command += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    command += ["--hostname", "sandbox"]
    for top in ("/lib", "/lib64", "/usr/lib", "/usr/lib64"):
        if os.path.islink(top):
            command += ["--symlink", os.readlink(top), top]
    for folder in config["libraries"]:
        if not os.path.islink(os.path.dirname(folder)) and not os.path.islink(folder):
            command += ["--ro-bind", folder, folder]
    inside = f"{INSIDE}/lib/python{config['version']}"
    command += ["--ro-bind", config["stdlib"], inside]
    for name in ("site-packages", "dist-packages"):
        if os.path.isdir(os.path.join(config["stdlib"], name)):
            command += ["--tmpfs", f"{inside}/{name}", "--remount-ro", f"{inside}/{name}"]
    for source, target in config["binds"]:
        if os.path.exists(source):
            command += ["--ro-bind", source, target]
    for place, target in config["links"]:
        command += ["--symlink", target, place]
    if os.path.isdir(ZONES):
        command += ["--ro-bind", ZONES, ZONES]
    for device in ("null", "urandom"):
        command += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    command += ["--size", str(64 << 20), "--tmpfs", "/tmp", "--symlink", "/tmp", "/dev/shm"]
    command += ["--symlink", "/tmp", "/var/tmp", "--remount-ro", "/", "--chdir", "/tmp", "--seccomp", str(FILTER)]
    for name, value in ENVIRONMENT.items():
        command += ["--setenv", name, value]
    return [*command, f"{INSIDE}/bin/python{config['version']}", *ALONE, f"{INSIDE}/numpy"]


def container_command(config: dict[str, Any], engine: str) -> list[str]:
    """docker or podman with nothing but read-only binds of this interpreter, on any small image."""
    command = [engine, "run", "--rm", "-i", "--name", "@NAME@", "--network", "none", "--read-only", "--cap-drop", "ALL"]
    command += ["--security-opt", "no-new-privileges", "--pids-limit", "64", "--memory", "2g", "--user", "65534:65534"]
    command += ["--tmpfs", "/tmp:size=64m,mode=1777", "--workdir", "/tmp"]
    command += ["-v", f"{config['stdlib']}:{INSIDE}/lib/python{config['version']}:ro"]
    for source, target in config["binds"]:
        if os.path.exists(source):
            command += ["-v", f"{source}:{target}:ro"]
    for place, target in config["links"]:
        source = next(
            (source for source, bound in config["binds"] if os.path.join(os.path.dirname(place), target) == bound), ""
        )
        if source:
            command += ["-v", f"{source}:{place}:ro"]
    for name, value in ENVIRONMENT.items():
        command += ["-e", f"{name}={value}"]
    image = os.environ.get("PHIZOO_SANDBOX_IMAGE", "debian:stable-slim")
    return [*command, image, f"{INSIDE}/bin/python{config['version']}", *ALONE, f"{INSIDE}/numpy"]


def process_command(config: dict[str, Any]) -> list[str]:
    """The bare interpreter, with limits only."""
    numpy = [os.path.dirname(source) for source, target in config["binds"] if target == f"{INSIDE}/numpy/numpy"]
    start = START.format("guest.zygote", "").replace("main", "serve_alone")
    return [str(config["binds"][0][0]), "-I", "-S", "-B", "-c", start, REPOSITORY, *numpy]


def _starter(tier: str, config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """(module that makes the children, its config)."""
    if tier == "namespaces":
        return "launch", config
    settings: dict[str, Any] = {"judge": config["judge"], "control": config["control"], "remove": [], "environment": {}}
    settings["filter"] = syscall_filter.compile_filter().hex() if tier == "bubblewrap" else ""
    if tier == "bubblewrap":
        settings["command"] = bubblewrap_command(config)
    elif tier == "container":
        engine = container_engine()
        settings["command"] = container_command(config, engine)
        settings["remove"] = [engine, "rm", "-f"]
    else:
        settings["command"] = process_command(config)
    settings["environment"] = {"PATH": os.environ.get("PATH", os.defpath)} if tier != "process" else {}
    return "spawner", settings


def container_engine() -> str:
    """The first container engine on the path, or an empty string."""
    return next((name for name in ("podman", "docker") if shutil.which(name)), "")


class Worker:
    """The process that makes the children, and their judge. The constructor opens it, `close` ends it.

    wide: the children have numpy and more preloaded, see `evals.sandbox.guest.preload`.
    """

    def __init__(self, tier: str = "namespaces", wide: bool = False) -> None:
        self.control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        judge_end, zygote_end = socket.socketpair()
        self.judge, pool_end = socket.socketpair()
        page = os.memfd_create("status")
        os.ftruncate(page, STATUS.size)
        self.status = mmap.mmap(page, STATUS.size)
        self.errors = tempfile.TemporaryFile()
        config = launch_config(zygote_end.fileno(), control.fileno(), has_numpy(), wide)
        module, settings = _starter(tier, config)
        common: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "start_new_session": True}
        self.zygote_process = subprocess.Popen(
            [config["binds"][0][0], "-I", "-S", "-B", "-c", START.format(f"host.{module}", "sys.argv[2]"), REPOSITORY,
             json.dumps(settings)],
            env={}, pass_fds=(zygote_end.fileno(), control.fileno()), stderr=self.errors, **common,
        )  # fmt: skip
        self.groups = cgroup.enclose(self.zygote_process.pid, GROUP_MEMORY, GROUP_PROCESSES)
        numbers = [str(s.fileno()) for s in (pool_end, judge_end)] + [str(page)]
        self.judge_process = subprocess.Popen(
            [sys.executable, "-P", "-B", "-c", START.format("judge.judge", "sys.argv[2:]"), REPOSITORY, *numbers],
            env={"PYTHONHASHSEED": "0", "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"},
            pass_fds=[int(n) for n in numbers], stderr=subprocess.DEVNULL, **common,
        )  # fmt: skip
        self.groups += cgroup.enclose(self.judge_process.pid, MOST_MEMORY, GROUP_PROCESSES)
        for end in (control, judge_end, zygote_end, pool_end):
            end.close()
        os.close(page)
        self.control.send(syscall_filter.compile_filter())
        self.data = b""

    def wait_ready(self) -> None:
        """Returns once the zygote's first children wait; raises CannotIsolate."""
        _receive(self.control, self.zygote_process, self.errors)

    def send(self, job: dict[str, Any]) -> None:
        """Sends the judge a program."""
        data = marshal.dumps(job)
        self.judge.sendall(len(data).to_bytes(4, "little") + data)

    def replies(self) -> list[list[Any]] | None:
        """The verdicts that have arrived in full; None if the judge has ended."""
        try:
            more = self.judge.recv(1 << 16)
        except ConnectionResetError:
            more = b""
        if not more:
            return None
        self.data += more
        verdicts = []
        while len(self.data) >= 4 and len(self.data) >= (end := 4 + int.from_bytes(self.data[:4], "little")):
            # a program may raise an error whose text no file can hold
            verdicts.append(without_halves(json.loads(self.data[4:end])))
            self.data = self.data[end:]
        return verdicts

    def running(self) -> tuple[int, int, float, float]:
        """(programs begun, the child's process id or 0, its start, the judge's CPU seconds at that start)."""
        begun, process, start, spent = STATUS.unpack_from(self.status, 0)
        return begun, process, start, spent

    def close(self) -> None:
        """Kills both processes, and with the zygote every candidate."""
        for process in (self.judge_process, self.zygote_process):
            process.send_signal(signal.SIGKILL)
        for process in (self.judge_process, self.zygote_process):
            process.wait()
        for end in (self.control, self.judge, self.errors, self.status):
            end.close()
        cgroup.remove(self.groups)


def has_numpy() -> bool:
    """Whether this environment has numpy."""
    from importlib.util import find_spec

    return find_spec("numpy") is not None
