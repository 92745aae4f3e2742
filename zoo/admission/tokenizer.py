"""Tries a checkpoint's tokenizer where it runs: in a child process with limits, before the checkpoint enters.

A tokenizer is a program of small steps (replace, split by an expression, decorate), and three lines of it can make
terabytes of a letter or take hours for a word. So each step may add only so much, the token ids must fit the model's
embedding, and texts that make expressions slow are encoded under limits of time, memory and growth. An expression that
is slow for no text tried here is not found; the server and the runs read only texts of bounded length.

Loaders read tokenizer.json alone where it is there, else a SentencePiece model (*.model) or vocab.json with
merges.txt: `zoo.admission.tokenizer_files` reads these as one. Other forms are refused. Not here: GGUF
(`zoo.admission.gguf`). Without the tokenizers package there is nothing to ask.
"""

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoo.admission.plain_file import open_plain
from zoo.admission.tokenizer_files import read_byte_pairs, read_sentencepiece
from zoo.admission.tokenizer_steps import find_fault, find_patterns, growth_letters
from zoo.errors import ZooError
from zoo.safe_path import isolated

FILE, SETTINGS = "tokenizer.json", "tokenizer_config.json"
SECONDS = 20  # of processor time; a vocabulary of 262,144 tokens takes 3
READING_SECONDS = 60  # of a file that is read as one first; a SentencePiece model of 262,144 pieces takes 10
MEMORY_BYTES = 4 << 30
PROBE_CHARACTERS, PROBE_SECONDS = 2_000, 2.0  # ordinary tokenizers take milliseconds
TOKENS_PER_BYTE, EXTRA_TOKENS = 2, 32  # bytes are the smallest pieces; a template adds a few marks
BYTES_PER_CHARACTER, EXTRA_BYTES = 16, 64  # of a decoded token, by the characters of its name
ADDED, ADDED_CHARACTERS = 20_000, 1_000
TEXTS = (
    "",
    "a",
    "def f(x):\n    return  x + 1234\n\n\n7 It's, we'll! naïve café — Привет 你好 1.5e-3\t\t'q'  \n",
    "\u2581😀\x00\ufeff",
)
LETTERS = "a1 \n\t.'-_A\"é你😀\u00a0\u2581"

