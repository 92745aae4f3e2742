"""The lengths of text at which a model's configuration changes how it reads: windows, and the switch of "longrope".

Source: transformers' `modeling_rope_utils.py`: under "longrope" all tokens of a text that is longer than the original
context are rotated by other frequencies. ("dynamic" changes them beyond `max_position_embeddings` only, the longest
text that an engine reads.)
"""

import re
from collections.abc import Iterator
from typing import Any

# the number of tokens that a token sees: of every name for it in transformers' causal families
WINDOW = re.compile(r"(window|window_size|window_len|attention_chunk_size|index_topk)$")
ORIGINAL = "original_max_position_embeddings"


def named_lengths(config: Any) -> list[int]:
    """Every window and rotary switch that a configuration names, in tokens, ascending.

    >>> from types import SimpleNamespace
    >>> named_lengths(SimpleNamespace(sliding_window=512, rope_parameters={"rope_type": "default"}))
    [512]
    """
    values = vars(_text_config(config))
    windows = {value for name, value in values.items() if WINDOW.search(name) and type(value) is int and value > 0}
    return sorted(windows | set(_switches(config)))


def changes_frequencies(config: Any, length: int) -> bool:
    """Whether a text of this length is rotated by other frequencies than the same text without its last token."""
    return length - 1 in _switches(config)


def _switches(config: Any) -> Iterator[int]:
    """The longest text under the first frequencies, for every rotary embedding that has two kinds of them."""
    text = _text_config(config)
    rope = getattr(text, "rope_parameters", None) or {}
    for entry in (rope, *(value for value in rope.values() if isinstance(value, dict))):
        length = entry.get(ORIGINAL) or getattr(text, ORIGINAL, None)
        if entry.get("rope_type") == "longrope" and isinstance(length, int):
            yield length


def _text_config(config: Any) -> Any:
    read = getattr(config, "get_text_config", None)
    return read(decoder=True) if read else config
