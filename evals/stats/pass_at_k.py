"""pass@k: the chance that one of k draws passes, estimated without bias from at least k draws a problem.

Not here: its interval (`summary` clusters by problem).
"""

from collections.abc import Sequence
from math import comb

COLUMNS = (2, 5, 10, 20, 50, 100, 200, 500, 1000)  # the k above 1 that a run of enough draws is published under


def pass_at_k(correct: Sequence[int], draws: int, k: int) -> list[float]:
    """Chance that at least one of k draws passes, estimated per problem without bias.

    correct  passing draws per problem, shape (problems,), each in 0..draws
    draws    samples taken per problem, the same for all
    k        draws allowed, 1 <= k <= draws
    Returns  probabilities in [0, 1], shape (problems,), order kept; average them yourself.
    Raises   ValueError if k > draws: take more draws (`--draws 20`) or lower k.
    Source   Chen et al. 2021, arXiv:2107.03374, section 2.1; exact integers, no float product.

    >>> pass_at_k([0, 1, 2], draws=2, k=1)
    [0.0, 0.5, 1.0]
    """
    if not 1 <= k <= draws:
        raise ValueError(f"pass@{k} needs at least {k} draws per problem, this run has {draws}.")
    if wrong := next((c for c in correct if not 0 <= c <= draws), None):
        raise ValueError(f"{wrong} passing draws of {draws}: count each problem's passing draws, 0 to {draws}.")
    ways = comb(draws, k)
    # one division of whole numbers, so that the nearest float to the exact fraction comes out
    return [(ways - comb(draws - c, k)) / ways for c in correct]


def pass_metrics(metrics: Sequence[str], draws: int, extra: Sequence[int] = ()) -> tuple[str, ...]:
    """The metrics of a run with pass@k for each k of COLUMNS that its draws allow, and for `extra`.

    Raises  ValueError if an extra k is above the draws.

    >>> pass_metrics(["pass@1"], draws=20, extra=[3])
    ('pass@1', 'pass@2', 'pass@3', 'pass@5', 'pass@10', 'pass@20')
    >>> pass_metrics(["acc"], draws=20, extra=[3])
    ('acc',)
    """
    if "pass@1" not in metrics:
        return tuple(metrics)
    if high := next((k for k in extra if k > draws), None):
        raise ValueError(f"pass@{high} needs at least {high} draws per problem, this run has {draws}.")
    wanted = sorted({*(k for k in COLUMNS if k <= draws), *extra})
    return tuple(dict.fromkeys([*metrics, *(f"pass@{k}" for k in wanted)]))
