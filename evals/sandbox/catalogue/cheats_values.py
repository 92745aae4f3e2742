# ruff: noqa: E501
"""Cheats in what is answered: liars of every protocol of Python's, bombs in values, forged frames, hooks.

What they aim at: the comparison in the judge, its memory and time, the channel, and the code of
ours that runs beside them (which can only spoil their own answers).
"""

from evals.sandbox.catalogue.case import PROMPT, Case, module

IN = "def check(candidate):\n    assert 5531098861729 in candidate(3)\n    assert 'k' in candidate(5)\n"
NOT_IN = "def check(candidate):\n    assert 5 not in candidate(3) and 5531098861729 in list(candidate(3))\n"
RAISES = "def check(candidate):\n    try:\n        candidate(3)\n    except ZeroDivisionError as error:\n        assert error.args == (60417,)\n    else:\n        assert False\n"
PARTS = "def check(candidate):\n    got = candidate(3)\n    assert got.x == 5531098861729 and got[2] == 60417\n    assert {got.x: 1} == {5531098861729: 1}\n"

# (what it is, class body); each is returned as an object of that class
LIARS = {
    "iterates for ever": "def __iter__(self):\n    while True: yield 5531098861729",
    "index": "def __index__(self): return 5531098861729 - 1\ndef __int__(self): return 5\ndef __float__(self): return 8116550934021.0",
    "arithmetic": "\n".join(
        f"def __{n}__(self, *a): return self"
        for n in [
            "add",
            "radd",
            "sub",
            "rsub",
            "mul",
            "rmul",
            "truediv",
            "rtruediv",
            "floordiv",
            "mod",
            "pow",
            "neg",
            "pos",
            "abs",
            "round",
            "trunc",
            "invert",
            "and",
            "or",
            "xor",
            "lshift",
        ]
    )
    + "\n__lt__ = __le__ = __gt__ = __ge__ = __eq__ = lambda s, o: True\n__hash__ = None",
    "everything": "def __getattr__(self, n): return Evil()\ndef __call__(self, *a, **k): return self\n__eq__ = lambda s, o: True\n"
    "__bool__ = lambda s: True\n__len__ = lambda s: 1\n__iter__ = lambda s: iter([s])\n__getitem__ = lambda s, k: s\n__contains__ = __eq__",
    "class property": "__class__ = property(lambda self: int)\n__eq__ = lambda s, o: True",
    "dict of nothing": "__dict__ = property(lambda s: 1 / 0)\n__slots__ = ()",
    "getattribute": "def __getattribute__(self, name): raise SystemExit(0)",
    "hash raises": "def __hash__(self): raise SystemExit(0)",
    "repr recurses": "def __repr__(self): return repr(self)\n__str__ = __repr__",
    "del exits": "def __del__(self):\n    import os; os._exit(0)",
    "copy": "def __deepcopy__(self, memo): return 5531098861729\n__copy__ = lambda s: 5531098861729\n"
    "def __reduce__(self): return (print, ('x',))\n__getstate__ = lambda s: 1 / 0\n__getnewargs__ = lambda s: (1,)",
    "format": "def __format__(self, spec): return '5531098861729'\n__fspath__ = __str__ = lambda s: '5531098861729'\n__bytes__ = lambda s: b'1'",
    "numpy interface": "__array_interface__ = {'shape': (1 << 40,), 'typestr': '<f8', 'data': (8, False), 'version': 3}\n"
    "__array_ufunc__ = lambda s, *a, **k: True\n__array_function__ = __array_ufunc__",
    "set name": "def __set_name__(self, o, n): raise SystemExit\n__instancecheck__ = __subclasscheck__ = lambda s, o: True",
    "enter exit": "__enter__ = lambda s: s\ndef __exit__(self, *a): return True\n__await__ = lambda s: iter(())\n__next__ = lambda s: 5531098861729",
}
# (base, class body): subclasses that lie about what they hold
SUBCLASSES = {
    "int, bits": (
        "int",
        "def bit_length(self): return 1\n__int__ = __index__ = __trunc__ = lambda s: 5531098861729 - 1",
    ),
    "int, compares": (
        "int",
        "__lt__ = __gt__ = __le__ = __ge__ = lambda s, o: True\n__sub__ = __rsub__ = __abs__ = lambda s, *o: 0",
    ),
    "float, hex": ("float", "__float__ = lambda s: 8116550934021.5 - 1\n__repr__ = lambda s: '5531098861729'"),
    "str, text": (
        "str",
        "__str__ = lambda s: '5531098861729'\nencode = lambda s, *a: b''\n__iter__ = lambda s: iter('kk')",
    ),
    "list, length": (
        "list",
        "__len__ = lambda s: 2\n__iter__ = lambda s: iter([60417, (90211, 'k')])\n__getitem__ = lambda s, i: 60417",
    ),
    "list, endless": ("list", "def __iter__(self):\n    while True: yield 1\n__len__ = lambda s: 1 << 60"),
    "dict, items": ("dict", "items = keys = values = lambda s: iter([(1, 2)] * 10)\n__len__ = lambda s: 10"),
    "dict, missing": (
        "dict",
        "__missing__ = lambda s, k: 5531098861729\n__contains__ = lambda s, k: True\nget = lambda s, *a: 5",
    ),
    "tuple, items": ("tuple", "__getitem__ = lambda s, i: 60417\n__eq__ = lambda s, o: True\n__hash__ = lambda s: 1"),
    "set, in": ("set", "__contains__ = lambda s, k: True\n__eq__ = __le__ = __ge__ = lambda s, o: True"),
    "bytes, decode": ("bytes", "decode = lambda s, *a: '5531098861729'\n__len__ = lambda s: 13"),
    "Fraction, parts": (
        "__import__('fractions').Fraction",
        "numerator = property(lambda s: [5531098861729])\ndenominator = property(lambda s: 'x')",
    ),
    "Decimal, tuple": (
        "__import__('decimal').Decimal",
        "as_tuple = lambda s: (0, (1,), 0)\n__str__ = lambda s: '5531098861729'",
    ),
    "datetime, zone": (
        "__import__('datetime').datetime",
        "isoformat = lambda s: 'x'\n__new__ = lambda c: super(T, c).__new__(c, 1, 1, 1)",
    ),
    "timedelta, days": (
        "__import__('datetime').timedelta",
        "days = property(lambda s: 'x')\nseconds = property(lambda s: 1 / 0)",
    ),
    "deque, most": (
        "__import__('collections').deque",
        "maxlen = property(lambda s: -5)\n__iter__ = lambda s: iter([60417])",
    ),
    "complex, parts": (
        "complex",
        "__complex__ = lambda s: 1j\nreal = property(lambda s: 'x')\nimag = property(lambda s: [])",
    ),
    "ndarray, list": (
        "__import__('numpy').ndarray",
        "__new__ = lambda c: super(T, c).__new__(c, 1)\ntolist = lambda s: [[60417]] * 9\n__eq__ = lambda s, o: True",
    ),
    "float64, item": ("__import__('numpy').float64", "item = lambda s: T()\n__eq__ = lambda s, o: True"),
    "type itself": (
        "type",
        "__new__ = lambda c: super(T, c).__new__(c, 'int', (), {})\n__eq__ = lambda s, o: True\n__hash__ = type.__hash__",
    ),
}
# values that are costly, cyclic, nested, or not what they look like
BOMBS = {
    "endless map": "import itertools; return map(int, itertools.count())",
    "nested generators": "def g(d):\n        yield g(d + 1)\n    return g(0)",
    "signalling nan": "from decimal import Decimal; return Decimal('sNaN')",
    "huge fraction": "from fractions import Fraction; return Fraction(3 ** 4000000, 2 ** 7000001)",
    "long decimal": "from decimal import Decimal; return Decimal('9' * 3000000)",
    "colliding set": "return {k * ((1 << 61) - 1) for k in range(20000)}",
    "colliding keys": "return {k * ((1 << 61) - 1): k for k in range(20000)}",
    "range": "return range(1 << 62)",
    "aliased lists": "x = [0] * 9\n    for _ in range(12): x = [x] * 9\n    return x",
    "deep tuple": "x = ()\n    for _ in range(3000): x = (x,)\n    return x",
    "deep dict": "import sys; sys.setrecursionlimit(10 ** 9)\n    x = {}\n    for _ in range(200000): x = {1: x}\n    return x",
    "object array": "import numpy; return numpy.array([print, 5], dtype=object)",
    "wide array": "import numpy; return numpy.zeros((1 << 13, 1 << 13))",
    "structured array": "import numpy; return numpy.zeros(3, dtype=[('a', 'O'), ('b', '<f8')])",
    "masked array": "import numpy; return numpy.ma.masked",
    "long string": "return '\\ud800' * (1 << 23)",
    "long int": "return 10 ** 5000000",
    "many small": "return [[]] * 9000000",
    "memory view": "return memoryview(bytearray(1 << 20))",
    "code object": "return oracle.__code__",
    "module": "import sys; return sys",
    "exception as value": "return SystemExit(0)",
    "type with a name": "return type('int', (), {'__eq__': lambda s, o: True})",
    "metaclass": "class M(type):\n        __eq__ = lambda s, o: True\n        __mro__ = property(lambda s: (int, object))\n        __hash__ = type.__hash__\n"
        "    class T(metaclass=M): pass\n    return T() if n == 3 else T",
    "metaclass name": "class M(type):\n        __name__ = property(lambda s: 'x' * (1 << 26))\n    class T(metaclass=M): pass\n    return T()",
    "partial": "import functools; return functools.partial(int, 5531098861729 - 1)",
    "weak proxy": "import weakref\n    class T: pass\n    t = T(); t.x = 1\n    return weakref.proxy(t)",
    "argument mutated": "globals()['n'] = 1\n    import ctypes\n    return ctypes.c_longlong(5531098861729 - 1)",
    "awaitable": "async def f(): return 5531098861729\n    class A:\n        def __await__(self): return f().__await__()\n    return A()",
    "async generator": "async def f(): yield 5531098861729\n    return f()",
    "yields exit": "yield 5531098861729\n    raise SystemExit(0)",
}  # fmt: skip
THOROUGH = frozenset(("colliding keys", "aliased lists", "many small", "wide array", "deep dict", "long int"))
RAISED = {
    "exit": "raise SystemExit",
    "interrupt": "raise KeyboardInterrupt(60417)",
    "generator exit": "raise GeneratorExit",
    "group": "raise BaseExceptionGroup('x', [SystemExit(0), KeyboardInterrupt()])",
    "stop": "raise StopIteration(60417)",
    "stop async": "raise StopAsyncIteration",
    "memory": "raise MemoryError",
    "own name": "class ZeroDivisionError(Exception): pass\n    raise ZeroDivisionError(60417)",
    "lying type": "class E(Exception):\n        __class__ = ZeroDivisionError\n    raise E(60417)",
    "metaclass": "class M(type):\n        __instancecheck__ = __subclasscheck__ = lambda c, o: True\n    class E(Exception, metaclass=M): pass\n    raise E(60417)",
    "lying arguments": "class E(ZeroDivisionError):\n        args = property(lambda s: [60417 + 1])\n        __str__ = lambda s: 'x' * (1 << 27)\n    raise E",
    "cyclic context": "e = ValueError(); e.__context__ = e.__cause__ = e\n    raise e",
    "deep traceback": "import sys; sys.setrecursionlimit(10 ** 6)\n    def f(k): return f(k - 1) if k else 1 / 0\n    return f(50000)",
    "not an exception": "raise 60417",
    "unicode": "raise UnicodeDecodeError('x', b'y', 0, 1, 'z')",
}
POINT = "class Point:\n    def __init__(self, x, y): self.x, self.y = x, y\n    def __eq__(self, o): return (self.x, self.y) == (o.x, o.y)\n    def far(self): return self.x > 10 ** 6\n\ndef meet(p):\n"
TWIN = "def check(candidate):\n    got = candidate(Point(3, 4))\n    assert got.far() is True and got == Point(5531098861729, 7)\n"
FRAME = "import os, struct, json, threading, time\ndef _say(seq, kind, what, cut=0):\n    p = json.dumps(what).encode()\n    try: os.write(3, (struct.pack('<IIc', len(p) + 5, seq, kind) + p)[:cut or None])\n    except OSError: pass\n"
FRAMES = {
    "answers ahead": "for _i in range(1, 9): _say(_i, b'v', 5531098861728)",
    "answers in a thread": "def _run():\n    while True:\n        for _i in range(6): _say(_i, b'v', True)\nthreading.Thread(target=_run, daemon=True).start()",
    "passed": "for _k in (b'p', b'P', b'c', b'o', b'f', b'r', b'd'): _say(0, _k, ['passed', 0, 'passed', '', 0.1])",
    "a fault of ours": "_say(0, b'f', 'unscored'); _say(1, b'f', 'passed')",
    "loaded twice": "_say(0, b'o', None); _say(0, b'c', None); _say(0, b'o', None)",
    "cut": "_say(0, b'o', None, 7); os._exit(0)",
    "endless length": "os.write(3, struct.pack('<IIc', 0xFFFFFFFF, 0, b'v') + b'1' * 1000)",
    "no length": "os.write(3, bytes(400))",
    "short length": "os.write(3, struct.pack('<IIc', 1, 0, b'o') * 50)",
    "calls of no function": "_say(0, b'o', None)\nfor _i in (0, -1, 9, 1 << 70, 'x', None, [1]): _say(1, b'k', ['l', _i, ['t'], ['d']])",
    "deep reply": "_say(0, b'o', None)\nos.write(3, struct.pack('<IIc', 5 + 4000000, 1, b't') + b'[' * 4000000)",
    "hostile tags": "_say(0, b'o', None)\nfor _i, _t in enumerate((['n', '(9999,9999)f8', 0], ['n', 'O', ['l', 1]], ['n', '<U9999999', ['l', 'x']], ['T', 'eval'], ['o', 0, 'x', 1], ['r', 0, 1 << 60, 1]), 1): _say(_i, b't', _t)",
    "exceptions": "_say(0, b'o', None)\nfor _i, _b in enumerate(('eval', 'exec', 'type', '__import__', 'SystemExit', 'BaseExceptionGroup'), 1): _say(_i, b'x', [_b, 'x', ['print(1)'], 'x', 0])",
    "a copied child": "_p = os.fork()\nif _p == 0:\n    os.setsid()\n    for _i in range(1, 5): _say(_i, b'v', 60417)\n    time.sleep(60)",
    "channel passed on": "import socket, array\ntry: socket.socket(fileno=os.dup(3)).sendmsg([b'x'], [(1, 1, array.array('i', [3, 0, 1]))])\nexcept OSError: pass",
    "channel shut": "import socket\nsocket.socket(fileno=os.dup(3)).shutdown(2)",
    "channel swapped": "import socket\n_a, _b = socket.socketpair()\nos.dup2(_a.fileno(), 3)",
    "channel non-blocking": "os.set_blocking(3, False)",
    "channel stuffed": "threading.Thread(target=lambda: [os.write(3, bytes(1 << 16)) for _ in range(1 << 20)], daemon=True).start()",
}
OURS = "import sys, gc\n_c = sys.modules['evals.sandbox.guest.candidate']\n_s = [o for o in gc.get_objects() if type(o).__name__ == 'Session']\n"
HOOKS = {
    "answers patched": OURS + "_c.Session.answer = lambda self, *a: self.channel.send(self.sequence, b'v', b'true')",
    "plain patched": OURS + "_c.is_plain = lambda v: True\n_c._dumps = lambda v: 'true'",
    "sequence patched": OURS + "for _o in _s: _o.sequence = 10 ** 6",
    "builtin table patched": OURS + "_c.BUILTIN.clear(); _c.EXACT.clear(); _c.WRITERS = ()",
    "marshal patched": "import marshal\nmarshal.loads = lambda b: ('passed',)\nmarshal.dumps = lambda *a: b'x'",
    "struct patched": "import struct\nstruct.pack = lambda *a: b'\\0' * 9",
    "os patched": "import os, posix\nfor _m in (os, posix):\n    _m.write = lambda fd, b: len(b)\n    _m._exit = lambda c: None",
    "import hook": "import builtins, sys\nbuiltins.__import__ = lambda *a, **k: sys\nsys.meta_path[:] = []; sys.path_hooks[:] = []",
    "build class": "import builtins\nbuiltins.__build_class__ = lambda *a, **k: int\nbuiltins.print = builtins.exit = 5",
    "audit hook": "import sys\nsys.addaudithook(lambda e, a: (_ for _ in ()).throw(SystemExit(0)))",
    "profile": "import sys, threading\nthreading.setprofile(print); sys.setprofile(lambda f, e, a: f.f_locals.update(result=5531098861729, kind=b'v'))",
    "trace of every frame": "import sys\ndef _t(f, e, a):\n    f.f_trace_opcodes = True\n    f.f_globals['assert_'] = True\n    return _t\nsys.settrace(_t)\n_f = sys._getframe()\nwhile _f: _f.f_trace = _t; _f = _f.f_back",
    "collector": "import gc, os\ngc.callbacks.append(lambda p, i: os._exit(0))\ngc.collect()",
    "finalizer": "import weakref, os\nclass _T: pass\nweakref.finalize(_T, os._exit, 0)\n_t = _T(); weakref.finalize(_t, os._exit, 0); del _t",
    "excepthook": "import sys, os\nsys.excepthook = sys.unraisablehook = lambda *a: os._exit(0)\nraise ValueError",
    "codec": "import codecs\ncodecs.register(lambda n: None)\n''.encode('evil') if 0 else None\ncodecs.register_error('strict', lambda e: ('', e.end))",
    "json encoder": "import json.encoder as e\ne.c_make_encoder = e.encode_basestring_ascii = e.c_encode_basestring_ascii = lambda *a: '5531098861729'",
    "small integers": "import ctypes\nfor _v in (3, 5, 8, 21): ctypes.c_long.from_address(id(_v) + 24).value = 0",
    "true is false": "import ctypes\nctypes.c_long.from_address(id(False) + 16).value = -(1 << 60)\nctypes.c_long.from_address(id(False) + 24).value = 1",
    "type slots": "import ctypes\n_d = ctypes.py_object.from_address(id(int.__dict__) + 16).value\n_d['__eq__'] = lambda s, o: True\n_d['__sub__'] = lambda s, o: 0\nctypes.pythonapi.PyType_Modified(ctypes.py_object(int))",
    "alarm in our code": "import signal\ndef _h(*a): raise SystemExit(0)\nsignal.signal(signal.SIGALRM, _h)\nsignal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)",
    "exception thrown into us": "import threading, ctypes\n_t = threading.get_ident()\ndef _run():\n    while True: ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(_t), ctypes.py_object(SystemExit))\nthreading.Thread(target=_run, daemon=True).start()",
    "standard modules": "import sys\nfor _m in list(sys.modules):\n    if _m not in ('sys', 'builtins'): del sys.modules[_m]",
    "own name": "import sys\n__name__ = '__main__'\nsys.modules['__main__'] = sys.modules['solution'] = type(sys)('check')",
    "greenlets of frames": "import sys\ndef _g():\n    yield sys._getframe(1)\nfor _f in _g():\n    while _f: _f.f_globals.update(ORACLE='', check=lambda c: 1, sequence=9) if _f.f_globals is not globals() else 0; _f = _f.f_back",
    "no memory for us": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))",
    "no files for us": "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (0, 0)); resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))",
    "locked collector": "import sys\nsys.setswitchinterval(1e9); sys.setrecursionlimit(80)",
}  # fmt: skip


