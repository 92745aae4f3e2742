"""The mean Kullback-Leibler divergence of two checkpoints over a text: how far one's next-token chances are from the
other's, in nats a token. A quantised model is compared so with the one that it was made from.

Both must cut the text into the same tokens. Both are read by transformers' plain forward in fp32, window by window,
each with nothing before it; a GGUF file is dequantised. The windows are what was sampled, so the interval is taken
between them.

Source: Kullback and Leibler 1951; llama.cpp's `llama-perplexity --kl-divergence`, which reads a text in the same way.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals.engines.local.load import load
from evals.stats.intervals import cluster_variance, student_quantile
from zoo.errors import ZooError
from zoo.records import Record
from zoo.shape import folder_shape

WINDOW_TOKENS = 256
MOST_TOKENS = 8192  # of a text; two models of 135M read them in a minute or two on two cores
WINDOWS = 4  # below, there is no interval worth printing
DEFAULT_SAMPLES = 100


class Divergence(Record, frozen=True, kw_only=True):
    """The divergence of `after` from `before`: KL(before || after), with its 95% interval between windows.

    n         tokens whose next one was predicted
    same_best share of them at which both have the same likeliest token
    largest   the largest divergence at one token
    text      the file's name, or the task that the text is from
    """

    n: int
    windows: int
    mean: float
    low: float
    high: float
    largest: float
    same_best: float
    text: str


def default_text() -> tuple[str, str]:
    """A text that comes with phi-zoo, and its name: exercises with their solutions."""
    from itertools import islice

    from evals.tasks import task

    exercises = islice(task("mini_exercises").samples(), DEFAULT_SAMPLES)
    return "\n\n".join(f"{sample.question}{sample.target or ''}" for sample in exercises), "mini_exercises"


def measure_divergence(before: Path, after: Path, text: str, name: str) -> Divergence:
    """The divergence over a text; of a long one its beginning.

    before, after  folders of checkpoints; before is the one whose chances weigh
    Raises  ZooError where the two cut the text into different tokens, and for a text that is too short
    """
    (first, tokens), (second, others) = (load(path, "float32", "cpu") for path in (before, after))
    ids = tokens.encode(text, special=False)[:MOST_TOKENS]
    if ids != others.encode(text, special=False)[:MOST_TOKENS]:
        raise ZooError(f"the two cut the text {name} into different tokens, so their chances cannot be compared")
    window = min([WINDOW_TOKENS, *(size for path in (before, after) if (size := folder_shape(path).context_tokens))])
    pieces = [ids[begin : begin + window] for begin in range(0, len(ids), window)]
    if len(pieces) < WINDOWS:
        raise ZooError(
            f"the text {name} has {len(ids):,} tokens of at least {(WINDOWS - 1) * window + 1:,}: take a longer --text"
        )
    size = min(tokens.size, others.size)
    read = [_read_window(first, second, piece, size) for piece in pieces]
    values = [value for divergences, _ in read for value in divergences]
    mean = sum(values) / len(values)
    single = sum((value - mean) ** 2 for value in values) / len(values)
    variance, freedom = cluster_variance([sum(d) for d, _ in read], [len(d) for d, _ in read], mean, single or 1.0)
    half = student_quantile(freedom) * variance**0.5
    return Divergence(
        n=len(values), windows=len(pieces), mean=mean, low=max(0.0, mean - half), high=mean + half,
        largest=max(values), same_best=sum(same for _, same in read) / len(values), text=name,
    )  # fmt: skip


def _read_window(first: Any, second: Any, ids: Sequence[int], size: int) -> tuple[list[float], int]:
    """The divergence after each token of a window, and at how many both have the same likeliest token."""
    import torch

    with torch.inference_mode():
        ours_TV, theirs_TV = (
            torch.log_softmax(model(torch.tensor([ids])).logits[0, :, :size].double(), dim=-1)
            for model in (first, second)
        )
        divergence_T = (ours_TV.exp() * (ours_TV - theirs_TV)).sum(dim=-1)
        if not bool(torch.isfinite(divergence_T).all()):
            raise ZooError("a model's logits are not finite, so there is no divergence. Look: phizoo models verify")
        same = int((ours_TV.argmax(dim=-1) == theirs_TV.argmax(dim=-1)).sum())
    return divergence_T.clamp(min=0.0).tolist(), same


def divergence_text(divergence: Divergence) -> str:
    """The divergence as a line for a terminal."""
    return (
        f"divergence: {divergence.mean:.4g} nats a token [{divergence.low:.4g}–{divergence.high:.4g}], "
        f"n={divergence.n:,} in {divergence.windows} windows of {divergence.text}; largest {divergence.largest:.3g}, "
        f"same likeliest token {100 * divergence.same_best:.1f}%"
    )
