"""A forward pass on a CPU without padding: the tokens of a batch side by side, masks only where needed.

transformers' own pass needs a rectangle, so questions of different lengths carry padding through every layer, and a
mask makes attention read both halves of a causal square. Here all tokens of a batch are one long row through the
linear layers, and attention runs question by question. `LeanPass` is one model's layers in this form: a Phi's
(`evals.engines.local.phi_cpu`) or a Llama's (`gated_cpu`). Models on a GPU, where many small calls are slow, take
transformers' pass.

Letters in names: N tokens side by side, D width, H heads, K key heads, S head size, V vocabulary.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from evals.engines.local.rows import ChoiceRow
from zoo.records import Record

Reads = Sequence[tuple[int, int]]  # (row, place among its fed tokens)
Attend = Callable[[int, Any, Any, Any], Any]  # (layer, q_NHS, k_NKS, v_NKS) -> the output of attention, (N, H, S)

STEP_ROWS = 8  # texts whose attention is computed together in a step
INNER_ROWS = 256  # rows of an inner layer at a time: 256 x 1024 floats stay in a core's second-level cache
PASS_TOKENS = 512  # prompt tokens a pass: 512 read HellaSwag 2.4 times as fast as 8192 with 9M parameters


class LeanPass(Record, frozen=True, kw_only=True):
    """One model as a pass without padding.

    forward  (token_N, position_N, attend, reads) -> the normalised states of the last layer, shape (N, D), or
             (reads, D): with `reads`, indices into N, what follows the last attention is computed for these alone.
             `attend` takes rotated queries and keys, and may keep keys and values
    head     states -> logits, shape (.., V)
    """

    forward: Callable[..., Any]
    head: Callable[[Any], Any]
    layers: int
    heads: int
    key_heads: int
    head_size: int
    dtype: Any


def find_angles(body: Any, out_ND: Any, position_N: Any) -> tuple[Any, Any]:
    """The cosines and sines of the model's own rotary positions, shape (N, 1, half of the rotated numbers)."""
    cos, sin = (angles[0] for angles in body.rotary_emb(out_ND, position_N[None]))
    half = cos.shape[-1] // 2  # both halves are the same
    return cos[:, None, :half], sin[:, None, :half]


def rotate(x: Any, angles: tuple[Any, Any]) -> None:
    """Applies rotary positions in place, x (N, .., heads, S): the numbers of each head beyond the angles' stay."""
    cos, sin = (angle.view(len(x), *[1] * (x.ndim - 2), -1) for angle in angles)
    half = cos.shape[-1]
    first, second = x[..., :half], x[..., half : 2 * half]
    rotated = first * cos - second * sin
    second.mul_(cos).add_(first * sin)
    first.copy_(rotated)


