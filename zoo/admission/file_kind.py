"""What a file really is, by its bytes and never by its name: pickles, archives and programs in disguise.

A pickle needs no mark: protocol 0 has none, and any protocol is read without one. So the opcodes are
walked here as an unpickler would walk them, with the depth of its stack and nothing else of it, and a
file is a pickle when it would fetch a callable before it stops making sense. A zip archive is found
from its end, as readers find it, so anything may stand before it.

Nothing is imported, called or decompressed.
"""

import io
import pickletools
import re
import struct
from typing import Any, BinaryIO

# what a file begins with when it is something that runs, or holds such a thing
MAGIC = {
    b"\x80": "a pickle",
    b"PK": "a zip archive (PyTorch's .bin and .pt are such)",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"Rar!": "a RAR archive",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"\xcf\xfa\xed\xfe": "a program",
    b"\xca\xfe\xba\xbe": "a program",
    b"\x00asm": "a program",
    b"#!": "a script",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy file",
    b"GGUF": "a GGUF file",
}
TAR_MARK_AT = 257
OPCODES = 100_000
BY_CODE = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
LINE_BYTES = 1 << 16  # of an argument that ends with its line: longer than any name
# how long an opcode's argument is, when that stands before it: bytes and form of the length
LENGTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: (1, "<B"),
    pickletools.TAKEN_FROM_ARGUMENT4: (4, "<i"),
    pickletools.TAKEN_FROM_ARGUMENT4U: (4, "<I"),
    pickletools.TAKEN_FROM_ARGUMENT8U: (8, "<Q"),
}
END_BYTES = 22 + 65_535  # a zip archive's end record and its longest comment
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)* [A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
USES = ("REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "BUILD", "STOP")


def disguise(file: BinaryIO, size: int, weights: bool) -> str:
    """What an open file of `size` bytes really is when that may not enter ("a pickle"), or "".

    weights  it is called safetensors: its first 8 bytes are a length, where any byte may stand
    """
    first = file.read(512)
    if not weights:
        for magic, what in MAGIC.items():
            if first.startswith(magic):
                return f"{what} by its first bytes"
    if first[TAR_MARK_AT : TAR_MARK_AT + 5] == b"ustar":
        return "a tar archive by its header"
    file.seek(0)
    if is_pickle(file, size):
        return "a pickle by its opcodes"
    if is_zip(file, size):
        return "a zip archive by its end (one is appended to it)"
    return ""


def is_pickle(file: BinaryIO, size: int) -> bool:
    """Whether unpickling a file from where it stands would fetch a callable and use it."""
    fetched, depth = False, 0
    marks: list[int] = []
    for _ in range(OPCODES):
        try:
            opcode, argument = _opcode(file, size)
            depth = _stack_after(opcode, depth, marks)
        except (ValueError, IndexError, UnicodeError):
            return False  # an unpickler ends here too
        if opcode.name in ("GLOBAL", "INST") and not DOTTED.fullmatch(argument):
            return False  # no module can be called so: "(c) 2023 The Authors" is a notice
        fetched = fetched or opcode.name in ("GLOBAL", "INST", "STACK_GLOBAL")
        if fetched and opcode.name in USES:
            return True
        if opcode.name == "STOP":
            return False
    return True  # so long a walk without an error is no text


def _opcode(file: BinaryIO, size: int) -> tuple[Any, str]:
    """The next opcode and, of one that names something, the name. Raises ValueError where there is none."""
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
        return opcode, _text(opcode, file)
    width, form = LENGTHS[kind]
    (length,) = struct.unpack(form, file.read(width).ljust(width, b"\xff"))
    if length < 0 or file.tell() + length > size:
        raise ValueError("the argument ends early")
    file.seek(length, 1)
    return opcode, ""


def _text(opcode: Any, file: BinaryIO) -> str:
    """The argument that ends with its line, if an unpickler would take it; a name's two lines as one."""
    line = _line(file)
    if opcode.name in ("GLOBAL", "INST"):
        if not line.endswith(b"\n"):
            raise ValueError("the line ends early")
        return (line + _line(file).removesuffix(b"\n")).decode().replace("\n", " ")
    if opcode.name == "STRING":  # pickletools would decode it, and warn of what a text has behind a backslash
        text = line.strip()
        if len(text) < 2 or text[:1] not in (b"'", b'"') or text[-1:] != text[:1]:
            raise ValueError("no quotes")
    elif opcode.name != "PERSID":
        opcode.arg.reader(io.BytesIO(line))
    return ""


def _line(file: BinaryIO) -> bytes:
    """The bytes up to the next newline; of a long line only the beginning is kept."""
    kept = last = file.readline(LINE_BYTES)
    while last and not last.endswith(b"\n"):
        last = file.readline(LINE_BYTES)
    return kept if kept.endswith(b"\n") or not last else kept + b"\n"


def _stack_after(opcode: Any, depth: int, marks: list[int]) -> int:
    """The depth of the stack after an opcode. Raises IndexError where an unpickler would find it empty."""
    before, after = opcode.stack_before, opcode.stack_after
    if opcode.name == "POP" and marks and marks[-1] == depth:
        return marks.pop()
    if pickletools.markobject in before:
        depth = marks.pop() - before.index(pickletools.markobject)  # down to the mark, and what lies below it
    else:
        depth -= len(before)
    if depth < (marks[-1] if marks else 0):
        raise IndexError("the stack is empty")
    if pickletools.markobject in after:
        marks.append(depth)
        return depth
    return depth + len(after)


def is_zip(file: BinaryIO, size: int) -> bool:
    """Whether a zip reader would find an archive with a member in it, whatever stands before it.

    Weights are arbitrary bytes: the end record alone turns up in one file of 65,000, together with
    a member's entry where the record says in one of 10^14.
    """
    start = max(0, size - END_BYTES)
    file.seek(start)
    tail = file.read(END_BYTES)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if len(tail) - at >= 22:
            length, offset = struct.unpack("<II", tail[at + 12 : at + 20])
            large = b"PK\x06\x07" in tail[max(0, at - 20) : at]
            for place in (start + at - length, offset):
                file.seek(max(0, place))
                if large or file.read(4) == b"PK\x01\x02":
                    return True
        at = tail.rfind(b"PK\x05\x06", 0, at)
    return False
