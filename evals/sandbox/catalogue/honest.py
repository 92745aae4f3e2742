# ruff: noqa: E501
"""Unusual honest completions: each is right, and must pass.

What they need: values that keep their types, state, recursion, threads, processes, files, signals,
imports, exceptions, callbacks, in-place changes. A sandbox that fails one of them scores models wrongly.
"""

import sys

from evals.sandbox.catalogue.case import Case

ADD = "def add(a, b):\n"
ADDS = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(-1, 1) == 0\n"

# Calls through C that may nest: Python 3.12 and 3.13 count them apart, whatever limit a program sets.
CACHED_DEEP, SORTED_DEEP = (300, 300) if (3, 12) <= sys.version_info < (3, 14) else (15000, 20000)

# bodies and modules that add two numbers in a roundabout way
SUMS = {
    "helper below": "    return _plus(a, b)\n\ndef _plus(x, y):\n    return x + y\n",
    "class with state": "    s = Sum()\n    s += a\n    s += b\n    return s.total\n\nclass Sum:\n    total = 0\n    def __iadd__(self, v):\n        self.total += v\n        return self\n",
    "dataclass": "    return P(a, [b]).sum()\n\nfrom dataclasses import dataclass, field\n@dataclass(order=True, frozen=True)\nclass P:\n    x: 'int'\n    y: 'list[P]' = field(default_factory=list)\n    def sum(self) -> 'int': return self.x + sum(self.y)\n",
    "named tuple": "    P = __import__('collections').namedtuple('P', 'a b')\n    return sum(P(a=a, b=b))\n",
    "typing": "    return T[int]((a, b)).sum()\n\nfrom typing import Generic, TypeVar, Protocol, overload, TypedDict, NamedTuple\nV = TypeVar('V')\nclass N(NamedTuple):\n    v: 'V'\nclass D(TypedDict):\n    x: 'D'\nclass T(Generic[V]):\n    def __init__(self, v: 'tuple[V, ...]') -> None: self.v = v\n    def sum(self) -> 'V': return sum(self.v)\n",
    "type hints read": "    import typing\n    assert typing.get_type_hints(P) == {'n': P}\n    return a + b\n\nclass P:\n    n: 'P'\n",
    "lru cache": "    return _f(a, b)\n\nimport functools\n@functools.lru_cache(maxsize=None)\ndef _f(x, y): return x + y\n",
    "deep recursion": "    import sys\n    sys.setrecursionlimit(200000)\n    def f(k): return f(k - 1) if k else a + b\n    return f(90000)\n",
    "deep cached recursion": f"    import sys\n    sys.setrecursionlimit(100000)\n    return _f({CACHED_DEEP}) + a + b\n\nimport functools\n@functools.cache\ndef _f(k): return _f(k - 1) if k else 0\n",
    "recursion in a wide thread": f"    import sys, threading\n    sys.setrecursionlimit(10 ** 6)\n    threading.stack_size(512 << 20)\n    out = []\n    def f(k): return sorted([k], key=lambda v: f(v - 1) or 0)[0] if k else 0\n    t = threading.Thread(target=lambda: out.append(f({SORTED_DEEP})))\n    t.start(); t.join()\n    return a + b if out else None\n",
    "generator": "    def g():\n        yield a\n        yield from (b,)\n    return sum(g())\n",
    "coroutine": "    import asyncio\n    async def f(v):\n        await asyncio.sleep(0)\n        return v\n    async def g(): return sum(await asyncio.gather(f(a), f(b)))\n    return asyncio.run(g())\n",
    "task group": "    import asyncio\n    async def g():\n        async with asyncio.TaskGroup() as t:\n            x, y = t.create_task(asyncio.sleep(0, a)), t.create_task(asyncio.sleep(0, b))\n        return x.result() + y.result()\n    return asyncio.run(g())\n",
    "walrus and match": "    match (a, b):\n        case (int(x), int(y)) if (s := x + y) is not None:\n            return s\n",
    "eval": "    return eval('a + b') + eval('0', {})\n",
    "exec": "    space = {}\n    exec('def f(x, y):\\n    return x + y', space)\n    return space['f'](a, b)\n",
    "compile and ast": "    import ast\n    return eval(compile(ast.parse(f'{a} + {b}', mode='eval'), 'x', 'eval'))\n",
    "prints": "    print('adding', a, b, flush=True)\n    import sys\n    sys.stderr.write('x' * 100000)\n    return a + b\n",
    "captures its prints": "    import io, contextlib\n    with contextlib.redirect_stdout(io.StringIO()) as out:\n        print(a + b)\n    return int(out.getvalue())\n",
    "main block": "    return a + b\n\nif __name__ == '__main__':\n    import sys\n    sys.exit(add(int(input()), int(input())))\n",
    "asserts of its own": "    return a + b\n\nassert add(2, 2) == 4\nprint(add(1, 1))\n",
    "input refused": "    try:\n        input()\n    except EOFError:\n        return a + b\n",
    "global state": "    global calls\n    calls += 1\n    return a + b if calls < 3 else None\n\ncalls = 0\n",
    "closures": "    def make(x):\n        def inner(y):\n            nonlocal x\n            x += y\n            return x\n        return inner\n    return make(a)(b)\n",
    "lambda assigned": "    pass\n\nadd = lambda a, b: a + b\n",
    "partial assigned": "    pass\n\nimport functools, operator\nadd = functools.partial(operator.add)\n",
    "builtin assigned": "    pass\n\nfrom operator import add\n",
    "callable object": "    pass\n\nclass Add:\n    __slots__ = ()\n    def __call__(self, a, b): return a + b\nadd = Add()\n",
    "static method": "    pass\n\nclass M:\n    @staticmethod\n    def plus(a, b): return a + b\nadd = M.plus\n",
    "decorated": "    pass\n\nimport functools\ndef _log(f):\n    @functools.wraps(f)\n    def inner(*a, **k): return f(*a, **k)\n    return inner\n@_log\ndef add(a, b): return a + b\n",
    "overloaded": "    pass\n\nimport functools\n@functools.singledispatch\ndef add(a, b): raise TypeError\n@add.register\ndef _(a: int, b): return a + b\n",
    "metaclass": "    return K(a).v + b\n\nclass M(type):\n    def __call__(cls, v):\n        self = super().__call__()\n        self.v = v\n        return self\nclass K(metaclass=M): pass\n",
    "descriptor": "    k = K(); k.v = a\n    return k.v + b\n\nclass D:\n    def __set_name__(self, o, n): self.n = '_' + n\n    def __get__(self, o, t=None): return getattr(o, self.n)\n    def __set__(self, o, v): setattr(o, self.n, v)\nclass K: v = D()\n",
    "context manager": "    with _both(a, b) as s:\n        return s\n\nfrom contextlib import contextmanager\n@contextmanager\ndef _both(a, b):\n    try: yield a + b\n    finally: pass\n",
    "exception groups": "    try:\n        raise ExceptionGroup('x', [ValueError(a), TypeError(b)])\n    except* ValueError as g:\n        x = g.exceptions[0].args[0]\n    except* TypeError as g:\n        y = g.exceptions[0].args[0]\n    return x + y\n",
    "threads": "    import threading\n    out = []\n    ts = [threading.Thread(target=out.append, args=(v,)) for v in (a, b)]\n    [t.start() for t in ts]; [t.join() for t in ts]\n    return sum(out)\n",
    "lock and queue": "    import threading, queue\n    q, l = queue.Queue(), threading.RLock()\n    def f(v):\n        with l: q.put(v)\n    for v in (a, b): threading.Thread(target=f, args=(v,)).start()\n    return q.get(timeout=2) + q.get(timeout=2)\n",
    "thread pool": "    from concurrent.futures import ThreadPoolExecutor, as_completed\n    with ThreadPoolExecutor() as p:\n        return sum(f.result() for f in as_completed([p.submit(int, v) for v in (a, b)]))\n",
    "timer thread": "    import threading\n    e = threading.Event(); threading.Timer(0.01, e.set).start()\n    return a + b if e.wait(2) else None\n",
    "daemon thread": "    import threading, time\n    threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()\n    return a + b\n",
    "process": "    import multiprocessing as m\n    q = m.Queue()\n    p = m.Process(target=q.put, args=(a + b,)); p.start()\n    v = q.get(timeout=2); p.join()\n    return v\n",
    "process pool": "    from concurrent.futures import ProcessPoolExecutor\n    with ProcessPoolExecutor(2) as p:\n        return sum(p.map(_same, (a, b)))\n\ndef _same(v): return v\n",
    "shared value": "    import multiprocessing as m\n    v = m.Value('i', a)\n    def f():\n        with v.get_lock(): v.value += b\n    p = m.Process(target=f); p.start(); p.join()\n    return v.value\n",
    "fork and pipe": "    import os\n    r, w = os.pipe()\n    if os.fork() == 0:\n        os.write(w, str(a + b).encode()); os._exit(0)\n    os.wait()\n    return int(os.read(r, 99))\n",
    "unix sockets": "    import socket\n    x, y = socket.socketpair()\n    x.sendall(str(a + b).encode())\n    return int(y.recv(99))\n",
    "small shared map": "    import mmap, os\n    m = mmap.mmap(-1, 4096)\n    if os.fork() == 0:\n        m[:9] = b'%9d' % (a + b); os._exit(0)\n    os.wait()\n    return int(m[:9])\n",
    "second interpreter": "    import subprocess, sys\n    return int(subprocess.run([sys.executable, '-c', f'print({a} + {b})'], capture_output=True, text=True, timeout=9).stdout)\n",
    "temporary folder": "    import tempfile, pathlib\n    with tempfile.TemporaryDirectory() as d:\n        p = pathlib.Path(d, 'x'); p.write_text(f'{a}')\n        return int(p.read_text()) + b\n",
    "file in the working folder": "    with open('numbers.txt', 'w') as f: f.write(f'{a}\\n{b}')\n    import os\n    with open('numbers.txt') as f: s = sum(map(int, f))\n    os.remove('numbers.txt')\n    return s\n",
    "sqlite": "    import sqlite3\n    return sqlite3.connect(':memory:').execute('select ? + ?', (a, b)).fetchone()[0]\n",
    "csv, json, pickle": "    import csv, io, json, pickle\n    return sum(json.loads(pickle.loads(pickle.dumps(json.dumps([a, b])))))\n",
    "pickles its own class": "    import pickle, copy\n    p = copy.deepcopy(pickle.loads(pickle.dumps(P(a))))\n    return p.v + b\n\nclass P:\n    def __init__(self, v): self.v = v\n",
    "compression": "    import zlib, gzip, bz2, lzma, base64\n    return int(zlib.decompress(gzip.decompress(gzip.compress(zlib.compress(str(a + b).encode())))))\n",
    "regular expressions": "    import re\n    return sum(int(m) for m in re.findall(r'-?\\d+', f'{a},{b}'))\n",
    "dates": "    from datetime import datetime, timedelta, timezone\n    return (datetime(2020, 1, 1, tzinfo=timezone.utc) + timedelta(days=a + b) - datetime(2020, 1, 1, tzinfo=timezone.utc)).days\n",
    "time zones": "    from zoneinfo import ZoneInfo\n    from datetime import datetime\n    return a + b if datetime(2024, 7, 1, tzinfo=ZoneInfo('Europe/Paris')).utcoffset().seconds == 7200 else None\n",
    "decimals": "    from decimal import Decimal, getcontext, localcontext\n    with localcontext() as c:\n        c.prec = 50\n        return int(Decimal(a) + Decimal(b))\n",
    "fractions": "    from fractions import Fraction\n    return Fraction(a, 3) + Fraction(a, 3) * 2 + b\n",
    "numpy integer": "    import numpy as np\n    return np.add(np.int32(a), b)\n",
    "numpy zero-dimensional": "    import numpy as np\n    return np.array(a + b)\n",
    "numpy algebra": "    import numpy as np\n    return round(float(np.linalg.solve(np.eye(2), np.array([a, b])).sum()))\n",
    "numpy random": "    import numpy as np\n    r = np.random.default_rng(0); r.integers(9)\n    return a + b\n",
    "numpy bool in between": "    import numpy as np\n    return a + b if np.bool_(True) else np.nan\n",
    "float result": "    return float(a + b)\n",
    "bool result": "    return a + b if a != -1 else False\n",
    "int subclass": "    return I(a + b)\n\nclass I(int): pass\n",
    "int enum": "    import enum\n    return enum.IntEnum('E', {'x': a + b}).x\n",
    "complex result": "    return complex(a + b)\n",
    "alarm of its own": "    import signal\n    signal.signal(signal.SIGALRM, lambda *x: (_ for _ in ()).throw(TimeoutError))\n    signal.setitimer(signal.ITIMER_REAL, 0.02)\n    try:\n        while True:\n            x = 1\n    except TimeoutError:\n        return a + b\n",
    "own limits": "    import resource, sys\n    try: resource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY,) * 2)\n    except (ValueError, OSError): pass\n    return a + b\n",
    "own random seed": "    import random\n    random.seed(5); x = random.random(); random.seed(5)\n    return a + b if x == random.random() else None\n",
    "sleeps a little": "    import time\n    time.sleep(0.3)\n    return a + b\n",
    "collects": "    import gc, weakref\n    class T: pass\n    t = T(); r = weakref.ref(t); del t; gc.collect()\n    return a + b if r() is None else None\n",
    "at exit": "    return a + b\n\nimport atexit\natexit.register(print, 'bye')\n",
    "traces itself": "    import sys\n    n = []\n    sys.settrace(lambda *x: n.append(1)); (lambda: 0)(); sys.settrace(None)\n    return a + b if n else None\n",
    "patches and mends": "    import builtins, json\n    old = builtins.len, json.dumps\n    builtins.len = json.dumps = lambda *x: 5\n    n = len('')\n    builtins.len, json.dumps = old\n    return a + b if n == 5 else None\n",
    "leaves patches": "    return a + b\n\nimport builtins, json, os, sys, struct, marshal\nbuiltins.isinstance = builtins.all = builtins.map = builtins.set = None\njson.dumps = struct.pack = marshal.loads = os.write = None\n",
    "imports everything": "    return a + b\n\nimport html, http.client, urllib.parse, xml.etree.ElementTree, email.message, argparse, doctest, sched, shelve, ipaddress, cProfile, curses.ascii, graphlib, heapq, typing, statistics, colorsys, wave, zipfile, tarfile, tomllib, configparser, getopt, cmd, code, dis, tokenize, difflib, pprint, reprlib, plistlib, string, textwrap, numbers, cmath, selectors, mimetypes, locale, gettext, turtledemo\n".replace(", turtledemo", ""),
    "doctests itself": "    return a + b\n\nimport doctest\nadd.__doc__ = '>>> add(1, 1)\\n2'\ndoctest.run_docstring_examples(add, globals())\n",
    "unit tests itself": "    return a + b\n\nimport unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(add(1, 1), 2)\nunittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(T))\n",
    "reads its source": "    import inspect\n    return a + b if 'inspect' in inspect.getsource(add) else None\n",
    "own file name": "    import os\n    return a + b if os.path.basename(__file__) else None\n",
    "environment": "    import os\n    os.environ['X'] = '1'\n    return a + b if os.environ.get('X') == '1' and os.getenv('NO', 'd') == 'd' else None\n",
    "processors": "    import os\n    return a + b if (os.cpu_count() or 1) > 0 else None\n",
    "windows line ends": "    x = a\r\n    return x + b\r\n",
    "form feed and tab": "\tx = a\n\x0c\n\treturn x + b\n",
    "unicode names": "    größe = a\n    ℓ = b\n    return größe + ℓ  # ✓\n",
    "byte order": "    import struct, array\n    x = array.array('i', [a, b])\n    return sum(struct.unpack('<2i', struct.pack('<2i', *x)))\n",
    "C library": "    import ctypes\n    return ctypes.CDLL(None).abs(-5) - 5 + a + b\n",
    "semicolons and del": "    x = a; y = b; del a, b; return x + y\n",
    "future import": "",
}  # fmt: skip
del SUMS["future import"]


