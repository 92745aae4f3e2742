"""Proves on a loaded model which fast paths give the plain path's answers, and up to which length of text.

A family must be in the table (`zoo.families`) and the model itself must pass: random tokens, read by the fast path and
by the plain one, longer than every window that the configuration names where the model's size allows. Where it does
not, or where the two differ there, the fast path is taken up to the shortest window. A length at which rotary
frequencies change ends it in any case: texts of both kinds in one batch would be rotated alike.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from evals.engines.local import lean, plain
from evals.engines.local.choices import SHARED_TOKENS, choose_fast, choose_plain
from evals.engines.local.generate import Text
from evals.engines.local.paths import CACHE, PLAIN, SIDE_BY_SIDE, SLOTS, TREE, Paths
from evals.engines.local.rope import changes_frequencies, switch_lengths, window_lengths
from evals.engines.local.rows import Branch, ChoiceRow, is_out_of_memory
from evals.engines.local.side_by_side import LeanPass
from evals.engines.local.slots import Slots
from evals.engines.tokens import Prompt, Tokens
from evals.records import ChoiceScores, Decoding, GenerateRequest
from zoo.families import FAMILIES, Family
from zoo.families import TREE as FAMILY_TREE

TOLERANCE, RELATIVE = 1e-3, 1e-5  # of a log-probability: |difference| <= TOLERANCE + RELATIVE * |value|
SPREAD_ROUNDINGS, SUM_ROUNDINGS = 12, 4  # in half precision: of a distribution's spread, of a choice's sum
SHORT = SHARED_TOKENS + 8  # tokens of a question of the short probe: long enough to share a beginning
STEPS = 4  # tokens written by each text of the probe
CHOICE = (5, 3)  # tokens of the two long choices
SINGLES = 64  # choices of one token, which together are judged as a distribution
CPU_OPERATIONS, GPU_OPERATIONS = 2e12, 2e14  # that one probe may take: some 15 seconds
PASSES = 8  # readings of the text that one probe takes, about


def prove(model: Any, tokens: Tokens, context_tokens: int) -> Paths:
    """The paths of a model: the fast ones that are proven, up to the length for which they are."""
    family = FAMILIES.get(str(model.config.model_type))
    cache = CACHE if _agrees(_compare_cache, model, tokens, min(SHORT, context_tokens - STEPS - 1)) else PLAIN
    forms = _forms(model, family)
    longest = min([context_tokens, *switch_lengths(model.config)])
    windows = [length for length in window_lengths(model.config) if length < longest]
    for form in forms:
        for length, limit in _probes(model, windows, longest):
            choices = _agrees(_compare_choices, model, tokens, form, length)
            texts = _agrees(_compare_slots, model, tokens, form, length)
            # no fast path knows a window: beyond one, both agree where it has no effect, or neither is trusted
            beyond = limit > min(windows, default=limit)
            if (choices and texts) if beyond else (choices or texts):
                fast = (SIDE_BY_SIDE, SIDE_BY_SIDE) if form else (TREE, SLOTS)
                return Paths(
                    choices=fast[0] if choices else PLAIN, texts=fast[1] if texts else cache, limit=limit,
                    longer_texts=cache,
                )  # fmt: skip
        lean.forget_pass(model)
    return Paths(texts=cache)


def _forms(model: Any, family: Family | None) -> list[LeanPass | None]:
    """The fast forms of a model to try, the fastest first: a pass without padding, and None for the rectangle."""
    forms: list[LeanPass | None] = []
    if lean.fits(model):
        forms.append(lean.lean_pass(model))
    if family and family.path == FAMILY_TREE and model.get_output_embeddings() is not None:
        forms.append(None)
    return forms


def _probes(model: Any, windows: Sequence[int], longest: int) -> Iterator[tuple[int, int]]:
    """(length of the probe's texts, longest text for which it is a proof), the proof of most texts first."""
    beyond = max(windows, default=0) + STEPS + 2
    room = max(CHOICE) + STEPS  # behind the text of a probe
    if windows and beyond + room <= longest and _affordable(model, beyond):
        yield beyond, longest
    shortest = min([*windows, longest])
    if shortest - room > 1:
        yield min(SHORT, shortest - room), shortest


def _affordable(model: Any, length: int) -> bool:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return bool(2 * parameters * length * PASSES <= (CPU_OPERATIONS if model.device.type == "cpu" else GPU_OPERATIONS))


def _agrees(compare: Any, model: Any, *arguments: Any) -> bool:
    """Whether a comparison holds; a path that ends with an error of the model's own code is not proven."""
    try:
        return bool(compare(model, *arguments))
    except Exception as error:  # any family's own code may refuse our masks in its own way
        if is_out_of_memory(error):
            raise
        return False


def _is_close(model: Any, fast: Any, reference: Any) -> bool:
    """Whether log-probabilities agree: each to TOLERANCE in fp32, in half precision to a few roundings.

    In half precision, a distribution (.., V) is judged by the root mean square of its differences, in roundings of its
    standard deviation: among 200,000 numbers a few are always far off, with transformers' own cache as well. For
    SmolLM2-135M in bf16 that was 5 (as far as either was from fp32). Attention scaled by 0.9 made it 46, a window
    that hid the first two tokens 80.
    """
    import torch

    if not bool(torch.isfinite(reference).all()):
        return False
    difference = (fast - reference).abs()
    if model.dtype == torch.float32:
        return bool((difference <= TOLERANCE + RELATIVE * reference.abs()).all())
    rounding = torch.finfo(model.dtype).eps
    if reference.ndim == 1:
        return bool((difference <= TOLERANCE + SUM_ROUNDINGS * rounding * reference.abs()).all())
    apart = difference.square().mean(-1).sqrt()
    return bool((apart <= TOLERANCE + SPREAD_ROUNDINGS * rounding * reference.std(-1)).all())


def _sequence(tokens: Tokens, length: int) -> list[int]:
    """Random tokens, none of which ends a text."""
    import numpy

    going_on = [token for token in range(tokens.size) if token not in tokens.ends]
    drawn = numpy.random.Generator(numpy.random.PCG64(0)).integers(len(going_on), size=length)
    return [going_on[place] for place in drawn]


def _compare_choices(model: Any, tokens: Tokens, form: LeanPass | None, length: int) -> bool:
    """Two questions that share a beginning, each with two long choices and many of one token."""
    import torch

    sizes = (*CHOICE, *[1] * SINGLES)
    drawn = _sequence(tokens, length + 2 + sum(sizes))
    rows = []
    for number in range(2):
        stem = (*drawn[: length - 2], *drawn[length + number - 2 : length + number])
        branches, begin = [], length + 2
        for size in sizes:
            branches.append(Branch(tokens=tuple(drawn[begin : begin + size]), start=len(stem)))
            begin += size
        rows.append(
            ChoiceRow(sample=str(number), stem=stem, branches=tuple(branches), prompt_tokens=length, truncated=0)
        )
    budget = 4 * length + 64
    fast, reference = (
        torch.tensor([[choice.logprob for choice in scores.choices] for scores in sorted(made, key=_sample_of)])
        for made in (choose_fast(model, rows, budget, form), choose_plain(model, rows, budget))
    )
    long = slice(len(CHOICE))
    sums_agree = _is_close(model, fast[:, long].flatten(), reference[:, long].flatten())
    return sums_agree and _is_close(model, fast[:, len(CHOICE) :], reference[:, len(CHOICE) :])


def _sample_of(scores: ChoiceScores) -> str:
    return scores.sample


def _read_reference(model: Any, sequence: Sequence[int], first: int) -> Any:
    """Plain log-probabilities of the token after each beginning of `first` tokens or more: shape (STEPS, V)."""
    import torch

    lengths = range(first, first + STEPS)
    if any(changes_frequencies(model.config, length) for length in lengths[1:]):
        logits = torch.cat([plain.read_logits(model, [sequence[:length]], 1)[0] for length in lengths])
    else:
        logits = plain.read_logits(model, [sequence[: lengths[-1]]], STEPS)[0]
    return torch.log_softmax(logits, dim=-1)


def _compare_cache(model: Any, tokens: Tokens, length: int) -> bool:
    """Two texts of equal length read token by token, with the model's own cache."""
    import torch

    drawn = _sequence(tokens, length + STEPS)
    sequences = [drawn, drawn[::-1]]
    reader = plain.Reader(model, [sequence[:length] for sequence in sequences], with_cache=True)
    steps = []
    for step in range(STEPS):
        steps.append(reader.next_logits())
        reader.append([sequence[length + step] for sequence in sequences])
    fast_BTV = torch.log_softmax(torch.stack(steps, dim=1), dim=-1)
    references = [_read_reference(model, sequence, length) for sequence in sequences]
    return _is_close(model, fast_BTV, torch.stack(references))


def _compare_slots(model: Any, tokens: Tokens, form: LeanPass | None, length: int) -> bool:
    """Two texts of unequal length in slots, which write the tokens that follow in one sequence."""
    import torch

    sequence = _sequence(tokens, length + STEPS)
    lengths = {"long": length, "short": max(1, length - 3)}
    texts = [
        Text(
            GenerateRequest(sample=name, draw=0, prompt="", seed=0, decoding=Decoding(max_tokens=STEPS)),
            Prompt(tokens=tuple(sequence[:size])), tokens, size + STEPS,
        )
        for name, size in lengths.items()
    ]  # fmt: skip
    read: dict[str, list[Any]] = {name: [] for name in lengths}

    def follow(logits_BV: Any, writing: Sequence[Text], _tokens: Tokens) -> list[int]:
        following = []
        for text, logits_V in zip(writing, logits_BV, strict=True):
            name = text.request.sample
            following.append(sequence[lengths[name] + len(read[name])])
            read[name].append(logits_V.float().clone())
        return following

    for _ in Slots(model, tokens, 2, lean=form, draw=follow).steps(texts):
        pass
    return all(
        len(read[name]) == STEPS
        and _is_close(model, torch.log_softmax(torch.stack(read[name]), dim=-1), _read_reference(model, sequence, size))
        for name, size in lengths.items()
    )
