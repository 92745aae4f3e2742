"""Writes many texts, each by the fastest path that is proven for the model and for the text's length."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from evals.engines.local import plain
from evals.engines.local.generate import Text, encode_prompt
from evals.engines.local.lean import lean_pass
from evals.engines.local.paths import CACHE, SIDE_BY_SIDE, SLOTS, Paths
from evals.engines.local.rows import is_out_of_memory
from evals.engines.local.slots import Slots
from evals.engines.tokens import Tokens
from evals.records import GenerateRequest, Generation


def generate(
    model: Any, tokens: Tokens, paths: Paths, requests: Sequence[GenerateRequest], context_tokens: int, slots: int
) -> Iterator[Generation]:
    """Generates every text and yields each as it ends; longest prompts first, so that the last ones are short.

    When memory runs out, the number of slots is halved and unfinished texts are begun again.
    """
    waiting = [
        Text(request, encode_prompt(request, tokens, context_tokens), tokens, context_tokens) for request in requests
    ]
    waiting.sort(key=lambda text: (-len(text.prompt.tokens), text.request.sample, text.request.draw))
    while waiting:
        done: set[tuple[str, int]] = set()
        try:
            for text in chain.from_iterable(step_texts(model, tokens, paths, waiting, slots)):
                done.add((text.request.sample, text.request.draw))
                yield text.generation()
            return
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or slots == 1:
                raise
            slots = max(1, slots // 2)
            unfinished = [text for text in waiting if (text.request.sample, text.request.draw) not in done]
            waiting = [Text(text.request, text.prompt, tokens, context_tokens) for text in unfinished]


def step_texts(model: Any, tokens: Tokens, paths: Paths, texts: Sequence[Text], slots: int) -> Iterator[list[Text]]:
    """Yields after each step of the model the texts that ended with it, so that others can take turns between steps.

    Texts that stay under the limit are written in slots, the others by the plain path.
    """
    in_slots = paths.texts in (SLOTS, SIDE_BY_SIDE)
    short: list[Text] = []
    long: list[Text] = []
    for text in texts:
        (short if in_slots and len(text.prompt.tokens) + text.room <= paths.limit else long).append(text)
    if short:
        lean = lean_pass(model) if paths.texts == SIDE_BY_SIDE else None
        yield from Slots(model, tokens, slots, lean=lean).steps(short)
    if long:
        with_cache = (paths.longer_texts if in_slots else paths.texts) == CACHE
        yield from plain.step_texts(model, tokens, long, slots, with_cache=with_cache)