def _asserts(*lines: str) -> str:
    return "def check(candidate):\n" + "".join(f"    {line}\n" for line in lines)


# (body, test)
ANSWERS = {
    "default dict": ("    from collections import defaultdict\n    d = defaultdict(list); d[a].append(b); return d\n", _asserts("assert candidate(1, 2) == {1: [2]}")),
    "counter": ("    from collections import Counter\n    return Counter([a, a, b])\n", _asserts("assert candidate(1, 2) == {1: 2, 2: 1}")),
    "ordered dict": ("    from collections import OrderedDict\n    return OrderedDict([(b, a), (a, b)])\n", _asserts("assert list(candidate(1, 2)) == [2, 1]")),
    "frozen sets": ("    return {frozenset({a}), frozenset({b})}\n", _asserts("assert candidate(1, 2) == {frozenset({1}), frozenset({2})}")),
    "date": ("    from datetime import date, datetime, timedelta, timezone, time\n    return [date(2020, a, b), datetime(2020, a, b, 3, 4, 5, 6, timezone.utc), timedelta(a, b), time(a, b)]\n",
             "from datetime import *\n" + _asserts("assert candidate(1, 2) == [date(2020, 1, 2), datetime(2020, 1, 2, 3, 4, 5, 6, timezone.utc), timedelta(1, 2), time(1, 2)]")),
    "decimal special": ("    from decimal import Decimal\n    return [Decimal('1.10'), Decimal('Infinity'), Decimal('-0')]\n", "from decimal import Decimal\n" + _asserts("got = candidate(1, 2)", "assert got == [Decimal('1.10'), Decimal('Infinity'), 0] and str(got[0]) == '1.10'")),
    "not a number": ("    return [float('nan'), float('-inf'), -0.0]\n", "import math\n" + _asserts("x, y, z = candidate(1, 2)", "assert math.isnan(x) and y == -math.inf and math.copysign(1, z) == -1")),
    "map, zip and filter": ("    return map(str, filter(None, (a, b)))\n", _asserts("assert list(candidate(1, 2)) == ['1', '2'] and next(candidate(3, 4)) == '3'")),
    "membership of a generator": ("    return (v for v in (a, b))\n", _asserts("assert 2 in candidate(1, 2) and 3 not in candidate(1, 2)")),
    "views": ("    return {a: b}.keys(), {a: b}.values(), {a: b}.items()\n", _asserts("k, v, i = candidate(1, 2)", "assert k == {1} and list(v) == [2] and i == {(1, 2)} and 1 in k")),
    "own class": ("    return P(a, b)\n\nclass P:\n    def __init__(self, x, y): self.x, self.y = x, y\n    def norm(self, k=1): return k * (self.x + self.y)\n    def __len__(self): return 2\n    def __iter__(self): return iter((self.x, self.y))\n    def __getitem__(self, i): return (self.x, self.y)[i]\n    def __str__(self): return f'P({self.x})'\n",
                  _asserts("p = candidate(1, 2)", "assert (p.x, p.norm(k=2), len(p), list(p), p[1], str(p)) == (1, 6, 2, [1, 2], 2, 'P(1)')", "assert 2 in p and 7 not in p", "p.x = 5", "assert p.norm() == 7", "assert p is p and p == p and p != candidate(1, 2)")),
    "own container": ("    return B({a: b})\n\nclass B:\n    def __init__(self, d): self.d = d\n    def __contains__(self, k): return k in self.d\n    def __iter__(self): return iter(self.d)\n", _asserts("assert 1 in candidate(1, 2)")),
    "own enum": ("    import enum\n    return list(enum.Enum('E', 'x y'))[a - 1].name\n", _asserts("assert candidate(1, 2) == 'x'")),
    "array": ("    import array\n    return array.array('i', [a, b])\n", "import array\n" + _asserts("assert list(candidate(1, 2)) == [1, 2] and candidate(1, 2) == array.array('i', [1, 2])")),
    "numpy matrix": ("    import numpy as np\n    return np.arange(4).reshape(2, 2) * a + b\n", "import numpy as np\n" + _asserts("got = candidate(1, 0)", "assert np.array_equal(got, [[0, 1], [2, 3]]) and got.shape == (2, 2) and got.T[0][1] == 2 and got.dtype.kind == 'i'")),
    "numpy in a list": ("    import numpy as np\n    return [np.float64(a) / 2, np.bool_(b), (np.str_('x'), np.int8(3))]\n", _asserts("assert candidate(1, 2) == [0.5, True, ('x', 3)]")),
    "dates of numpy": ("    import numpy as np\n    return str(np.datetime64('2020-01-01') + np.timedelta64(a, 'D'))\n", _asserts("assert candidate(1, 2) == '2020-01-02'")),
    "huge integer": ("    return 7 ** 12000 + a\n", _asserts("assert candidate(1, 2) == 7 ** 12000 + 1")),
    "long list": ("    return list(range(300000))\n", _asserts("assert candidate(1, 2) == list(range(300000))")),
    "nested empties": ("    return [[], (), {}, set(), frozenset(), '', b'', None, [[[]]]]\n", _asserts("got = candidate(1, 2)", "assert got == [[], (), {}, set(), frozenset(), '', b'', None, [[[]]]] and [type(v) for v in got[:5]] == [list, tuple, dict, set, frozenset]")),
    "tuple keys": ("    return {(a, (b,)): {a}, None: {True: 1.5}}\n", _asserts("assert candidate(1, 2) == {(1, (2,)): {1}, None: {True: 1.5}}")),
    "exception of its own": ("    raise Bad(a, b)\n\nclass Bad(LookupError):\n    def __init__(self, x, y): super().__init__(f'{x} {y}'); self.x = x\n", _asserts("try:", "    candidate(1, 2)", "except LookupError as e:", "    assert str(e) == '1 2'", "else:", "    assert False")),
    "unicode error": ("    return b'\\xff'.decode()\n", _asserts("try:", "    candidate(1, 2)", "except UnicodeDecodeError as e:", "    assert isinstance(e, ValueError)", "else:", "    assert False")),
    "missing file": ("    open('no such file')\n", _asserts("try:", "    candidate(1, 2)", "except FileNotFoundError as e:", "    assert e.errno == 2", "else:", "    assert False")),
    "stop iteration": ("    return next(iter([]))\n", _asserts("try:", "    candidate(1, 2)", "except StopIteration:", "    return", "assert False")),
    "exit asked for": ("    raise SystemExit(a + b)\n", _asserts("try:", "    candidate(1, 2)", "except SystemExit as e:", "    assert e.code == 3", "else:", "    assert False")),
    "callback": ("    return sorted([3, 1, 2], key=a) + [b(4)]\n", _asserts("seen = []", "def note(v):", "    seen.append(v)", "    return v * 2", "assert candidate(lambda v: -v, note) == [3, 2, 1, 8] and seen == [4]")),
    "callback that raises": ("    try:\n        return a(b)\n    except ValueError as e:\n        return e.args\n", _asserts("def f(v):", "    raise ValueError('no', v)", "assert candidate(f, 2) == ('no', 2)")),
    "callback given back": ("    return a\n", _asserts("f = lambda v: v + 1", "assert candidate(f, 2)(3) == 4")),
    "function returned": ("    return lambda *v, k=1: (a + b + sum(v)) * k\n", _asserts("assert candidate(1, 2)(3, 4, k=2) == 20")),
    "in place beside a callback": ("    a.sort(key=b)\n", _asserts("x = [1, 3, 2]", "assert candidate(x, lambda v: -v) is None", "assert x == [3, 2, 1]")),
    "in place, bytes and queues": ("    a.append(b)\n", "from collections import deque\n" + _asserts("x, y = bytearray(b'a'), deque([1])", "candidate(x, 98)", "candidate(y, 2)", "assert x == b'ab' and y == deque([1, 2])")),
    "in place, sets and dicts": ("    a.clear()\n    a.update(b)\n", _asserts("x, y = {1}, {1: 2}", "candidate(x, {5})", "candidate(y, {3: 4})", "assert x == {5} and y == {3: 4}")),
    "argument kept whole": ("    a = a[:]\n    a.sort()\n    return a\n", _asserts("x = [2, 1]", "assert candidate(x, 0) == [1, 2] and x == [2, 1]")),
    "named arguments": ("    return a - b\n", _asserts("assert candidate(b=1, a=5) == 4 and candidate(*(1,), **{'b': 2}) == -1")),
    "special arguments": ("    return [type(v).__name__ for v in a] + b\n", "from decimal import Decimal\nfrom fractions import Fraction\nfrom datetime import date\nfrom collections import Counter, deque\n" + _asserts("assert candidate([Decimal(1), Fraction(1, 2), date(1, 1, 1), Counter('a'), deque([1]), 1j, b'', range(2), {1}, ...], []) == ['Decimal', 'Fraction', 'date', 'Counter', 'deque', 'complex', 'bytes', 'range', 'set', 'ellipsis']")),
    "numpy arguments": ("    return (a @ b).tolist()\n", "import numpy as np\n" + _asserts("assert candidate(np.eye(2), np.array([1., 2.])) == [1.0, 2.0]")),
    "iterator argument": ("    return list(a)[:b]\n", _asserts("assert candidate(iter([1, 2, 3]), 2) == [1, 2]")),
    "file argument": ("    return a.read() + b\n", "import io\n" + _asserts("assert candidate(io.StringIO('x'), 'y') == 'xy'")),
    "own result as argument": ("    return [a, b] if b else list(a)\n", _asserts("assert candidate(candidate(1, 2), None) == [1, 2]")),
    "type as value": ("    return [type(a), int, ValueError]\n", _asserts("assert candidate('x', 2) == [str, int, ValueError]")),
    "async function": ("    pass\n\nasync def add(a, b): return a + b\n", "import asyncio, inspect\n" + _asserts("got = candidate(1, 2)", "assert got is not None")),
    "truth of an object": ("    class T:\n        def __bool__(self): return a == b\n    return T()\n", _asserts("assert candidate(1, 1) and not candidate(1, 2)")),
    "type of the answer": ("    return [a + b]\n", _asserts("assert isinstance(candidate(1, 2), list) and type(candidate(1, 2)) is list")),
}  # fmt: skip
NODE = "class Node:\n    def __init__(self, val, left=None, right=None):\n        self.val, self.left, self.right = val, left, right\n\ndef add(root):\n"
POINT = "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int\n    y: int\n\ndef add(p, q):\n"
PROMPTED = {
    "tree of the prompt's class": (NODE, "    return root.val + add(root.left) + add(root.right) if root else 0\n", _asserts("assert candidate(Node(1, Node(2), Node(3, Node(4)))) == 10 and candidate(None) == 0")),
    "tree changed in place": (NODE, "    if root:\n        root.left, root.right = add(root.right), add(root.left)\n    return root\n", _asserts("t = Node(1, Node(2), Node(3))", "got = candidate(t)", "assert got.left.val == 3 and got.right.val == 2 and t.left.val == 3")),
    "tree built": (NODE, "    return Node(root[0], Node(root[1])) if root else None\n", _asserts("got = candidate([1, 2])", "assert got.val == 1 and got.left.val == 2 and got.right is None and got.left.left is None")),
    "prompt's dataclass": (POINT, "    return Point(p.x + q.x, p.y + q.y)\n", _asserts("got = candidate(Point(1, 2), Point(3, 4))", "assert (got.x, got.y) == (4, 6)")),
    "prompt's dataclass compared": (POINT, "    return Point(p.x + q.x, p.y + q.y)\n", _asserts("assert candidate(Point(1, 2), Point(3, 4)) == Point(4, 6)", "assert candidate(Point(1, 2), Point(3, 4)) != Point(4, 7)")),
    "prompt's instance": (POINT, "    return Point(p.x + q.x, p.y + q.y)\n", _asserts("assert isinstance(candidate(Point(1, 2), Point(3, 4)), Point)")),
    "test's class as argument": (ADD, "    return a.v + b\n", "class Box:\n    def __init__(self, v): self.v = v\n" + _asserts("assert candidate(Box(3), 4) == 7")),
}  # fmt: skip


def _honest() -> list[Case]:
    sums = [Case(f"sum: {name}", text, True, ADD, ADDS, "add") for name, text in SUMS.items()]
    answers = [Case(f"answer: {name}", text, True, ADD, test, "add") for name, (text, test) in ANSWERS.items()]
    prompted = [
        Case(f"prompt: {name}", text, True, prompt, test, "add") for name, (prompt, text, test) in PROMPTED.items()
    ]
    return [*sums, *answers, *prompted]


HONEST = tuple(_honest())
