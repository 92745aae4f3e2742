"""Recognises disguised pickles, archives and programs by their bytes, never by their name.

A pickle needs no magic number: protocol 0 has none, and any protocol can be read without it. So we walk the
opcodes as an unpickler would, keeping only the depth of its stack; a file is a pickle if it would fetch a
callable before the first invalid opcode. A zip archive is found from its end, as readers find it, so any
bytes may precede it.

Nothing is imported, called or decompressed.
"""

import io
import pickletools
import re
import struct
from typing import Any, BinaryIO

# the first bytes of files that can run, or can contain something that runs
MAGIC = {
    b"\x80": "a pickle", b"PK": "a zip archive (PyTorch's .bin and .pt are such)", b"7z\xbc\xaf": "a 7z archive",
    b"\x1f\x8b": "a gzip archive", b"BZh": "a bzip2 archive", b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive", b"Rar!": "a RAR archive", b"\x7fELF": "a program", b"MZ": "a program",
    b"\xcf\xfa\xed\xfe": "a program", b"\xca\xfe\xba\xbe": "a program", b"\x00asm": "a program", b"#!": "a script",
    b"\x89HDF": "an HDF5 file", b"\x93NUMPY": "a NumPy file", b"GGUF": "a GGUF file",
}  # fmt: skip
TAR_MARK_AT = 257
OPCODES = 100_000
BY_CODE = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
LINE_BYTES = 1 << 16  # of an argument that ends at the end of its line: longer than any name
# for arguments with a length prefix: bytes and format of the length
LENGTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: (1, "<B"), pickletools.TAKEN_FROM_ARGUMENT4: (4, "<i"),
    pickletools.TAKEN_FROM_ARGUMENT4U: (4, "<I"), pickletools.TAKEN_FROM_ARGUMENT8U: (8, "<Q"),
}  # fmt: skip
END_BYTES = 22 + 65_535  # a zip archive's end record and its longest comment
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)* [A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
USES = ("REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "BUILD", "STOP")


def forbidden_kind(file: BinaryIO, size: int, weights: bool) -> str:
    """The real kind of an open file of `size` bytes if it may not enter ("a pickle"), or "".

    weights  safetensors, whose first 8 bytes are a length and may have any value, or GGUF: read by a parser
    """
    first = file.read(512)
    if not weights:
        for magic, kind in MAGIC.items():
            if first.startswith(magic):
                return f"{kind} by its first bytes"
    if first[TAR_MARK_AT : TAR_MARK_AT + 5] == b"ustar":
        return "a tar archive by its header"
    file.seek(0)
    if is_pickle(file, size):
        return "a pickle by its opcodes"
    if is_zip(file, size):
        return "a zip archive by its end (one is appended to it)"
    return ""


def is_pickle(file: BinaryIO, size: int) -> bool:
    """Whether unpickling an open file from its position would fetch a callable and use it."""
    fetched, depth = False, 0
    marks: list[int] = []
    for _ in range(OPCODES):
        try:
            opcode, argument = _read_opcode(file, size)
            depth = _stack_after(opcode, depth, marks)
        except (ValueError, IndexError, UnicodeError):
            return False  # an unpickler stops here too
        if opcode.name in ("GLOBAL", "INST") and not DOTTED.fullmatch(argument):
            return False  # not a possible module name: "(c) 2023 The Authors" is a notice
        fetched = fetched or opcode.name in ("GLOBAL", "INST", "STACK_GLOBAL")
        if fetched and opcode.name in USES:
            return True
        if opcode.name == "STOP":
            return False
    return True  # no text parses as so many opcodes


def _read_opcode(file: BinaryIO, size: int) -> tuple[Any, str]:
    """Reads the next opcode, with the name if it names something. Raises ValueError if it is invalid."""
    opcode = BY_CODE.get(file.read(1))
    if opcode is None:
        raise ValueError("no opcode")
    if opcode.arg is None:
        return opcode, ""
    kind = opcode.arg.n
    if kind >= 0:
        if len(file.read(kind)) < kind:
            raise ValueError("the argument ends early")
        return opcode, ""
    if kind == pickletools.UP_TO_NEWLINE:
        return opcode, _read_text(opcode, file)
    width, form = LENGTHS[kind]
    (length,) = struct.unpack(form, file.read(width).ljust(width, b"\xff"))
    if length < 0 or file.tell() + length > size:
        raise ValueError("the argument ends early")
    file.seek(length, 1)
    return opcode, ""


def _read_text(opcode: Any, file: BinaryIO) -> str:
    """Reads an argument that ends with its line, if an unpickler accepts it; the two lines of a name as one."""
    line = _read_line(file)
    if opcode.name in ("GLOBAL", "INST"):
        if not line.endswith(b"\n"):
            raise ValueError("the line ends early")
        return (line + _read_line(file).removesuffix(b"\n")).decode().replace("\n", " ")
    if opcode.name == "STRING":  # pickletools would decode it, and warn about backslashes
        text = line.strip()
        if len(text) < 2 or text[:1] not in (b"'", b'"') or text[-1:] != text[:1]:
            raise ValueError("no quotes")
    elif opcode.name != "PERSID":
        opcode.arg.reader(io.BytesIO(line))
    return ""


def _read_line(file: BinaryIO) -> bytes:
    """Reads up to the next newline; only the beginning of a long line is returned."""
    kept = last = file.readline(LINE_BYTES)
    while last and not last.endswith(b"\n"):
        last = file.readline(LINE_BYTES)
    return kept if kept.endswith(b"\n") or not last else kept + b"\n"


def _stack_after(opcode: Any, depth: int, marks: list[int]) -> int:
    """The depth of the stack after an opcode. Raises IndexError if an unpickler would find it empty."""
    before, after = opcode.stack_before, opcode.stack_after
    if opcode.name == "POP" and marks and marks[-1] == depth:
        return marks.pop()
    if pickletools.markobject in before:
        depth = marks.pop() - before.index(pickletools.markobject)  # down to the mark and the values below it
    else:
        depth -= len(before)
    if depth < (marks[-1] if marks else 0):
        raise IndexError("the stack is empty")
    if pickletools.markobject in after:
        marks.append(depth)
        return depth
    return depth + len(after)


def is_zip(file: BinaryIO, size: int) -> bool:
    """Whether a zip reader would find an archive with a member in it, whatever bytes precede it.

    Weights are arbitrary bytes: the end record alone appears by chance in one file of 65,000, but
    together with a member's entry at the recorded offset only in one of 10^14.
    """
    start = max(0, size - END_BYTES)
    file.seek(start)
    tail = file.read(END_BYTES)
    position = tail.rfind(b"PK\x05\x06")
    while position >= 0:
        if len(tail) - position >= 22:
            length, offset = struct.unpack("<II", tail[position + 12 : position + 20])
            large = b"PK\x06\x07" in tail[max(0, position - 20) : position]
            for entry in (start + position - length, offset):
                file.seek(max(0, entry))
                if large or file.read(4) == b"PK\x01\x02":
                    return True
        position = tail.rfind(b"PK\x05\x06", 0, position)
    return False
