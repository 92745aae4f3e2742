"""Picks a choice by its log-probability: the sum, the sum per character, or the sum per byte.

Source: the rules of lm-evaluation-harness 0.4.13 (api/task.py): `acc` takes the largest summed
log-probability, `acc_norm` divides by the choice's length in characters without the delimiter,
`acc_bytes` by its UTF-8 bytes. Ties go to the first choice, as numpy's argmax does.
"""

from collections.abc import Callable, Sequence

from evals.records import Choice, Sample, Scored


def first_largest(values: Sequence[float]) -> int:
    """Index of the largest value, the first among equals.

    >>> first_largest([-2.0, -1.0, -1.0])
    1
    """
    return max(range(len(values)), key=lambda index: (values[index], -index))


def each_choice(prompt: Callable[[Sample], str]) -> Callable[[Sample], tuple[tuple[str, str], ...]]:
    """A task's `pairs`: its prompt, and each choice after one space."""
    return lambda sample: tuple((prompt(sample), f" {choice}") for choice in sample.choices)


def judge(metrics: Sequence[str]) -> Callable[[Sample, tuple[Choice, ...]], Scored]:
    """A judge that returns the given metrics of `acc`, `acc_norm` and `acc_bytes`, in that order."""

    def judge_choices(sample: Sample, read: tuple[Choice, ...]) -> Scored:
        picks = {
            "acc": [choice.logprob for choice in read],
            "acc_norm": [c.logprob / max(len(text), 1) for c, text in zip(read, sample.choices, strict=True)],
            "acc_bytes": [c.logprob / max(len(text.encode()), 1) for c, text in zip(read, sample.choices, strict=True)],
        }
        chosen = {name: first_largest(picks[name]) for name in metrics}
        right = {name: float(pick == sample.target) for name, pick in chosen.items()}
        return Scored(metrics=right, detail=f"chose {chosen[metrics[0]]}, right is {sample.target}")

    return judge_choices
