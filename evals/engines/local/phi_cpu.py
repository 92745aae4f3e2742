"""A Phi's forward pass on a CPU without padding: the tokens of a batch side by side, masks only where needed.

transformers' own pass needs a rectangle, so questions of different lengths carry padding through every layer, and a
mask makes attention read both halves of a causal square. Here all tokens of a batch are one long row through the
linear layers, and attention runs question by question. The weights are the model's own modules and the
arithmetic is transformers' Phi (models/phi/modeling_phi.py of 5.23), so log-probabilities agree to rounding. Any
other model (`fits`), and any model on a GPU, where many small calls are slow, takes transformers' pass.

Letters in names: N tokens side by side, D width, H heads, S head size.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from evals.engines.local.rows import ChoiceRow
from zoo.records import Record

Reads = Sequence[tuple[int, int]]  # (row, place among its fed tokens)
Attend = Callable[[int, Any, Any, Any], Any]  # (layer, q_NHS, k_NHS, v_NHS) -> the output of attention, (N, H, S)

INNER_ROWS = 256  # rows of the inner layer at a time: 256 x 1024 floats stay in a core's second-level cache
STEP_ROWS = 8  # texts whose attention is computed together in a step
PASS_TOKENS = 512  # prompt tokens a pass: 512 read HellaSwag 2.4 times as fast as 8192 with 9M parameters


def fits(model: Any) -> bool:
    """Whether this pass computes the model: a plain Phi on a CPU, with as many key heads as heads."""
    config = model.config
    rope = getattr(config, "rope_parameters", None) or {}
    return (
        type(model).__name__ == "PhiForCausalLM"
        and model.device.type == "cpu"
        and not getattr(config, "qk_layernorm", False)
        and config.hidden_act == "gelu_new"
        and rope.get("rope_type", "default") == "default"
        and config.num_key_value_heads == config.num_attention_heads
    )


def forward(model: Any, token_N: Any, position_N: Any, attend: Attend, reads: Any = None) -> Any:
    """The normalised states of the last layer: shape (N, D), or (reads, D).

    token_N, position_N  token ids and their positions
    attend               attention of one layer; it takes rotated queries and keys, and may keep keys and values
    reads                indices into N: everything after the last attention is computed for these alone
    """
    from torch.nn.functional import layer_norm, linear

    body, config = model.model, model.config
    heads = config.num_attention_heads
    size = config.hidden_size // heads
    out_ND = body.embed_tokens(token_N)
    cos, sin = (angles[0] for angles in body.rotary_emb(out_ND, position_N[None]))
    half = cos.shape[-1] // 2  # both halves of cos are the same
    cos, sin = cos[:, None, :half], sin[:, None, :half]
    for number, layer in enumerate(body.layers):
        norm, attention_layer = layer.input_layernorm, layer.self_attn
        normal_ND = layer_norm(out_ND, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        q_NHS, k_NHS, v_NHS = (
            linear(normal_ND, part.weight, part.bias).view(-1, heads, size)
            for part in (attention_layer.q_proj, attention_layer.k_proj, attention_layer.v_proj)
        )
        _rotate(q_NHS, cos, sin, half)
        _rotate(k_NHS, cos, sin, half)
        mixed_NHS = attend(number, q_NHS, k_NHS, v_NHS)
        if reads is not None and number == len(body.layers) - 1:
            mixed_NHS, normal_ND, out_ND = mixed_NHS[reads], normal_ND[reads], out_ND[reads]
        dense = attention_layer.dense
        sum_ND = linear(mixed_NHS.reshape(-1, heads * size), dense.weight, dense.bias)
        sum_ND += _apply_mlp(layer.mlp, normal_ND)
        out_ND = sum_ND.add_(out_ND)
    norm = body.final_layernorm
    return layer_norm(out_ND, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _rotate(x_NHS: Any, cos: Any, sin: Any, half: int) -> None:
    """Applies rotary positions in place: rotates the first 2 * half numbers of each head, leaves the others."""
    first, second = x_NHS[..., :half], x_NHS[..., half : 2 * half]
    rotated = first * cos - second * sin
    second.mul_(cos).add_(first * sin)
    first.copy_(rotated)


def _apply_mlp(mlp: Any, normal_ND: Any) -> Any:
    from torch import cat
    from torch.nn.functional import gelu, linear

    parts = []
    for rows in normal_ND.split(INNER_ROWS):
        inner = gelu(linear(rows, mlp.fc1.weight, mlp.fc1.bias), approximate="tanh")
        parts.append(linear(inner, mlp.fc2.weight, mlp.fc2.bias))
    return parts[0] if len(parts) == 1 else cat(parts)


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
    are never copied.
    """

    def __init__(self, model: Any, tokens: Sequence[int], room: int) -> None:
        import torch

        config = model.config
        self.length, self.room = len(tokens), room
        heads = config.num_attention_heads
        shape = (len(tokens) + room, heads, config.hidden_size // heads)
        self.layers = [
            (torch.empty(shape, dtype=model.dtype), torch.empty(shape, dtype=model.dtype))
            for _ in range(config.num_hidden_layers)
        ]
        lowest = torch.finfo(model.dtype).min
        self.sees = torch.zeros((room, len(tokens) + room), dtype=model.dtype)
        self.sees[:, len(tokens) :] = torch.full((room, room), lowest, dtype=model.dtype).triu_(1)
        with torch.inference_mode():
            forward(model, torch.tensor(tokens), torch.arange(len(tokens)), self._keep)

    def _keep(self, number: int, q_NHS: Any, k_NHS: Any, v_NHS: Any) -> Any:
        keys, values = self.layers[number]
        keys[: self.length], values[: self.length] = k_NHS, v_NHS
        return attend_one(q_NHS, k_NHS, v_NHS, causal=True)

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


def attend_one(q_NHS: Any, k_NHS: Any, v_NHS: Any, *, mask: Any = None, causal: bool = False) -> Any:
    """The attention of one question, shape (N, H, S): queries (N, H, S) over keys and values (M, H, S)."""
    from torch.nn.functional import scaled_dot_product_attention

    q, k, v = (x.transpose(0, 1)[None] for x in (q_NHS, k_NHS, v_NHS))
    return scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)[0].transpose(0, 1)


