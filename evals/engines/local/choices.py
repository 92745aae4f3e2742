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

from evals.engines.local import padded as padding
from evals.engines.local import phi_cpu
from evals.engines.tokens import Pair, Tokens
from evals.records import Choice, ChoiceRequest, ChoiceScores
from zoo.records import Record

SHARED_TOKENS = 32  # a shared beginning shorter than this is cheaper to encode again than to copy
HEAD_ROWS = 2048  # rows of logits held at once on a GPU: 2048 x 51200 floats are 420 MB
HEAD_CELLS = 1 << 20  # numbers of logits held at once on a CPU, but at least 128 rows: 4 MB stay in the cache
MASK_CELLS = 1 << 26  # B * T * (P + T) at most, 256 MB of mask


class Branch(Record, frozen=True, kw_only=True):
    """One choice in a row: its tokens after the shared part, and where its continuation starts."""

    tokens: tuple[int, ...]
    start: int


class Row(Record, frozen=True, kw_only=True):
    """One question: tokens common to all its choices, and the rest of each choice."""

    sample: str
    stem: tuple[int, ...]
    branches: tuple[Branch, ...]
    prompt_tokens: int
    truncated: int

    @property
    def sharable(self) -> int:
        """How much of the stem other questions may share: what is fed after it must give every answer."""
        return min(len(self.stem) - 1, *(branch.start - 1 for branch in self.branches))

    @property
    def fed(self) -> int:
        """Tokens that are fed: the stem, and each branch but its last token."""
        return len(self.stem) + sum(len(branch.tokens) - 1 for branch in self.branches)

    def tokens(self, shared: int) -> list[int]:
        """What is fed after `shared` tokens."""
        return [*self.stem[shared:], *(token for branch in self.branches for token in branch.tokens[:-1])]

    def places(self, shared: int) -> list[int]:
        """The position of each token fed: every branch goes on from the stem's end."""
        stem = len(self.stem)
        own = (range(stem, stem + len(branch.tokens) - 1) for branch in self.branches)
        return [*range(shared, stem), *(place for some in own for place in some)]


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences share at their beginning.

    >>> common([1, 2, 3], [1, 2, 4, 5])
    2
    """
    limit = min(len(one), len(other))
    return next((place for place in range(limit) if one[place] != other[place]), limit)


def row(request: ChoiceRequest, tokens: Tokens, context_tokens: int) -> Row:
    """A question's row. The stem ends before any choice's last token, which is read and never fed."""
    pairs: list[Pair] = [tokens.pair(context, text, context_tokens) for context, text in request.pairs]
    shared = min(len(pair.tokens) - 1 for pair in pairs)
    for pair in pairs[1:]:
        shared = min(shared, common(pairs[0].tokens, pair.tokens))
    branches = tuple(Branch(tokens=pair.tokens[shared:], start=pair.start) for pair in pairs)
    return Row(
        sample=request.sample,
        stem=pairs[0].tokens[:shared],
        branches=branches,
        prompt_tokens=max(pair.start + pair.truncated for pair in pairs),
        truncated=max(pair.truncated for pair in pairs),
    )


def groups(rows: Sequence[Row]) -> Iterator[tuple[tuple[int, ...], list[Row]]]:
    """Rows by the long beginning they share: (the shared tokens, the rows), every row once.

    Sorted by tokens, rows with a common beginning stand together. A group goes on while the next row
    shares at least half of what the group shares so far.
    """
    ordered = sorted(rows, key=lambda one: one.stem)
    while ordered:
        shared, members = list(ordered[0].stem[: max(ordered[0].sharable, 0)]), [ordered[0]]
        for candidate in ordered[1:]:
            now = min(common(shared, candidate.stem), candidate.sharable)
            if now < SHARED_TOKENS or (len(members) > 1 and now < len(shared) // 2):
                break
            shared = shared[:now]
            members.append(candidate)
        ordered = ordered[len(members) :]
        yield (tuple(shared), members) if len(members) > 1 else ((), members)


def gathered(rows: Sequence[Row]) -> list[tuple[tuple[int, ...], list[Row]]]:
    """The groups that share a beginning, and one group of all the rows that share none."""
    found, alone = [], []
    for shared, members in groups(rows):
        if shared:
            found.append((shared, members))
        else:
            alone += members
    return [*found, ((), alone)] if alone else found


def batches(rows: Sequence[Row], shared: int, budget: int, *, padded: bool = True) -> Iterator[list[Row]]:
    """Rows of like length together, longest first, at most `budget` tokens a batch (with their padding)."""
    batch: list[Row] = []
    longest = fed = 0
    for one in sorted(rows, key=lambda one: -one.fed):
        longest, fed = max(longest, one.fed - shared, 1), fed + one.fed - shared
        size = (len(batch) + 1) * longest if padded else fed
        if batch and (size > budget or (padded and size * (shared + longest) > MASK_CELLS)):
            yield batch
            batch, longest, fed = [], max(one.fed - shared, 1), one.fed - shared
        batch.append(one)
    if batch:
        yield batch


def choose(
    model: Any, tokens: Tokens, requests: Sequence[ChoiceRequest], context_tokens: int, budget: int
) -> Iterator[ChoiceScores]:
    """Scores of every request, in the order in which batches finish.

    Raises the engine's out-of-memory error only when a single row does not fit.
    """
    rows = [row(request, tokens, context_tokens) for request in requests]
    padded = not phi_cpu.fits(model)
    encoded = padding.encoded if padded else phi_cpu.encoded
    for shared, members in gathered(rows):
        waiting = list(batches(members, len(shared), budget, padded=padded))
        cache = encoded(model, shared, max(one.fed for one in members) - len(shared)) if shared else None
        while waiting:
            batch = waiting.pop(0)
            try:
                yield from _read(model, batch, len(shared), cache)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error) or len(batch) == 1:
                    raise
                half = len(batch) // 2
                waiting[:0] = [batch[:half], batch[half:]]


def out_of_memory(error: BaseException) -> bool:
    """Whether an engine's error means that memory ran out (CUDA's own class, or the CPU allocator's text)."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return "can't allocate memory" in str(error) or "out of memory" in str(error)


