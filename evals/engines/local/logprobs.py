"""Log-probabilities of a prompt's own tokens, one by one, as a completions server returns them (`echo`).

For choices of a task use `evals.engines.local.choices`, which encodes what they share once; this reads whole
sequences by the plain path, since an HTTP client may ask for any.

Letters in names: B rows, T tokens, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from evals.engines.local import plain
from zoo.records import Record


class TokenRead(Record, frozen=True, kw_only=True):
    """One token: its log-probability after what stands before it, and the likeliest token there."""

    token: int
    logprob: float
    best: int
    best_logprob: float


def step_prompts(
    model: Any, sequences: Sequence[Sequence[int]], size: int, budget: int
) -> Iterator[list[tuple[int, list[TokenRead]]]]:
    """Yields after each forward pass (place, reads) of its sequences.

    The reads are one TokenRead per token from the second on, and one for the likeliest next token.

    sequences  token ids, each at least one
    size       ids from here on are padding rows of the embedding, never given as likeliest
    budget     tokens a forward pass
    """
    lengths = [len(sequence) for sequence in sequences]
    for batch in plain.batches(lengths, lengths, plain.vocabulary_rows(model), budget):
        logits_BTV = plain.read_logits(model, [sequences[place] for place in batch], lengths[batch[0]])
        yield [
            (place, read_rows(logits_TV, sequences[place][1:], size))
            for place, logits_TV in zip(batch, logits_BTV, strict=True)
        ]


def read_rows(logits_TV: Any, nexts: Sequence[int], size: int) -> list[TokenRead]:
    """The read of the token that follows each row; where `nexts` ends a row early, that is the likeliest one."""
    import torch

    normal_T = torch.logsumexp(logits_TV, dim=-1)
    best_T = logits_TV[:, :size].argmax(dim=-1)
    targets = [*nexts, *best_T[len(nexts) :].tolist()]
    rows = torch.arange(len(logits_TV), device=logits_TV.device)
    mine = (logits_TV[rows, torch.tensor(targets, device=logits_TV.device)] - normal_T).tolist()
    top = (logits_TV[rows, best_T] - normal_T).tolist()
    return [
        TokenRead(token=token, logprob=logprob, best=best, best_logprob=highest)
        for token, logprob, best, highest in zip(targets, mine, best_T.tolist(), top, strict=True)
    ]
