"""Scores a gold answer by its likelihood: bits for each UTF-8 byte of it.

Source: olmo-eval 0.9.0 (metrics.py, `bpb_v2`): the answer's log-probability in bits over its bytes, the space that
begins it counted; a model's score is the mean over samples.
"""

from collections.abc import Sequence
from math import log

from evals.records import Choice, Sample, Scored
from zoo.metrics import BITS_PER_BYTE


def bits_per_byte(nats: float, size: int) -> float:
    """The bits for each of so many bytes. nats: the negative log-probability of all.

    >>> bits_per_byte(8 * log(2), 4)
    2.0
    """
    return nats / log(2) / size


def join_pieces(pieces: Sequence[Choice]) -> Choice:
    """The pieces in which one answer was read, as one."""
    return Choice(
        logprob=sum(piece.logprob for piece in pieces), tokens=sum(piece.tokens for piece in pieces),
        greedy=all(piece.greedy for piece in pieces),
    )  # fmt: skip


def judge(sample: Sample, read: Sequence[Choice]) -> Scored:
    """The bits per byte of a sample's one continuation."""
    (answer,), size = read, len(sample.choices[0].encode())
    detail = f"{-answer.logprob:.4f} nats, {size} bytes, {answer.tokens} tokens"
    return Scored(metrics={BITS_PER_BYTE: bits_per_byte(-answer.logprob, size)}, detail=detail)
