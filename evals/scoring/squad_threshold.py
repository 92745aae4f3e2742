"""SQuAD 2.0's best_exact and best_f1: the scores when low-confidence answers count as "no answer".

A model that also gives the probability of "no answer" may answer only if that is low enough. The threshold is
chosen on the samples that it is scored by, so these figures flatter, more so with few samples.

Source  Rajpurkar et al. 2018, arXiv:1806.03822, and its evaluation script's search for the best threshold.
"""

from collections.abc import Sequence


def at_best_threshold(
    scores: Sequence[float], probabilities: Sequence[float], answerable: Sequence[bool], texts: Sequence[str]
) -> list[float]:
    """The score of each sample at the threshold that is best for all; the mean is best_exact or best_f1.

    scores         0..1 of each text as it is: exact match or F1
    probabilities  of no answer, by the model; of equal ones the earlier sample answers first
    answerable     whether the question has an answer
    texts          as written: to a question without an answer any text is wrong, also one of punctuation alone
    Returns        the score where the text is kept, else 1 where there is no answer and 0 where there is one

    >>> at_best_threshold([1.0, 0.0, 0.0, 0.0], [0.1, 0.2, 0.9, 0.8], [True, True, False, False], ["a", "b", "c", "d"])
    [1.0, 0.0, 1.0, 1.0]
    """
    kept = [score if has else float(not text) for score, has, text in zip(scores, answerable, texts, strict=True)]
    withheld = [float(not has) for has in answerable]
    order = sorted(range(len(kept)), key=lambda at: probabilities[at])
    total = best = sum(withheld)
    answered = 0
    for count, at in enumerate(order, start=1):
        total += kept[at] - withheld[at]
        if total > best + 1e-12:
            best, answered = total, count
    first = set(order[:answered])
    return [kept[at] if at in first else withheld[at] for at in range(len(kept))]
