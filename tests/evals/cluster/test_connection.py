"""The connection to a Ray cluster that wants a token: who may enter, what a refusal says, and what its logs hold."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evals.cluster import connection
from training.data.shards import needed_variables
from zoo.api_key import without_keys
from zoo.errors import ZooError

pytest.importorskip("ray", reason="Ray is an extra: pip install 'phi-zoo[ray]'")
BIN = Path(sys.executable).parent
TOKEN = "t" * 40
SECRETS = {
    "PHIZOO_PASSWORD": "page-secret-1", "PHIZOO_API_KEY": "key-secret-2", "OPENAI_API_KEY": "key-secret-3",
    "HF_TOKEN": "hub-secret-4", "PHIZOO_DB": "postgresql+psycopg://ann:base-secret-5@127.0.0.1:1/zoo",
    "PHIZOO_STORE": "s3://KEY:store-secret-6@bucket/zoo", "AWS_SECRET_ACCESS_KEY": "cloud-secret-7",
    "PHIZOO_JUDGE_TOKEN": "later-secret-8", "PGPASSWORD": "base-secret-9", "PHIZOO_NOTES": "http://a:proxy-secret-10@b/",
}  # fmt: skip


def command(home: Path, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """`phizoo` as a user types it, in a home without a token of Ray's."""
    without = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PHIZOO_"))}
    given = {**without, "HOME": str(home), "PHIZOO_HOME": str(home / "zoo"), **more}
    return subprocess.run([BIN / "phizoo", *words], env=given, capture_output=True, text=True, timeout=250, cwd=home)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a cluster on 127.0.0.1 that wants a token, and the folder of its logs."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))  # a short path: Ray's sockets lie in it
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    given = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    given["PYTHONPATH"] = str(tmp_path / "modules")
    line = [BIN / "ray", "start", "--head", "--block", "--port", port, "--node-ip-address", "127.0.0.1", "--num-cpus"]
    line += ["2", "--include-dashboard", "false", "--object-store-memory", str(80 << 20), "--temp-dir", str(folder)]
    with open(folder / "started", "w") as out:
        process = subprocess.Popen(line, env={**os.environ, **given}, stdout=out, stderr=out)
    for _ in range(600):
        if "ray status" in (folder / "started").read_text() or process.poll() is not None:
            break
        time.sleep(0.2)
    yield f"127.0.0.1:{port}", folder
    process.terminate()
    process.wait(60)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_that_wants_a_token_gets_it_and_no_secret(cluster: tuple[str, Path], tmp_path: Path) -> None:
    address, folder = cluster
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(4):
        (texts / f"{number}.txt").write_text(f"Paragraph {number} of a text that is long enough to be kept. " * 9)
    gather = ["data", "gather", str(texts), "--name", "texts", "--ray", address]
    refused = command(tmp_path, *gather)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    (line,) = [line for line in refused.stderr.splitlines() if "read and cut" not in line]
    assert f"the Ray cluster at {address} does not let us in: it wants a token" in line and TOKEN not in line
    entry = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    done = command(
        tmp_path, *gather, **entry, **{n: SECRETS[n] for n in SECRETS if n not in ("PHIZOO_DB", "PHIZOO_STORE")}
    )
    assert done.returncode == 0, done.stderr
    # the database of a team cannot be reached here, so its address is handed to the part that speaks to Ray
    code = (
        "import sys\nfrom pathlib import Path\nfrom training.data.shards import each_shard, use_workers\n"
        "from tests_shard import seen\nwith use_workers(None, sys.argv[1]):\n"
        "    print(sorted(set().union(*each_shard(Path('work'), 'seen', [1, 2], seen, list))))\n"
    )
    modules = tmp_path / "modules"  # on the path of the cluster's workers too
    modules.mkdir()
    (modules / "tests_shard.py").write_text(
        "import os\ndef seen(number):\n    return sorted(f'{n}={v}' for n, v in os.environ.items())\n"
    )
    given = {**os.environ, **SECRETS, **entry, "HOME": str(tmp_path), "PYTHONPATH": str(modules)}
    spoken = subprocess.run(
        [sys.executable, "-c", code, address], env=given, capture_output=True, text=True, timeout=250, cwd=tmp_path
    )
    assert spoken.returncode == 0, spoken.stderr
    everything = spoken.stdout + spoken.stderr + done.stderr + done.stdout
    logs = [path for path in folder.rglob("*") if path.is_file() and "sockets" not in path.parts]
    assert any("runtime_env" in path.name for path in logs) and len(logs) > 5
    everything += "".join(path.read_text(errors="replace") for path in logs)
    assert re.findall(r"[a-z]+-secret-\d+", everything) == []
    assert "PHIZOO_HOME" in everything


def test_a_shard_gets_the_places_that_it_reads_and_no_other_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SECRETS, "PHIZOO_HOME": "here", "PHIZOO_DATA": "sets", "PHIZOO_CACHE_BYTES": "9"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("HF_HOME", raising=False)
    sets, home = str(Path("sets").absolute()), str(Path("here").absolute())
    assert needed_variables() == {"PHIZOO_HOME": home, "PHIZOO_DATA": sets, "HF_HUB_OFFLINE": "1"}


def test_keys_and_addresses_with_passwords_are_not_handed_on() -> None:
    kept = {"PHIZOO_DB": "postgresql://ann@host/zoo", "RAY_AUTH_TOKEN": "Ray's own", "TOKENIZERS_PARALLELISM": "false",
            "MONKEY": "no key", "PHIZOO_STORE": "s3://bucket/zoo", "LS_COLORS": "rs=0:di=01;34:*.key=1"}  # fmt: skip
    assert without_keys(SECRETS) == {}
    assert without_keys(kept) == kept


def test_the_keys_are_back_when_a_local_cluster_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    before = {**os.environ}
    with connection._outside_current_folder():
        assert not SECRETS.keys() & os.environ.keys()
    assert {name: os.environ[name] for name in before} == {**before, "PHIZOO_HOME": os.environ["PHIZOO_HOME"]}


def test_a_machine_without_phi_zoo_is_named_in_one_line() -> None:
    error = RuntimeError("System error: No module named 'training'\ntraceback: Traceback (most recent call last):")
    error.cause = error  # type: ignore[attr-defined]
    line = str(connection.find_cause(error))
    assert line.startswith("a machine of the cluster has no module training: install the same phi-zoo")
    ours, other = RuntimeError("a"), RuntimeError("no memory")
    ours.cause, other.cause = ZooError("mine"), other  # type: ignore[attr-defined]
    assert str(connection.find_cause(ours)) == "mine" and connection.find_cause(other) is other


def test_an_address_of_rays_client_without_the_client_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    found = connection.importlib.util.find_spec
    monkeypatch.setattr(connection.importlib.util, "find_spec", lambda name: None if name == "grpc" else found(name))
    with pytest.raises(ZooError, match=r"^ray://host:10001 is for Ray's client, .* give HOST:6379 or auto"):
        connection.connect_ray("ray://host:10001")
