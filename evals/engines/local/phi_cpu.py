"""A Phi's forward pass on a CPU over tokens that stand side by side: no padding, no mask but where one is needed.

transformers' own pass wants a rectangle, so questions of unlike length carry padding through every layer, and a
mask makes attention read both halves of a causal square. Here all tokens of a batch are one long row through the
linear layers, and attention is asked question by question. The weights are the model's own modules and the
arithmetic is transformers' Phi (models/phi/modeling_phi.py of 5.23), so log-probabilities agree to rounding. What
is no plain Phi (`fits` says), or stands on a GPU, where many small calls are slow, keeps transformers' pass.

Letters in names: N tokens side by side, D width, H heads, S head size.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from zoo.records import Record

if TYPE_CHECKING:
    from evals.engines.local.choices import Row
    from evals.engines.local.generate import _Slots

Wanted = Sequence[tuple[int, int]]
Attend = Callable[[int, Any, Any, Any], Any]  # (layer, q_NHS, k_NHS, v_NHS) -> what attention gives, (N, H, S)

INNER_ROWS = 256  # rows of the inner layer at a time: 256 x 1024 floats stay in a core's second-level cache
STEP_ROWS = 8  # texts whose attention is worked out together in a step
PASS_TOKENS = 512  # prompt tokens a pass: 512 read HellaSwag 2.4 times as fast as 8192 with 9M parameters


def fits(model: Any) -> bool:
    """Whether this pass is the model's: a plain Phi on a CPU, with as many key heads as heads."""
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


