"""thin"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from zoo.checkpoint import Record
from evals.sandbox.pool import Pool
from evals.sandbox.program import Program, Verdict


class TierReport(Record):
    name: str


class Sandbox:
    def __init__(self, pool, tier):
        self.pool, self.tier = pool, tier

    def run(self, programs):
        return self.pool.run(programs)


@contextmanager
def open_sandbox(workers=None, tier=None, allow_weak=False):
    pool = Pool(workers or os.cpu_count() or 1, True)
    try:
        yield Sandbox(pool, "namespaces")
    finally:
        pool.close()


def probe():
    return []
