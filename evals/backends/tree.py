"""Choice log-probabilities with every shared token encoded once.

The choices of one question share their context: the question becomes one row, the context followed
by the choices side by side, each token seeing only its own choice and the context (a tree mask,
positions as if each choice stood alone). A choice of one token needs no token of its own: its
log-probability is read at the context's last one. Questions that share a long beginning (few-shot
examples) share its keys and values. Rows are sorted by length and batched by token budget; when
memory runs out the budget is halved and the batch done again.

Letters in names: B rows, T tokens fed, P tokens of the shared beginning, D width, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from evals.records import Choice, ChoiceRequest, ChoiceScores
from evals.tokens import Pair, Tokens
from zoo.checkpoint import Record

SHARED_TOKENS = 32  # a shared beginning shorter than this is cheaper to encode again than to copy
HEAD_ROWS = 2048  # rows of logits held at once: 2048 x 51200 floats are 420 MB
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


def batches(rows: Sequence[Row], shared: int, budget: int) -> Iterator[list[Row]]:
    """Rows of like length together, longest first, at most `budget` padded tokens a batch."""
    batch: list[Row] = []
    longest = 0
    for one in sorted(rows, key=lambda one: -one.fed):
        longest = max(longest, one.fed - shared, 1)
        size = (len(batch) + 1) * longest
        if batch and (size > budget or size * (shared + longest) > MASK_CELLS):
            yield batch
            batch, longest = [], max(one.fed - shared, 1)
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
    for shared, members in gathered(rows):
        waiting = list(batches(members, len(shared), budget))
        cache = _encoded(model, shared) if shared else None
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


def _encoded(model: Any, shared: Sequence[int]) -> list[tuple[Any, Any]]:
    """Keys and values of the shared beginning, one pair a layer, shape (1, heads, P, head size)."""
    import torch
    from transformers import DynamicCache

    cache: Any = DynamicCache(config=model.config)
    with torch.inference_mode():
        model.base_model(input_ids=torch.tensor([shared], device=model.device), past_key_values=cache, use_cache=True)
    return [(layer.keys, layer.values) for layer in cache.layers]


def _expanded(model: Any, cache: Sequence[tuple[Any, Any]], rows: int) -> Any:
    from transformers import DynamicCache

    grown: Any = DynamicCache(config=model.config)
    for layer, (keys, values) in zip(grown.layers, cache, strict=True):
        layer.lazy_initialization(keys, values)
        # set, not updated: a view of one row, copied once when the new tokens join it, not twice
        layer.keys, layer.values = keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1)
    return grown


def _read(model: Any, batch: Sequence[Row], shared: int, cache: Sequence[tuple[Any, Any]] | None) -> list[ChoiceScores]:
    """One forward pass over a batch of rows, and the log-probabilities read out of it."""
    import torch

    input_BT, place_BT, mask, wanted = _laid_out(batch, shared, model.device, model.dtype)
    with torch.inference_mode():
        past = _expanded(model, cache, len(batch)) if cache else None
        hidden_BTD = model.base_model(
            input_ids=input_BT, position_ids=place_BT, attention_mask=mask, past_key_values=past, use_cache=bool(cache)
        ).last_hidden_state
        logprobs, greedy = _heads(model, hidden_BTD, wanted)
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


def _laid_out(
    batch: Sequence[Row], shared: int, device: Any, dtype: Any
) -> tuple[Any, Any, Any, list[tuple[int, int, int]]]:
    """Tokens, positions and tree mask of a batch, and what to read: (row, place fed, token to read).

    mask is additive, shape (B, 1, T, shared + T): 0 where a token may look, the smallest number elsewhere.
    """
    import torch

    width = max(max(one.fed - shared for one in batch), 1)
    input_BT = torch.zeros((len(batch), width), dtype=torch.long)
    place_BT = torch.zeros((len(batch), width), dtype=torch.long)
    sees = torch.zeros((len(batch), width, shared + width), dtype=torch.bool)
    sees[:, :, :shared] = True
    causal = torch.ones((width, width), dtype=torch.bool).tril()
    wanted: list[tuple[int, int, int]] = []
    for number, one in enumerate(batch):
        stem = len(one.stem) - shared
        input_BT[number, :stem] = torch.tensor(one.stem[shared:], dtype=torch.long)
        place_BT[number, :stem] = torch.arange(shared, shared + stem)
        sees[number, :stem, shared : shared + stem] = causal[:stem, :stem]
        at = stem
        for branch in one.branches:
            fed = len(branch.tokens) - 1
            end = at + fed
            input_BT[number, at:end] = torch.tensor(branch.tokens[:-1], dtype=torch.long)
            place_BT[number, at:end] = torch.arange(len(one.stem), len(one.stem) + fed)
            sees[number, at:end, shared : shared + stem] = True
            sees[number, at:end, shared + at : shared + end] = causal[:fed, :fed]
            whole = (*one.stem, *branch.tokens)
            for index in range(branch.start, len(whole)):
                before = index - 1  # the token that predicts this one
                where = before - shared if before < len(one.stem) else at + before - len(one.stem)
                wanted.append((number, where, whole[index]))
            at = end
        sees[number, at:, shared] = True  # padding looks somewhere, so that its softmax is finite
    mask = torch.zeros(sees.shape, dtype=dtype, device=device).masked_fill_(~sees.to(device), torch.finfo(dtype).min)
    return input_BT.to(device), place_BT.to(device), mask[:, None], wanted


def _heads(model: Any, hidden_BTD: Any, wanted: Sequence[tuple[int, int, int]]) -> tuple[Any, Any]:
    """Log-probability of each wanted token and whether it is the likeliest, never holding all logits.

    The output layer runs once for each distinct place: choices of one token all read the same one.
    """
    import torch

    places = list(dict.fromkeys((row_, place) for row_, place, _ in wanted))
    number = {place: index for index, place in enumerate(places)}
    of_N = torch.tensor([number[row_, place] for row_, place, _ in wanted])
    token_N = torch.tensor([token for _, _, token in wanted])
    rows = torch.tensor([place[0] for place in places], device=hidden_BTD.device)
    columns = torch.tensor([place[1] for place in places], device=hidden_BTD.device)
    hidden_UD = hidden_BTD[rows, columns]
    head: Callable[[Any], Any] = model.get_output_embeddings()
    logprob_N, greedy_N = torch.empty(len(wanted), dtype=torch.float64), torch.empty(len(wanted), dtype=torch.bool)
    for begin in range(0, len(places), HEAD_ROWS):
        logits_UV = head(hidden_UD[begin : begin + HEAD_ROWS]).float()
        here = (of_N >= begin) & (of_N < begin + HEAD_ROWS)
        local = of_N[here].to(logits_UV.device) - begin
        target = token_N[here].to(logits_UV.device)
        normal_U = torch.logsumexp(logits_UV, dim=-1)
        logprob_N[here] = (logits_UV[local, target] - normal_U[local]).double().cpu()
        greedy_N[here] = (logits_UV.argmax(dim=-1)[local] == target).cpu()
    return logprob_N, greedy_N
