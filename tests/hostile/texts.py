"""Texts from outside that once ended a command, were misread, or steered a terminal; the tests of each door use them."""

DEEP = {
    "lists": b"[" * 100_000,
    "closed lists": b"[" * 5_000 + b"]" * 5_000,
    "objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
}

# name -> (bytes that are refused as JSON, the reason as a pattern)
REFUSED_JSON = {
    "a key twice": (b'{"a": 1, "a": 1}', "duplicate"),
    "a key twice, escaped": (rb'{"a": 1, "\u0061": 1}', "duplicate"),
    "NaN": (b"[NaN]", "not JSON"),
    "an infinity": (b"[-Infinity]", "not JSON"),
    "a number beyond floats": (b"[1e999]", "out of range"),
    "an integer of 5,000 digits": (b"9" * 5_000, "limit"),
    "two values": (b"{} {}", "Extra"),
    "nothing": (b"", "Expecting"),
    "not UTF-8": (b'"\xff"', "decode"),
    "half a pair, in UTF-8": (b'"\xed\xa0\xb5"', "decode"),
    "half a pair, escaped": (rb'["\ud835"]', "surrogate"),
    "half a pair in a key": (rb'{"\udc00": 1}', "surrogate"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "BOM"),
    "a line feed in a text": (b'"a\nb"', "control character"),
    **{name: (text, "deeply") for name, text in DEEP.items()},
}

# what a name or a note may hold: each must reach the terminal as visible characters
STEERING = {
    "escape": "\x1b[2J\x1b]0;title\x07", "one-byte escape": "\x9b31m", "backspaces": "right\b\b\b\b\bwrong",
    "carriage return": "good\rbad", "line feed": "one\ntwo 100.0 n=164", "right to left": "a\u202egnp.exe",
    "isolate": "a\u2066b\u2069", "zero width": "ph\u200bi", "half a pair": "a\ud835b", "tag": "phi\U000e0041",
}  # fmt: skip
