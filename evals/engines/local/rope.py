"""The lengths of text at which a model's configuration changes how it reads: windows, and the switch of "longrope".

Source: transformers' `modeling_rope_utils.py`: under "longrope" all tokens of a text that is longer than the original
context are rotated by other frequencies. ("dynamic" changes them beyond `max_position_embeddings` only, the longest
text that an engine reads.)
"""

import re
from typing import Any

# the number of tokens that a token sees: of every name for it in transformers' causal families
WINDOW = re.compile(r"(window|window_size|window_len|attention_chunk_size|index_topk)$")
ORIGINAL = "original_max_position_embeddings"


def window_lengths(config: Any) -> list[int]:
    """Every number of tokens that a configuration names as what a token sees, ascending.

    >>> from types import SimpleNamespace
    >>> window_lengths(SimpleNamespace(sliding_window=512, max_window_layers=28))
    [512]
    """
    values = vars(_text_config(config))
    return sorted({value for name, value in values.items() if WINDOW.search(name) and type(value) is int and value > 0})


def switch_lengths(config: Any) -> list[int]:
    """The longest text under the first frequencies, for every rotary embedding that has two kinds of them.

    >>> from types import SimpleNamespace
    >>> rope = {"rope_type": "longrope", "original_max_position_embeddings": 4096}
    >>> switch_lengths(SimpleNamespace(rope_parameters=rope))
    [4096]
    """
    text = _text_config(config)
    rope = getattr(text, "rope_parameters", None) or {}
    entries = (rope, *(value for value in rope.values() if isinstance(value, dict)))
    lengths = (
        entry.get(ORIGINAL) or getattr(text, ORIGINAL, None)
        for entry in entries
        if entry.get("rope_type") == "longrope"
    )
    return sorted({length for length in lengths if isinstance(length, int)})


def changes_frequencies(config: Any, length: int) -> bool:
    """Whether a text of this length is rotated by other frequencies than the same text without its last token."""
    return length - 1 in switch_lengths(config)


def _text_config(config: Any) -> Any:
    read = getattr(config, "get_text_config", None)
    return read(decoder=True) if read else config