def compute_by_rows(compute: Callable[[Any], Any], x_ND: Any) -> Any:
    """The results of `compute` for all rows, INNER_ROWS at a time."""
    import torch

    parts = [compute(rows) for rows in x_ND.split(INNER_ROWS)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


class QuestionSpan(Record, frozen=True, kw_only=True):
    """One question among the tokens side by side: a stem, then branches that see the stem and themselves.

    begin, stem, end  places of its first token, of the first after the stem, and past its last
    sees              mask of the question's tokens that each branch token sees, additive, (branch tokens, tokens)
    """

    begin: int
    stem: int
    end: int
    sees: Any = None


def make_branch_mask(stem: int, lengths: Sequence[int], dtype: Any) -> Any:
    """The additive mask of branches, which see the stem and their own tokens so far: (tokens, stem + tokens)."""
    import torch

    branch_N = torch.repeat_interleave(torch.tensor(lengths))
    sees = (branch_N[:, None] == branch_N[None]).tril_()
    mask = torch.zeros((len(branch_N), stem + len(branch_N)), dtype=dtype)
    mask[:, stem:].masked_fill_(~sees, torch.finfo(dtype).min)
    return mask


class Beginning:
    """Keys and values of a beginning that many questions share, with room behind it for one of them.

    A question's own keys are written into the room and read together with the shared ones, so that the shared ones
    are never copied. Key heads that several heads share are repeated here, once.
    """

    def __init__(self, lean: LeanPass, tokens: Sequence[int], room: int) -> None:
        import torch

        self.length, self.room = len(tokens), room
        shape = (len(tokens) + room, lean.heads, lean.head_size)
        self.layers = [
            (torch.empty(shape, dtype=lean.dtype), torch.empty(shape, dtype=lean.dtype)) for _ in range(lean.layers)
        ]
        lowest = torch.finfo(lean.dtype).min
        self.sees = torch.zeros((room, len(tokens) + room), dtype=lean.dtype)
        self.sees[:, len(tokens) :] = torch.full((room, room), lowest, dtype=lean.dtype).triu_(1)
        with torch.inference_mode():
            lean.forward(torch.tensor(tokens), torch.arange(len(tokens)), self._keep)

    def _keep(self, number: int, q_NHS: Any, k_NKS: Any, v_NKS: Any) -> Any:
        self.write(number, 0, self.length, q_NHS.shape[1], k_NKS, v_NKS)
        return attend_one(q_NHS, k_NKS, v_NKS, causal=True)

    def write(self, number: int, begin: int, end: int, heads: int, k_NKS: Any, v_NKS: Any) -> None:
        """Keys and values of one layer, repeated for the heads that share them."""
        keys, values = self.layers[number]
        keys[begin:end], values[begin:end] = repeat_heads(k_NKS, heads), repeat_heads(v_NKS, heads)

    def mask(self, stem: int, branches: Any) -> Any:
        """The mask of a question of `stem` tokens and of the branches after it (their own mask, or None)."""
        if branches is None:
            return self.sees[:stem, : self.length + stem]
        import torch

        total = stem + len(branches)
        mask = torch.zeros((total, self.length + total), dtype=self.sees.dtype)
        mask[:stem] = self.sees[:stem, : self.length + total]
        mask[stem:, self.length :] = branches
        return mask


def repeat_heads(x_NKS: Any, heads: int) -> Any:
    """Keys or values with each key head repeated for the heads that share it: shape (N, H, S)."""
    return x_NKS if x_NKS.shape[1] == heads else x_NKS.repeat_interleave(heads // x_NKS.shape[1], dim=1)


def attend_one(q_NHS: Any, k_NKS: Any, v_NKS: Any, *, mask: Any = None, causal: bool = False) -> Any:
    """The attention of one question, shape (N, H, S): queries (N, H, S) over keys and values (M, K, S)."""
    from torch.nn.functional import scaled_dot_product_attention

    heads = q_NHS.shape[1]  # torch's kernel for a CPU wants as many key heads; a question's copies are small
    q, k, v = (x.transpose(0, 1)[None] for x in (q_NHS, repeat_heads(k_NKS, heads), repeat_heads(v_NKS, heads)))
    return scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)[0].transpose(0, 1)


def attend_each(spans: Sequence[QuestionSpan], beginning: Beginning | None) -> Attend:
    """The attention function of a batch: each question sees itself and the shared beginning, if there is one."""
    import torch

    masks = [beginning.mask(span.stem - span.begin, span.sees) for span in spans] if beginning else []

    def attend(number: int, q_NHS: Any, k_NKS: Any, v_NKS: Any) -> Any:
        out_NHS = torch.empty_like(q_NHS)
        for index, span in enumerate(spans):
            mine = slice(span.begin, span.end)
            if beginning:
                keys, values = beginning.layers[number]
                past, total = beginning.length, beginning.length + span.end - span.begin
                beginning.write(number, past, total, q_NHS.shape[1], k_NKS[mine], v_NKS[mine])
                out_NHS[mine] = attend_one(q_NHS[mine], keys[:total], values[:total], mask=masks[index])
                continue
            stem, rest = slice(span.begin, span.stem), slice(span.stem, span.end)
            if span.begin < span.stem:
                out_NHS[stem] = attend_one(q_NHS[stem], k_NKS[stem], v_NKS[stem], causal=True)
            if span.stem < span.end:
                out_NHS[rest] = attend_one(q_NHS[rest], k_NKS[mine], v_NKS[mine], mask=span.sees)
        return out_NHS

    return attend


def encode_shared(lean: LeanPass, shared: Sequence[int], room: int) -> Beginning:
    """Encodes a shared beginning, with room behind it for the longest of its questions."""
    return Beginning(lean, shared, max(room, 1))


def read_states(
    lean: LeanPass, batch: Sequence[ChoiceRow], shared: int, beginning: Beginning | None, reads: Reads
) -> Any:
    """One forward pass: the last layer at each read, shape (U, D)."""
    import torch

    fed: list[int] = []
    positions: list[int] = []
    spans = []
    for row in batch:
        begin, stem = len(fed), len(row.stem) - shared
        fed += row.tokens(shared)
        positions += row.positions(shared)
        lengths = [len(branch.tokens) - 1 for branch in row.branches]
        sees = make_branch_mask(stem, lengths, lean.dtype) if any(lengths) else None
        spans.append(QuestionSpan(begin=begin, stem=begin + stem, end=len(fed), sees=sees))
    places = torch.tensor([spans[number].begin + place for number, place in reads])
    return lean.forward(torch.tensor(fed), torch.tensor(positions), attend_each(spans, beginning), places)


def encode_prompts(lean: LeanPass, prompts: Sequence[Sequence[int]], begin: int, layers: Sequence[Any]) -> Any:
    """The last layer at each prompt's end, shape (prompts, D); their keys and values go into slots from `begin` on."""
    import torch

    ends = list(itertools.accumulate(len(prompt) for prompt in prompts))
    spans = [slice(end - len(prompt), end) for prompt, end in zip(prompts, ends, strict=True)]

    def attend(number: int, q_NHS: Any, k_NKS: Any, v_NKS: Any) -> Any:
        out_NHS = torch.empty_like(q_NHS)
        for row, mine in enumerate(spans, begin):
            layers[number].put(row, k_NKS[mine][None], v_NKS[mine][None])
            out_NHS[mine] = attend_one(q_NHS[mine], k_NKS[mine], v_NKS[mine], causal=True)
        return out_NHS

    tokens = torch.tensor([token for prompt in prompts for token in prompt])
    positions = torch.cat([torch.arange(len(prompt)) for prompt in prompts])
    return lean.forward(tokens, positions, attend, torch.tensor(ends) - 1)


def make_past_mask(length_B: Any, width: int, dtype: Any) -> Any:
    """The additive mask of each text's next token over its row: shape (B, 1, 1, width)."""
    import torch

    sees = torch.arange(width, device=length_B.device)[None] <= length_B[:, None]
    mask = torch.zeros(sees.shape, dtype=dtype, device=length_B.device)
    return mask.masked_fill_(~sees, torch.finfo(dtype).min)[:, None, None]


def step(lean: LeanPass, last_B: Any, length_B: Any, layers: Sequence[Any]) -> Any:
    """The last layer at the newest token of each text: shape (B, D).

    last_B    each text's newest token
    length_B  tokens of each text before it
    layers    keys and values, a row a text; the newest token's are written into them

    Memory is slower than attention, so rows are read a few at a time, each group only to its own longest.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    parts = []
    for begin in range(0, len(last_B), STEP_ROWS):
        rows = slice(begin, min(begin + STEP_ROWS, len(last_B)))
        width = int(length_B[rows].max()) + 1
        parts.append((rows, width, make_past_mask(length_B[rows], width, lean.dtype)))

    def attend(number: int, q_BHS: Any, k_BKS: Any, v_BKS: Any) -> Any:
        layer = layers[number]
        layer.write(k_BKS, v_BKS)
        grouped = q_BHS.reshape(len(q_BHS), lean.key_heads, lean.heads // lean.key_heads, lean.head_size)
        out_BHS = torch.empty_like(q_BHS)
        for rows, width, mask in parts:
            keys, values = (x[rows, :width].transpose(1, 2) for x in (layer.keys, layer.values))
            # the heads that share a key head are its queries, so that its keys are read once
            mixed = scaled_dot_product_attention(grouped[rows], keys, values, attn_mask=mask)
            out_BHS[rows] = mixed.reshape(-1, lean.heads, lean.head_size)
        return out_BHS

    return lean.forward(last_B, length_B, attend)
