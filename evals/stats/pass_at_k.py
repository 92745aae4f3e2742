"""pass@k: the chance that one of k draws passes, estimated without bias from at least k draws a problem.

Not here: its interval (`summary` clusters by problem).
"""

from collections.abc import Sequence
from math import comb


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
