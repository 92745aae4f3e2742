"""What a zygote has imported before it makes children, and which programs want more.

Each page and each mapping of a zygote is paid by every program cloned from it. So most programs come from a
narrow one, with what solutions of HumanEval and MBPP import, and the few that import something heavy (numpy first
of all) from a wide one, which is started for the first of them. Any other module is imported by the program that
asks for it: a few milliseconds, where a wide zygote takes half a second to start.
"""

import re

# with what these import when first called
NARROW = (
    "abc", "bisect", "collections", "collections.abc", "contextlib", "copy", "enum", "functools", "heapq", "io",
    "itertools", "json", "keyword", "linecache", "math", "operator", "os", "pickle", "random", "re", "string",
    "struct", "sys", "time", "types", "typing", "warnings", "weakref",
)  # fmt: skip
WIDE = (
    "array", "ast", "asyncio", "base64", "calendar", "cmath", "codecs", "csv", "ctypes", "dataclasses",
    "datetime", "decimal", "difflib", "fractions", "hashlib", "inspect", "locale", "logging", "numbers", "pathlib",
    "platform", "pprint", "queue", "secrets", "shutil", "signal", "statistics", "subprocess", "tempfile", "textwrap",
    "threading", "timeit", "traceback", "unicodedata", "unittest", "uuid", "zlib",
)  # fmt: skip
HEAVY = ("asyncio", "unittest")  # beside numpy: tens of milliseconds to import
_NAMES = "|".join(HEAVY)
_IMPORTS = re.compile(rf"^[^#\n]*\bimport\b.*\b(?:{_NAMES})\b|^[ \t]*from[ \t]+(?:{_NAMES})\b", re.MULTILINE)


def wants_wide(source: str) -> bool:
    """Whether a program imports something heavy. A wrong answer costs time alone.

    >>> wants_wide("import math, csv"), wants_wide("import math, asyncio"), wants_wide("# a unittest")
    (False, True, False)
    >>> wants_wide("def f():\\n    import numpy as np"), wants_wide("from unittest.mock import patch")
    (True, True)
    """
    return "numpy" in source or ("import" in source and _IMPORTS.search(source) is not None)
