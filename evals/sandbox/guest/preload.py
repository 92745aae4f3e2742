"""The modules that a zygote imports before it makes children, and the programs that need more of them.

Every program cloned from a zygote pays for each of its pages and mappings. So most programs come from a narrow
zygote, which has the modules that solutions of HumanEval and MBPP import. The few that import something heavy
(numpy above all) come from a wide one, started for the first of them. A program imports any other module itself:
that takes a few milliseconds, and a wide zygote takes half a second to start.
"""

import re

# including the modules that these import when first called
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
HEAVY = ("asyncio", "unittest")  # apart from numpy: tens of milliseconds to import
_NAMES = "|".join(HEAVY)
_IMPORTS = re.compile(rf"^[^#\n]*\bimport\b.*\b(?:{_NAMES})\b|^[ \t]*from[ \t]+(?:{_NAMES})\b", re.MULTILINE)


def wants_wide(source: str) -> bool:
    """Whether a program imports something heavy. A wrong answer only costs time.

    >>> wants_wide("import math, csv"), wants_wide("import math, asyncio"), wants_wide("# a unittest")
    (False, True, False)
    >>> wants_wide("def f():\\n    import numpy as np"), wants_wide("from unittest.mock import patch")
    (True, True)
    """
    return "numpy" in source or ("import" in source and _IMPORTS.search(source) is not None)
