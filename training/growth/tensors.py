"""Reads the tensors of a checkpoint folder by name, one at a time.

It does not use a memory map: pages read through a map count as this process's memory while the file is open,
and a folder of 10 GiB would fill it.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from zoo.admission.safetensors_header import Tensor, read_header
from zoo.errors import ZooError

if TYPE_CHECKING:
    import torch

# safetensors' names of the types that a Phi is published in
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class TensorFolder:
    """The safetensors files of a folder; only the headers are read until a tensor is requested."""

    def __init__(self, folder: Path) -> None:
        self.places: dict[str, tuple[Path, int, Tensor]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            header = read_header(path)
            self.places.update({tensor.name: (path, header.data_start, tensor) for tensor in header.tensors})

    def __contains__(self, name: str) -> bool:
        return name in self.places

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape, from its header."""
        return self.places[name][2].shape

    def read(self, name: str, begin: int = 0, end: int | None = None) -> "torch.Tensor":
        """Reads a tensor, or its rows begin..end, in its stored type. Raises ZooError for an unknown type."""
        import torch

        path, start, tensor = self.places[name]
        if tensor.dtype not in DTYPES:
            raise ZooError(f"{path.name}: {name} is {tensor.dtype}; supported: {', '.join(DTYPES)}")
        dtype = getattr(torch, DTYPES[tensor.dtype])
        shape = list(tensor.shape)
        row = (tensor.end - tensor.begin) // shape[0]
        stop = shape[0] if end is None else min(end, shape[0])
        buffer = torch.empty((stop - begin) * row, dtype=torch.uint8)
        with path.open("rb", buffering=0) as file:
            file.seek(start + tensor.begin + begin * row)
            view, done = buffer.numpy().data, 0
            while done < len(view):
                got = file.readinto(view[done:])
                if not got:
                    raise ZooError(f"{path.name} ends inside {name}; check it with: phizoo models verify")
                done += got
        return buffer.view(dtype).reshape([stop - begin, *shape[1:]])