CHILD = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[4]), int(sys.argv[4])))
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_BYTES}, {MEMORY_BYTES}))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
from zoo.admission.tokenizer import try_file
print("fault", try_file(sys.stdin.buffer.read(), int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""


def check_tokenizer(folder: Path, config: dict[str, Any]) -> None:
    """Checks the tokenizer of a folder that the gate accepted. Raises ZooError with the file and the reason.

    config  config.json's values: its vocab_size is the number of the embedding's rows
    """
    rows = count_rows(config)
    _check_added(folder / SETTINGS, rows)
    if (folder / FILE).is_file():
        return _try_in_child(folder / FILE, rows)
    models = sorted(folder.glob("*.model"))
    for path in models:
        _try_in_child(path, rows)
    if (folder / "vocab.json").is_file():
        _try_in_child(folder / "vocab.json", rows, folder / "merges.txt")
    elif untried := [] if models else [*folder.glob("vocab.txt"), *folder.glob("*.tiktoken")]:
        raise ZooError(
            f"{untried[0]}: a tokenizer in this form cannot be tried before it is used. Add {FILE} beside it: "
            'AutoTokenizer.from_pretrained("FOLDER").save_pretrained("FOLDER")'
        )


def _try_in_child(path: Path, rows: int, merges: Path | None = None) -> None:
    """Tries one tokenizer. merges: the file beside it, which may be missing. Raises ZooError."""
    with open_plain(path) as file:
        text = file.read()
    size, seconds = len(text), SECONDS if path.name == FILE else READING_SECONDS
    if merges is not None and merges.is_file():
        with open_plain(merges) as file:
            text += file.read()
    env = {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "RUST_BACKTRACE": "0"}
    try:
        done = subprocess.run(
            isolated(CHILD, str(rows), path.name, str(size), str(seconds)),
            input=text, capture_output=True, timeout=4 * seconds, check=False, env=env,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ZooError(f"{path}: the tokenizer takes too long to load or to encode short texts.") from None
    lines = done.stdout.decode(errors="replace").splitlines()
    last = lines[-1] if lines else ""
    if not last.startswith("fault"):  # ended by a limit, or by the library itself
        raise ZooError(f"{path}: the tokenizer takes too much time or memory for short texts, or cannot be loaded.")
    fault = last.removeprefix("fault").strip()
    if fault:
        raise ZooError(f"{path}: {fault}.")


def count_rows(config: dict[str, Any]) -> int:
    """The rows of the embedding that a config.json states; 0 where it states none."""
    from zoo.shape import read_shape  # the child needs no records, and starts in half the time

    inner = config.get("text_config")
    return read_shape(config).vocabulary or (read_shape(inner).vocabulary if isinstance(inner, dict) else 0)


def _check_added(path: Path, rows: int) -> None:
    """Checks the tokens that tokenizer_config.json adds; its other values are checked as settings."""
    if not path.is_file():
        return
    with open_plain(path) as file:
        added = json.loads(file.read()).get("added_tokens_decoder") or {}
    if not isinstance(added, dict) or len(added) > ADDED:
        raise ZooError(f"{path}: added_tokens_decoder is not an object of at most {ADDED:,} tokens.")
    for number, token in added.items():
        content = token.get("content") if isinstance(token, dict) else token
        if not number.isascii() or not number.isdigit() or (rows and int(number[:12]) >= rows):
            raise ZooError(f"{path}: adds the token {number[:40]!r}, the model has {rows:,} rows of tokens.")
        if not isinstance(content, str) or not 0 < len(content) <= ADDED_CHARACTERS:
            raise ZooError(f"{path}: the added token {number} is no text of 1 to {ADDED_CHARACTERS:,} characters.")


def try_file(data: bytes, rows: int, name: str, size: int) -> str:
    """The fault of a tokenizer's file, "" for none; runs in the child. size: bytes of it, behind which merges stand."""
    if name == FILE:
        return try_tokenizer(data, rows)
    try:
        read = (
            read_sentencepiece(data, rows)
            if name.endswith(".model")
            else read_byte_pairs(data[:size], data[size:], rows)
        )
    except (ValueError, RecursionError) as fault:
        return " ".join(str(fault).split())[:160]
    return try_tokenizer(json.dumps(read).encode(), rows)


def try_tokenizer(data: bytes, rows: int) -> str:
    """The fault of a tokenizer.json, "" for none; runs in the child, whose end by a limit is a fault too."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return ""  # an installation that cannot load it either
    text = data.decode("utf-8")
    content = json.loads(text)
    if fault := find_fault(content) or _find_added(content):
        return fault
    try:
        tokenizer: Any = Tokenizer.from_str(text)
    except BaseException as error:  # the library's panics are no Exception
        return "it cannot be loaded: " + " ".join(str(error).split())[:120]
    tokenizer.no_padding()
    tokenizer.no_truncation()
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    most = max(vocabulary.values(), default=-1)
    if rows and most >= rows:
        return f"it has the token {most:,}, the model {rows:,} rows; they do not belong together"
    try:
        return _find_growth(tokenizer, find_patterns(content), vocabulary)
    except BaseException as error:
        return "it cannot encode short texts: " + " ".join(str(error).split())[:120]


def _find_added(content: dict[str, Any]) -> str:
    added = content.get("added_tokens") or []
    if not isinstance(added, list) or len(added) > ADDED:
        return f"it adds more than {ADDED:,} tokens"
    for token in added:
        text = token.get("content") if isinstance(token, dict) else None
        if not isinstance(text, str) or not 0 < len(text) <= ADDED_CHARACTERS:
            return f"an added token is no text of 1 to {ADDED_CHARACTERS:,} characters"
    return ""


def _find_growth(tokenizer: Any, patterns: Sequence[str], vocabulary: dict[str, int]) -> str:
    """Encodes texts that could grow or take long, and decodes every token."""
    for text in _probes(patterns):
        begin = time.process_time()
        count = len(tokenizer.encode(text).ids)
        if time.process_time() - begin > PROBE_SECONDS:
            return f"it takes over {PROBE_SECONDS:g} s to encode {len(text):,} characters ({text[:8]!a}…)"
        if count > TOKENS_PER_BYTE * len(text.encode()) + EXTRA_TOKENS:
            return f"it makes {count:,} tokens of {len(text):,} characters ({text[:8]!a}…)"
    names = list(vocabulary.items())
    for begin_at in range(0, len(names), 4096):
        part = names[begin_at : begin_at + 4096]
        texts = tokenizer.decode_batch([[number] for _, number in part], skip_special_tokens=False)
        for (name, number), decoded in zip(part, texts, strict=True):
            if len(decoded.encode("utf-8", "replace")) > BYTES_PER_CHARACTER * len(name) + EXTRA_BYTES:
                return f"its token {number} decodes to {len(decoded):,} characters"
    return ""


def _probes(patterns: Sequence[str]) -> Iterator[str]:
    """Texts that make an expression that backtracks slow: its own letters, repeated, with another one at the end."""
    yield from TEXTS
    letters = list(dict.fromkeys([*LETTERS, *growth_letters(patterns)]))
    every = "!" + "".join(letters)  # without the letters behind, an engine may see that nothing can match
    for letter in letters:
        for end in ("", "!", every):
            yield letter * PROBE_CHARACTERS + end
    for first, second in zip(letters, [*letters[1:], letters[0]], strict=True):
        yield (first + second) * (PROBE_CHARACTERS // 2) + every
