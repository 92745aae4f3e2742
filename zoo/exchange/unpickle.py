"""Converts PyTorch pickles (.bin, .pt) to safetensors without running any code in them.

A child process reads the file: without an environment, without network and in its own namespaces if the
kernel allows it, with limits on memory, time and files. Its unpickler knows four names, each bound to a
harmless function of ours (an ordered dict, a tensor's description, a storage's type); any other name ends
the conversion. Bytes are copied, no tensor is computed, and torch is not imported. The result is checked
like any other file that enters.

Not contained: a fault in CPython's own pickle or zip readers, except by the limits.
"""

import ctypes
import pickle
import resource
import subprocess
import sys
import zipfile
from collections import OrderedDict
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from zoo.admission.safetensors_header import BITS
from zoo.errors import ZooError
from zoo.exchange.phi_convert import TensorPiece, write_safetensors
from zoo.safe_path import isolated

STORAGES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}  # fmt: skip
PICKLE_BYTES = 50_000_000
MEMORY_BYTES = 8 << 30
SECONDS = 3600
READ_SECONDS = 30
NEW_USER, NEW_NET, NEW_IPC = 0x10000000, 0x40000000, 0x08000000


class _Storage(NamedTuple):
    dtype: str
    key: str
    elements: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]


def _rebuild(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> _Tensor:
    """Describes the tensor that `torch._utils._rebuild_tensor_v2` would build."""
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    shape = tuple(int(length) for length in size)
    contiguous: list[int] = []
    step = 1
    for length in reversed(shape):
        contiguous.insert(0, step)
        step *= length
    if any(have != want and length > 1 for have, want, length in zip(stride, contiguous, shape, strict=True)):
        raise pickle.UnpicklingError("a tensor that is not contiguous")
    return _Tensor(storage, int(offset), shape)


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}


class _StateDictUnpickler(pickle.Unpickler):
    """An unpickler that knows only the names that a state dict needs."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in KNOWN:
            return KNOWN[module, name]
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"it imports {module[:80]}.{name[:80]}, which a state dict does not need")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, elements = pid
        if kind != "storage" or dtype not in STORAGES.values() or not str(key).isdecimal():
            raise pickle.UnpicklingError("a storage of an unknown kind")
        return _Storage(dtype, str(key), int(elements))


def convert_here(source: Path, target: Path) -> None:
    """Converts one pickle to safetensors in this process. Raises ValueError and others with the reason."""
    with zipfile.ZipFile(source) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(names) != 1:
            raise ValueError("it is not a PyTorch archive (one data.pkl)")
        if archive.getinfo(names[0]).file_size > PICKLE_BYTES:
            raise ValueError(f"its pickle is larger than {PICKLE_BYTES:,} bytes")
        root = names[0].removesuffix("data.pkl")
        with archive.open(names[0]) as file:
            state = _StateDictUnpickler(file).load()
        _extend_time_limit()
        if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
            raise ValueError("it is not a dict of tensors")
        tensors = {name: value for name, value in state.items() if isinstance(value, _Tensor)}
        if len(tensors) != len(state) or not tensors:
            raise ValueError("it contains other things than tensors")
        order = sorted(tensors, key=lambda name: -BITS[tensors[name].storage.dtype])
        pieces = [_piece(name, tensors[name]) for name in order]
        write_safetensors(target, pieces, (_bytes(archive, root, name, tensors[name]) for name in order))


def _extend_time_limit() -> None:
    """Allows more time for copying the tensors than for reading the pickle."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


def _piece(name: str, tensor: _Tensor) -> TensorPiece:
    size = prod(tensor.shape) * BITS[tensor.storage.dtype] // 8
    return TensorPiece(name, tensor.storage.dtype, tensor.shape, "", ((0, size),))


def _bytes(archive: zipfile.ZipFile, root: str, name: str, tensor: _Tensor) -> bytes:
    width = BITS[tensor.storage.dtype] // 8
    info = archive.getinfo(f"{root}data/{tensor.storage.key}")
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != tensor.storage.elements * width:
        raise ValueError(f"the storage of {name[:200]} is compressed or has another size than it claims")
    start, size = tensor.offset * width, prod(tensor.shape) * width
    data = archive.read(info)
    if start < 0 or start + size > len(data):
        raise ValueError(f"tensor {name[:200]} reaches outside its storage")
    return data[start : start + size]


def convert_pickle(source: Path, target: Path) -> None:
    """Converts one pickle to a safetensors file in an isolated child. Raises ZooError with the reason."""
    code = "from zoo.exchange.unpickle import child\nsys.exit(child(sys.argv[1], sys.argv[2], int(sys.argv[3])))"
    try:
        done = subprocess.run(
            isolated(code, str(source.absolute()), str(target.absolute()), str(READ_SECONDS)),
            stdin=subprocess.DEVNULL, capture_output=True, env={}, timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        target.unlink(missing_ok=True)
        raise ZooError(f"{source}: cannot be converted within an hour; none of its code was run.") from None
    if done.returncode:
        target.unlink(missing_ok=True)
        output = done.stderr.decode(errors="replace").strip().splitlines()
        reason = output[-1][:300] if output else f"the child exited with {done.returncode}"
        raise ZooError(f"{source}: cannot be converted: {reason}; none of its code was run.")


def child(source: str, target: str, read_seconds: int) -> int:
    """Runs in the isolated child: returns its exit code and writes the reason for a refusal to standard error."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.unshare(NEW_USER | NEW_NET | NEW_IPC)  # if the kernel refuses, only the unpickler protects
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (read_seconds, SECONDS))  # a few nested bytes can cost hours of hashing
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        convert_here(Path(source), Path(target))
    except Exception as error:  # any exception that a hostile file causes is a refusal
        sys.stderr.write(f"{' '.join(str(error).split()) or type(error).__name__}\n")
        return 1
    return 0