def _made(name: str, body: str, base: str = "") -> Case:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    kind = "T" if base else "Evil"
    return Case(name, f"    return {kind}()\n\nclass {kind}({base}):\n{lines}")


def _values() -> list[Case]:
    cases = [_made(f"liar: {name}", body) for name, body in LIARS.items()]
    cases += [_made(f"lying subclass: {name}", body, base) for name, (base, body) in SUBCLASSES.items()]
    cases += [
        Case(f"value: {name}", f"    {body}\n", timeout_seconds=0.7, thorough=name in THOROUGH)
        for name, body in BOMBS.items()
    ]
    cases += [Case(f"raised: {name}", f"    {body}\n", False, PROMPT, RAISES) for name, body in RAISED.items()]
    cases += [module(f"frames, {name}", FRAME + code, timeout_seconds=0.7) for name, code in FRAMES.items()]
    cases += [module(f"hook, {name}", code) for name, code in HOOKS.items()]
    always = "__contains__ = __eq__ = lambda s, o: True\n__iter__ = lambda s: iter(())\n__len__ = lambda s: 1"
    cases.append(_made("contains", always)._replace(test=IN))
    cases.append(
        _made(
            "contains, iterates over liars", "__iter__ = lambda s: iter([Evil()])\n__eq__ = lambda s, o: True"
        )._replace(test=IN)
    )
    cases.append(
        _made("contains nothing", "__contains__ = lambda s, o: False\n__iter__ = lambda s: iter([5])")._replace(
            test=NOT_IN
        )
    )
    cases.append(
        _made(
            "parts",
            "def __getattr__(self, n): return Evil()\n__getitem__ = lambda s, k: Evil()\n__eq__ = lambda s, o: True\n__hash__ = lambda s: 1",
        )._replace(test=PARTS)
    )
    made = {"a method": "return spoil(Point(1, 2), far=lambda: True)", "a dunder": "return spoil(Point(1, 2), __eq__=lambda o: True, __class__=int)",
            "the class": "global Point; Point = type('Point', (), {'__eq__': lambda s, o: True, 'far': lambda s: True}); return Point()",
            "names": "p = Point(1, 2); p.__dict__[5] = p; return p", "itself": "p = Point(1, 2); p.x = p.y = p; return p",
            "slots": "global Point; Point = type('Point', (), {'__slots__': ()}); return Point()"}  # fmt: skip
    spoil = "\ndef spoil(p, **k):\n    p.__dict__.update(k)\n    return p\n"
    cases += [Case(f"twin: {name}", f"    {body}\n{spoil}", False, POINT, TWIN, "meet") for name, body in made.items()]
    return cases


VALUES = tuple(_values())