def _read(model: Any, batch: Sequence[Row], shared: int, cache: Any) -> list[ChoiceScores]:
    """One forward pass over a batch of rows, and the log-probabilities read out of it."""
    import torch

    spread = phi_cpu.spread if phi_cpu.fits(model) else padding.spread
    with torch.inference_mode():
        asked = [((number, place), token) for number, one in enumerate(batch) for place, token in read_out(one, shared)]
        # each place once: choices of one token all read the same one
        of = {place: index for index, place in enumerate(dict.fromkeys(place for place, _ in asked))}
        hidden_UD = spread(model, batch, shared, cache, list(of))
        logprobs, greedy = _heads(model, hidden_UD, [of[place] for place, _ in asked], [token for _, token in asked])
    found, at = [], 0
    for one in batch:
        choices = []
        for branch in one.branches:
            count = len(one.stem) + len(branch.tokens) - branch.start
            summed = float(logprobs[at : at + count].sum())
            choices.append(Choice(logprob=summed, tokens=count, greedy=bool(greedy[at : at + count].all())))
            at += count
        scores = ChoiceScores(
            sample=one.sample,
            choices=tuple(choices),
            prompt_tokens=one.prompt_tokens,
            truncated=one.truncated,
        )
        found.append(scores)
    return found


def read_out(one: Row, shared: int) -> Iterator[tuple[int, int]]:
    """What is read of a row: (place among its fed tokens, the token whose log-probability is read there)."""
    stem = len(one.stem)
    at = stem - shared  # where the branch's own tokens are fed
    for branch in one.branches:
        for index in range(branch.start, stem + len(branch.tokens)):
            before = index - 1  # the token that predicts this one
            place = before - shared if before < stem else at + before - stem
            yield place, one.stem[index] if index < stem else branch.tokens[index - stem]
        at += len(branch.tokens) - 1


def _heads(model: Any, hidden_UD: Any, of: Sequence[int], tokens: Sequence[int]) -> tuple[Any, Any]:
    """Log-probability of each token read and whether it is the likeliest, never holding all logits.

    of  for each token, the row of hidden_UD that it is read from
    """
    import torch

    of_M, token_M = torch.tensor(of), torch.tensor(tokens)
    head: Any = model.get_output_embeddings()
    rows = HEAD_ROWS if hidden_UD.is_cuda else max(128, HEAD_CELLS // model.config.vocab_size)
    logprob_M, greedy_M = torch.empty(len(of), dtype=torch.float64), torch.empty(len(of), dtype=torch.bool)
    for begin in range(0, len(hidden_UD), rows):
        logits_UV = head(hidden_UD[begin : begin + rows]).float()
        here = (of_M >= begin) & (of_M < begin + rows)
        local = of_M[here].to(logits_UV.device) - begin
        target = token_M[here].to(logits_UV.device)
        normal_U = torch.logsumexp(logits_UV, dim=-1)
        logprob_M[here] = (logits_UV[local, target] - normal_U[local]).double().cpu()
        greedy_M[here] = (likeliest(logits_UV)[local] == target).cpu()
    return logprob_M, greedy_M


def likeliest(logits_BV: Any) -> Any:
    """The index of each row's largest number, the first among equals: shape (B,).

    On a CPU numpy's search, which is 10 to 30 times as fast as torch's (64 x 51200: 0.6 against 6 ms).
    """
    import torch

    if logits_BV.is_cuda:
        return logits_BV.argmax(dim=-1)
    return torch.from_numpy(logits_BV.numpy().argmax(-1))
