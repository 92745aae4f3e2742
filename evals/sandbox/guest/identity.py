"""Whether a program compares identity, which the copies that it gets and gives do not keep. Standard library only."""

import builtins
import opcode
from types import CodeType

# a private copy of builtins, so that a program that replaces Python's harms only itself
globals()["__builtins__"] = dict(vars(builtins))

IS, CONSTANT = opcode.opmap["IS_OP"], opcode.opmap["LOAD_CONST"]
UNIQUE = (None, True, False, ...)  # each exists once, here and in the judge


def compares_identity(code: CodeType) -> bool:
    """Whether compiled code uses `is` between values that are no such constants, or calls id().

    >>> compares_identity(compile("def f(a, b): return a is b", "f", "exec"))
    True
    >>> compares_identity(compile("def f(a): return a is None or a is not True", "f", "exec"))
    False
    """
    if "id" in code.co_names:
        return True
    units = code.co_code
    at = units.find(IS)
    while at >= 0:
        if not at % 2 and not _loads_unique(code, units, at - 2):
            return True
        at = units.find(IS, at + 1)
    return any(type(inner) is CodeType and compares_identity(inner) for inner in code.co_consts)


def _loads_unique(code: CodeType, units: bytes, at: int) -> bool:
    """Whether the instruction before a comparison loads a constant that exists once."""
    if at < 0 or units[at] != CONSTANT or units[at + 1] >= len(code.co_consts):
        return False
    value = code.co_consts[units[at + 1]]
    return any(value is one for one in UNIQUE)