def attend_each(spans: Sequence[QuestionSpan], beginning: Beginning | None) -> Attend:
    """The attention function of a batch: each question sees itself and the shared beginning, if there is one."""
    import torch

    masks = [beginning.mask(span.stem - span.begin, span.sees) for span in spans] if beginning else []

    def attend(number: int, q_NHS: Any, k_NHS: Any, v_NHS: Any) -> Any:
        out_NHS = torch.empty_like(q_NHS)
        for index, span in enumerate(spans):
            mine = slice(span.begin, span.end)
            if beginning:
                keys, values = beginning.layers[number]
                past, total = beginning.length, beginning.length + span.end - span.begin
                keys[past:total], values[past:total] = k_NHS[mine], v_NHS[mine]
                out_NHS[mine] = attend_one(q_NHS[mine], keys[:total], values[:total], mask=masks[index])
                continue
            stem, rest = slice(span.begin, span.stem), slice(span.stem, span.end)
            if span.begin < span.stem:
                out_NHS[stem] = attend_one(q_NHS[stem], k_NHS[stem], v_NHS[stem], causal=True)
            if span.stem < span.end:
                out_NHS[rest] = attend_one(q_NHS[rest], k_NHS[mine], v_NHS[mine], mask=span.sees)
        return out_NHS

    return attend


def encode_shared(model: Any, shared: Sequence[int], room: int) -> Beginning:
    """Encodes a shared beginning, with room behind it for the longest of its questions."""
    return Beginning(model, shared, max(room, 1))


def read_states(model: Any, batch: Sequence[ChoiceRow], shared: int, beginning: Beginning | None, reads: Reads) -> Any:
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
        sees = make_branch_mask(stem, lengths, model.dtype) if any(lengths) else None
        spans.append(QuestionSpan(begin=begin, stem=begin + stem, end=len(fed), sees=sees))
    places = torch.tensor([spans[number].begin + place for number, place in reads])
    return forward(model, torch.tensor(fed), torch.tensor(positions), attend_each(spans, beginning), places)


def encode_prompts(model: Any, prompts: Sequence[Sequence[int]], begin: int, layers: Sequence[Any]) -> Any:
    """The last layer at each prompt's end, shape (prompts, D); their keys and values go into slots from `begin` on."""
    import torch

    ends = list(itertools.accumulate(len(prompt) for prompt in prompts))
    spans = [slice(end - len(prompt), end) for prompt, end in zip(prompts, ends, strict=True)]

    def attend(number: int, q_NHS: Any, k_NHS: Any, v_NHS: Any) -> Any:
        out_NHS = torch.empty_like(q_NHS)
        for row, mine in enumerate(spans, begin):
            layers[number].put(row, k_NHS[mine][None], v_NHS[mine][None])
            out_NHS[mine] = attend_one(q_NHS[mine], k_NHS[mine], v_NHS[mine], causal=True)
        return out_NHS

    tokens = torch.tensor([token for prompt in prompts for token in prompt])
    positions = torch.cat([torch.arange(len(prompt)) for prompt in prompts])
    return forward(model, tokens, positions, attend, torch.tensor(ends) - 1)


def make_past_mask(length_B: Any, width: int, dtype: Any) -> Any:
    """The additive mask of each text's next token over its row: shape (B, 1, 1, width)."""
    import torch

    sees = torch.arange(width, device=length_B.device)[None] <= length_B[:, None]
    mask = torch.zeros(sees.shape, dtype=dtype, device=length_B.device)
    return mask.masked_fill_(~sees, torch.finfo(dtype).min)[:, None, None]


def step(model: Any, last_B: Any, length_B: Any, layers: Sequence[Any]) -> Any:
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
        parts.append((rows, width, make_past_mask(length_B[rows], width, model.dtype)))

    def attend(number: int, q_BHS: Any, k_BHS: Any, v_BHS: Any) -> Any:
        layer = layers[number]
        layer.write(k_BHS, v_BHS)
        out_BHS = torch.empty_like(q_BHS)
        for rows, width, mask in parts:
            keys, values = (x[rows, :width].transpose(1, 2) for x in (layer.keys, layer.values))
            out_BHS[rows] = scaled_dot_product_attention(q_BHS[rows, :, None], keys, values, attn_mask=mask)[:, :, 0]
        return out_BHS

    return forward(model, last_B, length_B, attend)
