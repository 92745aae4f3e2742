"""Choice log-probabilities with every shared token encoded once.

The choices of one question share their context: the question becomes one row, the context followed
by the choices side by side, each token seeing only its own choice and the context (a tree mask,
positions as if each choice stood alone). A choice of one token needs no token of its own: its
log-probability is read at the context's last one. Questions that share a long beginning (few-shot
examples) share its keys and values. Rows are sorted by length and batched by token budget; when
memory runs out the batch is halved and done again.

A Phi or a Llama on a CPU is read without padding (`evals.engines.local.lean`), other models of which it is proven as a
rectangle with a mask (`padded`). Everything else takes the plain path: each choice by itself, in one forward pass over
its question and its own tokens.

Letters in names: B rows, T tokens fed, P tokens of the shared beginning, U reads, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from evals.engines.local import padded, plain, side_by_side
from evals.engines.local.lean import lean_pass
from evals.engines.local.paths import PLAIN, SIDE_BY_SIDE, Paths
from evals.engines.local.rows import ChoiceRow, find_likeliest, is_out_of_memory, make_row, shared_length
from evals.engines.local.side_by_side import LeanPass
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
    rows: Sequence[ChoiceRow], shared: int, budget: int, *, with_padding: bool = True, most_reads: int = 0
) -> Iterator[list[ChoiceRow]]:
    """Batches of rows of similar length, longest first, at most `budget` tokens each (with their padding).

    most_reads  tokens whose log-probability one batch reads at most, or one row's; 0: any number
    """
    batch: list[ChoiceRow] = []
    longest = fed = reads = 0
    for row in sorted(rows, key=lambda row: -row.fed):
        longest, fed, reads = max(longest, row.fed - shared, 1), fed + row.fed - shared, reads + row.reads
        size = (len(batch) + 1) * longest if with_padding else fed
        too_many = size > budget or (with_padding and size * (shared + longest) > MASK_CELLS)
        if batch and (too_many or 0 < most_reads < reads):
            yield batch
            batch, longest, fed, reads = [], max(row.fed - shared, 1), row.fed - shared, row.reads
        batch.append(row)
    if batch:
        yield batch


def choose(
    model: Any, tokens: Tokens, paths: Paths, requests: Sequence[ChoiceRequest], context_tokens: int, budget: int
) -> Iterator[ChoiceScores]:
    """Scores every request and yields the scores in the order in which batches finish.

    Raises the engine's out-of-memory error only when a single row does not fit.
    """
    rows = [make_row(request, tokens, context_tokens) for request in requests]
    lean = lean_pass(model) if paths.choices == SIDE_BY_SIDE else None
    fast: list[ChoiceRow] = []
    slow: list[ChoiceRow] = []
    for row in rows:
        # some families count a token's place in the row, where a second choice is further than in its own text
        length = row.longest if lean else row.fed
        (fast if paths.choices != PLAIN and length <= paths.limit else slow).append(row)
    yield from choose_fast(model, fast, budget, lean)
    yield from choose_plain(model, slow, budget)


def choose_fast(model: Any, rows: Sequence[ChoiceRow], budget: int, lean: LeanPass | None) -> Iterator[ChoiceScores]:
    """The scores of each row by a fast path: without padding (`lean`), or as a rectangle."""
    most_reads = 0 if lean else max(1, plain.LOGIT_CELLS // plain.vocabulary_rows(model))
    for shared, members in merge_single_rows(rows):
        waiting = list(make_batches(members, len(shared), budget, with_padding=not lean, most_reads=most_reads))
        room = max(row.fed for row in members) - len(shared)
        cache: Any = None
        if shared:
            cache = side_by_side.encode_shared(lean, shared, room) if lean else padded.encode_shared(model, shared)
        while waiting:
            batch = waiting.pop(0)
            try:
                yield from _read(model, batch, len(shared), cache, lean)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or len(batch) == 1:
                    raise
                half = len(batch) // 2
                waiting[:0] = [batch[:half], batch[half:]]


def choose_plain(model: Any, rows: Sequence[ChoiceRow], budget: int) -> Iterator[ChoiceScores]:
    """The scores of each row by the plain path, as the last of its choices is read."""
    # choices of one token feed the same sequence, which is read once
    asked: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for number, row in enumerate(rows):
        for place, branch in enumerate(row.branches):
            asked.setdefault((*row.stem, *branch.tokens[:-1]), []).append((number, place))
    sequences = list(asked)
    keeps = [
        max(len(fed) - rows[number].branches[place].start + 1 for number, place in asked[fed]) for fed in sequences
    ]
    choices: list[list[Choice | None]] = [[None] * len(row.branches) for row in rows]
    waiting = list(plain.batches([len(fed) for fed in sequences], keeps, plain.vocabulary_rows(model), budget))
    while waiting:
        batch = waiting.pop(0)
        keep = max(keeps[index] for index in batch)
        try:
            logits_BTV = plain.read_logits(model, [sequences[index] for index in batch], keep)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or len(batch) == 1:
                raise
            waiting[:0] = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
            continue
        for index, logits_TV in zip(batch, logits_BTV, strict=True):
            for number, place in asked[sequences[index]]:
                choices[number][place] = _read_choice(rows[number], place, logits_TV)
                if all(choices[number]):
                    yield _scores(rows[number], [choice for choice in choices[number] if choice])


def _read_choice(row: ChoiceRow, place: int, logits_TV: Any) -> Choice:
    """One choice from the logits after the last tokens that were fed for it."""
    import torch

    branch = row.branches[place]
    targets = [*row.stem, *branch.tokens][branch.start :]
    last_TV = logits_TV[-len(targets) :]
    token_T = torch.tensor(targets, device=last_TV.device)
    target_T = last_TV.gather(1, token_T[:, None])[:, 0] - torch.logsumexp(last_TV, dim=-1)
    greedy = bool((find_likeliest(last_TV) == token_T).all())
    return Choice(logprob=float(target_T.double().sum()), tokens=len(targets), greedy=greedy)


def _scores(row: ChoiceRow, choices: Sequence[Choice]) -> ChoiceScores:
    return ChoiceScores(
        sample=row.sample, choices=tuple(choices), prompt_tokens=row.prompt_tokens, truncated=row.truncated
    )


def _read(model: Any, batch: Sequence[ChoiceRow], shared: int, cache: Any, lean: LeanPass | None) -> list[ChoiceScores]:
    """One forward pass over a batch of rows, and the log-probabilities read out of it."""
    import torch

    with torch.inference_mode():
        targets = [
            ((number, place), token) for number, row in enumerate(batch) for place, token in target_places(row, shared)
        ]
        # each place once: choices of one token all read the same one
        index_of = {place: index for index, place in enumerate(dict.fromkeys(place for place, _ in targets))}
        states = [index_of[place] for place, _ in targets]
        if lean:
            read_U = side_by_side.read_states(lean, batch, shared, cache, list(index_of))
        else:
            read_U = padded.read_logits(model, batch, shared, cache, list(index_of))
        head, width = lean.head if lean else None, plain.vocabulary_rows(model)
        logprobs, greedy = _read_heads(head, width, read_U, states, [token for _, token in targets])
    scores, begin = [], 0
    for row in batch:
        choices = []
        for branch in row.branches:
            count = len(row.stem) + len(branch.tokens) - branch.start
            mine = slice(begin, begin + count)
            summed = float(logprobs[mine].sum())
            choices.append(Choice(logprob=summed, tokens=count, greedy=bool(greedy[mine].all())))
            begin += count
        scores.append(_scores(row, choices))
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


def _read_heads(head: Any, width: int, read_U: Any, states: Sequence[int], tokens: Sequence[int]) -> tuple[Any, Any]:
    """Log-probability of each token and whether it is the likeliest, never computing all logits at once.

    head    makes logits of the rows of read_U; None if they are logits already
    width   the number of logits of a row
    states  for each token, the row of read_U that predicts it
    """
    import torch

    state_M, token_M = torch.tensor(states), torch.tensor(tokens)
    rows = HEAD_ROWS if read_U.is_cuda else max(128, HEAD_CELLS // width)
    logprob_M, greedy_M = torch.empty(len(states), dtype=torch.float64), torch.empty(len(states), dtype=torch.bool)
    for begin in range(0, len(read_U), rows):
        part = read_U[begin : begin + rows]
        logits_UV = (part if head is None else head(part)).float()
        here = (state_M >= begin) & (state_M < begin + rows)
        local = state_M[here].to(logits_UV.device) - begin
        target = token_M[here].to(logits_UV.device)
        normal_U = torch.logsumexp(logits_UV, dim=-1)
        logprob_M[here] = (logits_UV[local, target] - normal_U[local]).double().cpu()
        greedy_M[here] = (find_likeliest(logits_UV)[local] == target).cpu()
    return logprob_M, greedy_M