def hidden(model: Any, token_N: Any, place_N: Any, attend: Attend, wanted: Any = None) -> Any:
    """What the last layer gives, normalised: shape (N, D), or (wanted, D).

    token_N, place_N  token ids and their positions
    attend            attention of one layer; it sees rotated queries and keys and keeps what it wants of them
    wanted            indices into N: what follows the last attention is worked out for these alone
    """
    from torch.nn.functional import layer_norm, linear

    body, config = model.model, model.config
    heads = config.num_attention_heads
    size = config.hidden_size // heads
    out_ND = body.embed_tokens(token_N)
    cos, sin = (found[0] for found in body.rotary_emb(out_ND, place_N[None]))
    half = cos.shape[-1] // 2  # both halves of cos are the same
    cos, sin = cos[:, None, :half], sin[:, None, :half]
    for number, layer in enumerate(body.layers):
        norm, own = layer.input_layernorm, layer.self_attn
        normal_ND = layer_norm(out_ND, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        q_NHS, k_NHS, v_NHS = (
            linear(normal_ND, part.weight, part.bias).view(-1, heads, size)
            for part in (own.q_proj, own.k_proj, own.v_proj)
        )
        _turn(q_NHS, cos, sin, half)
        _turn(k_NHS, cos, sin, half)
        mixed_NHS = attend(number, q_NHS, k_NHS, v_NHS)
        if wanted is not None and number == len(body.layers) - 1:
            mixed_NHS, normal_ND, out_ND = mixed_NHS[wanted], normal_ND[wanted], out_ND[wanted]
        grown_ND = linear(mixed_NHS.reshape(-1, heads * size), own.dense.weight, own.dense.bias)
        grown_ND += _inner(layer.mlp, normal_ND)
        out_ND = grown_ND.add_(out_ND)
    norm = body.final_layernorm
    return layer_norm(out_ND, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _turn(x_NHS: Any, cos: Any, sin: Any, half: int) -> None:
    """Rotary positions, in place: the first 2 * half numbers of each head are turned, the others left."""
    one, other = x_NHS[..., :half], x_NHS[..., half : 2 * half]
    turned = one * cos - other * sin
    other.mul_(cos).add_(one * sin)
    one.copy_(turned)


def _inner(mlp: Any, normal_ND: Any) -> Any:
    from torch import cat
    from torch.nn.functional import gelu, linear

    found = []
    for some in normal_ND.split(INNER_ROWS):
        grown = gelu(linear(some, mlp.fc1.weight, mlp.fc1.bias), approximate="tanh")
        found.append(linear(grown, mlp.fc2.weight, mlp.fc2.bias))
    return found[0] if len(found) == 1 else cat(found)


class Span(Record, frozen=True, kw_only=True):
    """One question among the tokens side by side: a stem, then branches that see the stem and themselves.

    begin, stem, end  places of its first token, of the first after the stem, and past its last
    sees              which of the question's tokens each branch token sees, additive, (branch tokens, tokens)
    """

    begin: int
    stem: int
    end: int
    sees: Any = None


def branch_mask(stem: int, lengths: Sequence[int], dtype: Any) -> Any:
    """What branches see, additive: the whole stem and their own tokens so far. Shape (tokens, stem + tokens)."""
    import torch

    of = torch.repeat_interleave(torch.tensor(lengths))
    sees = (of[:, None] == of[None]).tril_()
    mask = torch.zeros((len(of), stem + len(of)), dtype=dtype)
    mask[:, stem:].masked_fill_(~sees, torch.finfo(dtype).min)
    return mask


class Beginning:
    """Keys and values of a beginning that many questions share, with room behind it for one of them.

    A question's own keys are written into the room and read together with the shared ones, so nothing shared is
    ever copied.
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
        far = torch.finfo(model.dtype).min
        self.sees = torch.zeros((room, len(tokens) + room), dtype=model.dtype)
        self.sees[:, len(tokens) :] = torch.full((room, room), far, dtype=model.dtype).triu_(1)
        with torch.inference_mode():
            hidden(model, torch.tensor(tokens), torch.arange(len(tokens)), self._keep)

    def _keep(self, number: int, q_NHS: Any, k_NHS: Any, v_NHS: Any) -> Any:
        keys, values = self.layers[number]
        keys[: self.length], values[: self.length] = k_NHS, v_NHS
        return attention(q_NHS, k_NHS, v_NHS, causal=True)

    def mask(self, stem: int, branches: Any) -> Any:
        """What a question of `stem` tokens sees, and its branches after it (their own mask, or None)."""
        if branches is None:
            return self.sees[:stem, : self.length + stem]
        import torch

        total = stem + len(branches)
        mask = torch.zeros((total, self.length + total), dtype=self.sees.dtype)
        mask[:stem] = self.sees[:stem, : self.length + total]
        mask[stem:, self.length :] = branches
        return mask


def attention(q_NHS: Any, k_NHS: Any, v_NHS: Any, *, mask: Any = None, causal: bool = False) -> Any:
    """Attention of one question: queries (N, H, S) over keys and values (M, H, S). Returns (N, H, S)."""
    from torch.nn.functional import scaled_dot_product_attention

    q, k, v = (x.transpose(0, 1)[None] for x in (q_NHS, k_NHS, v_NHS))
    return scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)[0].transpose(0, 1)


def questions(spans: Sequence[Span], beginning: Beginning | None) -> Attend:
    """Attention of a batch of questions, each for itself, after a shared beginning or none."""
    import torch

    masks = [beginning.mask(one.stem - one.begin, one.sees) for one in spans] if beginning else []

    def attend(number: int, q_NHS: Any, k_NHS: Any, v_NHS: Any) -> Any:
        out_NHS = torch.empty_like(q_NHS)
        for index, one in enumerate(spans):
            mine = slice(one.begin, one.end)
            if beginning:
                keys, values = beginning.layers[number]
                past, total = beginning.length, beginning.length + one.end - one.begin
                keys[past:total], values[past:total] = k_NHS[mine], v_NHS[mine]
                out_NHS[mine] = attention(q_NHS[mine], keys[:total], values[:total], mask=masks[index])
                continue
            stem, rest = slice(one.begin, one.stem), slice(one.stem, one.end)
            if one.begin < one.stem:
                out_NHS[stem] = attention(q_NHS[stem], k_NHS[stem], v_NHS[stem], causal=True)
            if one.stem < one.end:
                out_NHS[rest] = attention(q_NHS[rest], k_NHS[mine], v_NHS[mine], mask=one.sees)
        return out_NHS

    return attend


def encoded(model: Any, shared: Sequence[int], room: int) -> Beginning:
    """A shared beginning, with room behind it for the longest of its questions."""
    return Beginning(model, shared, max(room, 1))


def spread(model: Any, batch: "Sequence[Row]", shared: int, beginning: Beginning | None, wanted: Wanted) -> Any:
    """One forward pass: the last layer at the places that are read, (row, place among its fed tokens): shape (U, D)."""
    import torch

    fed: list[int] = []
    places: list[int] = []
    spans = []
    for one in batch:
        begin, stem = len(fed), len(one.stem) - shared
        fed += one.tokens(shared)
        places += one.places(shared)
        lengths = [len(branch.tokens) - 1 for branch in one.branches]
        sees = branch_mask(stem, lengths, model.dtype) if any(lengths) else None
        spans.append(Span(begin=begin, stem=begin + stem, end=len(fed), sees=sees))
    read = torch.tensor([spans[number].begin + place for number, place in wanted])
    return hidden(model, torch.tensor(fed), torch.tensor(places), questions(spans, beginning), read)


def prompts(model: Any, some: Sequence[Sequence[int]], begin: int, layers: Sequence[Any]) -> Any:
    """The last layer at each prompt's end, shape (prompts, D); their keys and values go into slots from `begin` on."""
    import torch

    ends = list(itertools.accumulate(len(one) for one in some))
    spans = [slice(end - len(one), end) for one, end in zip(some, ends, strict=True)]

    def attend(number: int, q_NHS: Any, k_NHS: Any, v_NHS: Any) -> Any:
        out_NHS = torch.empty_like(q_NHS)
        for row, mine in enumerate(spans, begin):
            layers[number].put(row, k_NHS[mine][None], v_NHS[mine][None])
            out_NHS[mine] = attention(q_NHS[mine], k_NHS[mine], v_NHS[mine], causal=True)
        return out_NHS

    tokens = torch.tensor([token for one in some for token in one])
    places = torch.cat([torch.arange(len(one)) for one in some])
    return hidden(model, tokens, places, attend, torch.tensor(ends) - 1)


def past_mask(length_B: Any, width: int, dtype: Any) -> Any:
    """What the next token of each text sees of its row, additive: shape (B, 1, 1, width)."""
    import torch

    sees = torch.arange(width, device=length_B.device)[None] <= length_B[:, None]
    mask = torch.zeros(sees.shape, dtype=dtype, device=length_B.device)
    return mask.masked_fill_(~sees, torch.finfo(dtype).min)[:, None, None]


def step(slots: "_Slots") -> Any:
    """The last layer at the newest token of each text in the slots: shape (B, D).

    Attention reads keys and values faster than they come from memory, so rows are read a few at a time, each few
    only to its own longest.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    length_B, count = slots.lengths, len(slots.texts)
    parts = []
    for begin in range(0, count, STEP_ROWS):
        rows = slice(begin, min(begin + STEP_ROWS, count))
        width = int(length_B[rows].max()) + 1
        parts.append((rows, width, past_mask(length_B[rows], width, slots.model.dtype)))

    def attend(number: int, q_BHS: Any, k_BHS: Any, v_BHS: Any) -> Any:
        layer = slots.layers[number]
        layer.write(k_BHS, v_BHS)
        out_BHS = torch.empty_like(q_BHS)
        for rows, width, mask in parts:
            keys, values = (x[rows, :width].transpose(1, 2) for x in (layer.keys, layer.values))
            out_BHS[rows] = scaled_dot_product_attention(q_BHS[rows, :, None], keys, values, attn_mask=mask)[:, :, 0]
        return out_BHS

    return hidden(slots.model, slots.last, length_B, attend)
