"""Choice log-probabilities with every shared token encoded once.

The choices of one question share their context: the question becomes one row, the context followed
by the choices side by side, each token seeing only its own choice and the context (a tree mask,
positions as if each choice stood alone). A choice of one token needs no token of its own: its
log-probability is read at the context's last one. Questions that share a long beginning (few-shot
examples) share its keys and values. Rows are sorted by length and batched by token budget; when
memory runs out the batch is halved and done again.

A Phi on a CPU is read without padding (`evals.engines.local.phi_cpu`), any other model as a rectangle with a mask.

Letters in names: B rows, T tokens fed, P tokens of the shared beginning, D width, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from evals.engines.local import padded, phi_cpu
from evals.engines.local.rows import ChoiceRow, find_likeliest, is_out_of_memory, make_row, shared_length
from evals.engines.tokens import Tokens
from evals.records import Choice, ChoiceRequest, ChoiceScores

SHARED_TOKENS = 32  # a shared beginning shorter than this is cheaper to encode again than to copy
HEAD_ROWS = 2048  # rows of logits held at once on a GPU: 2048 x 51200 floats are 420 MB
HEAD_CELLS = 1 << 20  # numbers of logits held at once on a CPU, but at least 128 rows: 4 MB stay in the cache
MASK_CELLS = 1 << 26  # B * T * (P + T) at most, 256 MB of mask


def group_rows(rows: Sequence[ChoiceRow]) -> Iterator[tuple[tuple[int, ...], list[ChoiceRow]]]:
    """Groups rows by the long beginning they share: (the shared tokens, the rows), every row once.

    Sorted by tokens, rows with a common beginning are neighbours. A group grows while the next row
    shares at least half of the tokens that the group shares so far.
    """
    ordered = sorted(rows, key=lambda row: row.stem)
    while ordered:
        shared, members = list(ordered[0].stem[: max(ordered[0].sharable, 0)]), [ordered[0]]
        for candidate in ordered[1:]:
            length = min(shared_length(shared, candidate.stem), candidate.sharable)
            if length < SHARED_TOKENS or (len(members) > 1 and length < len(shared) // 2):
                break
            shared = shared[:length]
            members.append(candidate)
        ordered = ordered[len(members) :]
        yield (tuple(shared), members) if len(members) > 1 else ((), members)


def merge_single_rows(rows: Sequence[ChoiceRow]) -> list[tuple[tuple[int, ...], list[ChoiceRow]]]:
    """The groups that share a beginning, and one group of all the rows that share none."""
    groups, alone = [], []
    for shared, members in group_rows(rows):
        if shared:
            groups.append((shared, members))
        else:
            alone += members
    return [*groups, ((), alone)] if alone else groups


def make_batches(
    rows: Sequence[ChoiceRow], shared: int, budget: int, *, with_padding: bool = True
) -> Iterator[list[ChoiceRow]]:
    """Batches of rows of similar length, longest first, at most `budget` tokens each (with their padding)."""
    batch: list[ChoiceRow] = []
    longest = fed = 0
    for row in sorted(rows, key=lambda row: -row.fed):
        longest, fed = max(longest, row.fed - shared, 1), fed + row.fed - shared
        size = (len(batch) + 1) * longest if with_padding else fed
        if batch and (size > budget or (with_padding and size * (shared + longest) > MASK_CELLS)):
            yield batch
            batch, longest, fed = [], max(row.fed - shared, 1), row.fed - shared
        batch.append(row)
    if batch:
        yield batch


def choose(
    model: Any, tokens: Tokens, requests: Sequence[ChoiceRequest], context_tokens: int, budget: int
) -> Iterator[ChoiceScores]:
    """Scores every request and yields the scores in the order in which batches finish.

    Raises the engine's out-of-memory error only when a single row does not fit.
    """
    rows = [make_row(request, tokens, context_tokens) for request in requests]
    fits = phi_cpu.fits(model)
    encode_shared = phi_cpu.encode_shared if fits else padded.encode_shared
    for shared, members in merge_single_rows(rows):
        waiting = list(make_batches(members, len(shared), budget, with_padding=not fits))
        cache = encode_shared(model, shared, max(row.fed for row in members) - len(shared)) if shared else None
        while waiting:
            batch = waiting.pop(0)
            try:
                yield from _read(model, batch, len(shared), cache)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or len(batch) == 1:
                    raise
                half = len(batch) // 2
                waiting[:0] = [batch[:half], batch[half:]]


def _read(model: Any, batch: Sequence[ChoiceRow], shared: int, cache: Any) -> list[ChoiceScores]:
    """One forward pass over a batch of rows, and the log-probabilities read out of it."""
    import torch

    read_states = phi_cpu.read_states if phi_cpu.fits(model) else padded.read_states
    with torch.inference_mode():
        targets = [
            ((number, place), token) for number, row in enumerate(batch) for place, token in target_places(row, shared)
        ]
        # each place once: choices of one token all read the same one
        index_of = {place: index for index, place in enumerate(dict.fromkeys(place for place, _ in targets))}
        hidden_UD = read_states(model, batch, shared, cache, list(index_of))
        states = [index_of[place] for place, _ in targets]
        logprobs, greedy = _read_heads(model, hidden_UD, states, [token for _, token in targets])
    scores, begin = [], 0
    for row in batch:
        choices = []
        for branch in row.branches:
            count = len(row.stem) + len(branch.tokens) - branch.start
            mine = slice(begin, begin + count)
            summed = float(logprobs[mine].sum())
            choices.append(Choice(logprob=summed, tokens=count, greedy=bool(greedy[mine].all())))
            begin += count
        scores.append(
            ChoiceScores(
                sample=row.sample, choices=tuple(choices), prompt_tokens=row.prompt_tokens, truncated=row.truncated
            )
        )
    return scores


def target_places(row: ChoiceRow, shared: int) -> Iterator[tuple[int, int]]:
    """Each token of a row whose log-probability counts: (place of its predecessor among the fed tokens, the token)."""
    stem = len(row.stem)
    begin = stem - shared  # where the branch's own tokens are fed
    for branch in row.branches:
        for index in range(branch.start, stem + len(branch.tokens)):
            before = index - 1  # the token that predicts this one
            place = before - shared if before < stem else begin + before - stem
            yield place, row.stem[index] if index < stem else branch.tokens[index - stem]
        begin += len(branch.tokens) - 1


def _read_heads(model: Any, hidden_UD: Any, states: Sequence[int], tokens: Sequence[int]) -> tuple[Any, Any]:
    """Log-probability of each token and whether it is the likeliest, never holding all logits.

    states  for each token, the row of hidden_UD that predicts it
    """
    import torch

    state_M, token_M = torch.tensor(states), torch.tensor(tokens)
    head: Any = model.get_output_embeddings()
    rows = HEAD_ROWS if hidden_UD.is_cuda else max(128, HEAD_CELLS // model.config.vocab_size)
    logprob_M, greedy_M = torch.empty(len(states), dtype=torch.float64), torch.empty(len(states), dtype=torch.bool)
    for begin in range(0, len(hidden_UD), rows):
        logits_UV = head(hidden_UD[begin : begin + rows]).float()
        here = (state_M >= begin) & (state_M < begin + rows)
        local = state_M[here].to(logits_UV.device) - begin
        target = token_M[here].to(logits_UV.device)
        normal_U = torch.logsumexp(logits_UV, dim=-1)
        logprob_M[here] = (logits_UV[local, target] - normal_U[local]).double().cpu()
        greedy_M[here] = (find_likeliest(logits_UV)[local] == target).cpu()
    return logprob_M, greedy_M
