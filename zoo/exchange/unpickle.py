"""PyTorch pickles (.bin, .pt) made into safetensors without ever running what they say.

A child process reads the file: no environment, no network and its own namespaces where the kernel
allows, limits on memory, time and files. There the pickle's opcodes meet an unpickler that knows
four names, each bound to an inert function of ours (an ordered dict, a tensor's description, a
storage's type); any other name ends the conversion. Bytes are copied, no tensor is computed, torch
is not imported. What comes out is checked like any other file that enters.

Not contained: a fault in CPython's own pickle or zip readers, beyond what the limits hold.
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
from zoo.exchange.phi_convert import Piece, write_safetensors

STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
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
    """What `torch._utils._rebuild_tensor_v2` would build, as a description."""
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    shape = tuple(int(length) for length in size)
    wanted: list[int] = []
    step = 1
    for length in reversed(shape):
        wanted.insert(0, step)
        step *= length
    if any(have != want and length > 1 for have, want, length in zip(stride, wanted, shape, strict=True)):
        raise pickle.UnpicklingError("a tensor that is not contiguous")
    return _Tensor(storage, int(offset), shape)


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}


class _Reader(pickle.Unpickler):
    """An unpickler that knows only what a state dict needs."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in KNOWN:
            return KNOWN[module, name]
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"it asks for {module[:80]}.{name[:80]}, which a state dict does not need")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, elements = pid
        if kind != "storage" or dtype not in STORAGES.values() or not str(key).isdecimal():
            raise pickle.UnpicklingError("a storage of an unknown kind")
        return _Storage(dtype, str(key), int(elements))


def read(source: Path, target: Path) -> None:
    """Writes one pickle's tensors as safetensors, in this process. Raises ValueError and its like with the reason."""
    with zipfile.ZipFile(source) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(names) != 1:
            raise ValueError("it is not a PyTorch archive (one data.pkl)")
        if archive.getinfo(names[0]).file_size > PICKLE_BYTES:
            raise ValueError(f"its pickle is larger than {PICKLE_BYTES:,} bytes")
        root = names[0].removesuffix("data.pkl")
        with archive.open(names[0]) as file:
            told = _Reader(file).load()
        _soften()
        if not isinstance(told, dict) or not all(isinstance(name, str) for name in told):
            raise ValueError("it is not a dict of tensors")
        tensors = {name: value for name, value in told.items() if isinstance(value, _Tensor)}
        if len(tensors) != len(told) or not tensors:
            raise ValueError("it holds other things than tensors")
        order = sorted(tensors, key=lambda name: -BITS[tensors[name].storage.dtype])
        pieces = [_piece(name, tensors[name]) for name in order]
        write_safetensors(target, pieces, (_bytes(archive, root, name, tensors[name]) for name in order))


def _soften() -> None:
    """Lets the copying that follows take longer than the reading of the pickle may."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


def _piece(name: str, tensor: _Tensor) -> Piece:
    size = prod(tensor.shape) * BITS[tensor.storage.dtype] // 8
    return Piece(name, tensor.storage.dtype, tensor.shape, "", ((0, size),))


def _bytes(archive: zipfile.ZipFile, root: str, name: str, tensor: _Tensor) -> bytes:
    width = BITS[tensor.storage.dtype] // 8
    told = archive.getinfo(f"{root}data/{tensor.storage.key}")
    if told.compress_type != zipfile.ZIP_STORED or told.file_size != tensor.storage.elements * width:
        raise ValueError(f"the storage of {name[:200]} is compressed or of another size than it says")
    begin, size = tensor.offset * width, prod(tensor.shape) * width
    data = archive.read(told)
    if begin < 0 or begin + size > len(data):
        raise ValueError(f"tensor {name[:200]} reaches outside its storage")
    return data[begin : begin + size]


def convert_pickle(source: Path, target: Path) -> None:
    """Writes one pickle's tensors as a safetensors file, in an isolated child. Raises ZooError with the reason."""
    code = (
        f"import sys; sys.path[:0] = {[str(Path(__file__).parents[2])]!r}\n"
        "from zoo.exchange.unpickle import child\nsys.exit(child(sys.argv[1], sys.argv[2], int(sys.argv[3])))"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", code, str(source.absolute()), str(target.absolute()), str(READ_SECONDS)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={},
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        target.unlink(missing_ok=True)
        raise ZooError(f"{source}: cannot be converted within an hour; nothing of it was run.") from None
    if done.returncode:
        target.unlink(missing_ok=True)
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1][:300] if said else f"the child ended with {done.returncode}"
        raise ZooError(f"{source}: cannot be converted: {reason}; nothing of it was run.")


def child(source: str, target: str, read_seconds: int) -> int:
    """What the isolated child does; gives its exit code, the reason of a refusal on standard error."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.unshare(NEW_USER | NEW_NET | NEW_IPC)  # where the kernel refuses, the unpickler alone must hold
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (read_seconds, SECONDS))  # a few bytes can nest to hours of hashing
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        read(Path(source), Path(target))
    except Exception as error:  # whatever a hostile file makes a reader raise, it is a refusal
        sys.stderr.write(f"{' '.join(str(error).split()) or type(error).__name__}\n")
        return 1
    return 0
