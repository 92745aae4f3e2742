"""Imports a GGUF file as a checkpoint: the file as it is, with the name, licence and origin that it states."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from zoo.admission.gguf_header import read_gguf
from zoo.records import About, Checkpoint

if TYPE_CHECKING:
    from zoo.registry import Registry

LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+\-]{0,63}")


def import_gguf(registry: "Registry", path: Path, name: str, about: About, link: bool = False) -> Checkpoint:
    """Adds a GGUF file under a name. Raises ZooError if it may not enter; nothing is left behind."""
    stated = str(read_gguf(path).metadata.get("general.license", ""))
    if about.licence == "unknown" and LICENCE.fullmatch(stated):
        about = msgspec.structs.replace(about, licence=stated)
    return registry.add(path, name, about, link)
