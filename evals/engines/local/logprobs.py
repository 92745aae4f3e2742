"""Log-probabilities of a prompt's own tokens, one by one, as a completions server returns them (`echo`).

For choices of a task use `evals.engines.local.choices`, which encodes what they share once; this reads whole
sequences, since an HTTP client may ask for any.

Letters in names: B rows, T tokens, D width, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

from zoo.records import Record

HEAD_ROWS = 256  # rows of logits held at once: 256 x 51200 floats are 52 MB


class TokenRead(Record, frozen=True, kw_only=True):
    """One token: its log-probability after what stands before it, and the likeliest token there."""

    token: int
    logprob: float
    best: int
    best_logprob: float


def read_prompts(model: Any, sequences: Sequence[Sequence[int]], size: int, budget: int) -> list[list[TokenRead]]:
    """For each sequence one TokenRead per token from the second on, and one for the likeliest next token.

    sequences  token ids, each at least one
    size       ids from here on are padding rows of the embedding, never given as likeliest
    budget     padded tokens a forward pass
    """
    reads: list[list[TokenRead]] = [[] for _ in sequences]
    order = sorted(range(len(sequences)), key=lambda number: len(sequences[number]))
    while order:
        longest = len(sequences[order[-1]])
        batch, order = order[-max(1, budget // longest) :], order[: -max(1, budget // longest)]
        for number, row in zip(batch, _rows(model, [sequences[number] for number in batch], size), strict=True):
            reads[number] = row
    return reads


def _rows(model: Any, sequences: Sequence[Sequence[int]], size: int) -> list[list[TokenRead]]:
    """One forward pass, right-padded: no real token sees the padding."""
    import torch

    longest = max(len(sequence) for sequence in sequences)
    input_BT = torch.zeros((len(sequences), longest), dtype=torch.long)
    for number, sequence in enumerate(sequences):
        input_BT[number, : len(sequence)] = torch.tensor(list(sequence))
    with torch.inference_mode():
        hidden_BTD = model.base_model(input_ids=input_BT.to(model.device), use_cache=False).last_hidden_state
        return [
            _read_states(model, hidden_BTD[number, : len(sequence)], sequence, size)
            for number, sequence in enumerate(sequences)
        ]


def _read_states(model: Any, hidden_TD: Any, tokens: Sequence[int], size: int) -> list[TokenRead]:
    import torch

    reads: list[TokenRead] = []
    head = model.get_output_embeddings()
    for begin in range(0, len(tokens), HEAD_ROWS):
        logits_TV = head(hidden_TD[begin : begin + HEAD_ROWS]).float()
        normal_T = torch.logsumexp(logits_TV, dim=-1)
        best_T = logits_TV[:, :size].argmax(dim=-1)
        following = [*tokens[begin + 1 : begin + 1 + len(logits_TV)]]
        targets = following if len(following) == len(logits_TV) else [*following, int(best_T[-1])]
        rows = torch.arange(len(logits_TV), device=logits_TV.device)
        mine = (logits_TV[rows, torch.tensor(targets, device=logits_TV.device)] - normal_T).tolist()
        top = (logits_TV[rows, best_T] - normal_T).tolist()
        reads += [
            TokenRead(token=token, logprob=logprob, best=best, best_logprob=highest)
            for token, logprob, best, highest in zip(targets, mine, best_T.tolist(), top, strict=True)
        ]
    return reads
