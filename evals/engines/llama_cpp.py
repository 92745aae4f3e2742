"""llama.cpp on a CPU: a GGUF file in its own quantisation, as its users run it.

Tokens go in and logits come out; the same code as for the transformers engine encodes prompts, draws tokens,
decides where a text ends and makes its text. Several texts are written side by side, each in a sequence of its own
with a cache of its own, so that no text depends on its neighbours. Pairs are read one after another in one
sequence, which keeps what the next one shares with it (the question, the few-shot examples).

Not done here: GPUs, and folders of safetensors.
Source: llama.cpp, include/llama.h, through the low-level half of llama-cpp-python.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from evals.engines.local.generate import Text, draw, encode_prompt
from evals.engines.local.rows import shared_length
from evals.engines.tokens import Pair, Tokens, folder_tokens
from evals.records import Choice, ChoiceRequest, ChoiceScores, Facts, GenerateRequest, Generation
from zoo.admission.gguf import gguf_file, read_model
from zoo.errors import ZooError

SLOTS = 8  # texts at a time; above 8 a step on two cores takes as much longer as it writes more
BATCH_TOKENS = 512  # tokens in one call
FLOAT32 = 0  # ggml's number; the cache is kept in it, so that an F32 file gives the plain forward's numbers
NO_FLASH = 0  # its kernel on a CPU rounds the cache's products to 16 bits
# code, digits, spaces, marks and letters of several scripts: where tokenizers differ, they differ here
PROBE = "def f(x):\n    return  x + 1234\n\n\n7 It's, we'll! naïve café — Привет 你好 1.5e-3\t\t'q'  \n  \"end\"\n"


class LlamaCpp:
    """One GGUF file; its weights are mapped when first used."""

    def __init__(self, file: Path, facts: Facts, slots: int) -> None:
        self.file, self.facts, self.slots = file, facts, slots
        self._loaded: tuple[Any, Tokens] | None = None

    def _load(self) -> tuple[Any, Tokens]:
        if self._loaded is None:
            self._loaded = load_file(self.file)
        return self._loaded

    def generate(self, requests: Sequence[GenerateRequest]) -> Iterator[Generation]:
        """Generations as they end; longest prompts first."""
        if not requests:
            return
        model, tokens = self._load()
        context = self.facts.context_tokens
        waiting = [Text(request, encode_prompt(request, tokens, context), tokens, context) for request in requests]
        waiting.sort(key=lambda text: (len(text.prompt.tokens), text.request.sample, text.request.draw))
        slots = min(self.slots, len(waiting))
        longest = max(len(text.prompt.tokens) + text.room for text in waiting)
        with open_session(model, slots, longest) as session:
            yield from _write(session, tokens, waiting)

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        """Choice scores, question by question."""
        if not requests:
            return
        model, tokens = self._load()
        most = self.facts.context_tokens
        questions = [[tokens.pair(before, after, most) for before, after in request.pairs] for request in requests]
        longest = max(len(pair.tokens) for pairs in questions for pair in pairs)
        with open_session(model, 1, longest) as session:
            for request, pairs in zip(requests, questions, strict=True):
                yield ChoiceScores(
                    sample=request.sample, choices=tuple(_read_pair(session, pair) for pair in pairs),
                    prompt_tokens=max(pair.start + pair.truncated for pair in pairs),
                    truncated=max(pair.truncated for pair in pairs),
                )  # fmt: skip

    def close(self) -> None:
        """Frees the weights."""
        if self._loaded is not None:
            import llama_cpp

            llama_cpp.llama_model_free(self._loaded[0])
        self._loaded = None


class LlamaSession:
    """An open context of a model, with a cache for each sequence and a batch; made by `open_session`."""

    def __init__(self, context: Any, batch: Any, rows: int) -> None:
        self.context, self.batch, self.rows = context, batch, rows
        self.cached: list[int] = []  # of sequence 0, while pairs are read

    def feed(self, places: Sequence[tuple[int, int, int, bool]]) -> Any:
        """Feeds tokens; the logits after those that are read, in order: shape (reads, V), float32.

        places  (token, position, sequence, whether its logits are read)
        """
        import numpy

        read = [self._decode(places[begin : begin + BATCH_TOKENS]) for begin in range(0, len(places), BATCH_TOKENS)]
        return numpy.concatenate(read)

    def _decode(self, places: Sequence[tuple[int, int, int, bool]]) -> Any:
        import llama_cpp
        import numpy

        batch = self.batch
        batch.n_tokens = len(places)
        for number, (token, position, sequence, is_read) in enumerate(places):
            batch.token[number], batch.pos[number] = token, position
            batch.n_seq_id[number], batch.seq_id[number][0], batch.logits[number] = 1, sequence, is_read
        if status := llama_cpp.llama_decode(self.context, batch):
            raise ZooError(f"llama.cpp failed (status {status}); what was answered is kept. Try --engine transformers")
        read = [number for number, place in enumerate(places) if place[3]]
        logits = numpy.empty((len(read), self.rows), dtype=numpy.float32)
        for row, number in enumerate(read):
            pointer = llama_cpp.llama_get_logits_ith(self.context, number)
            logits[row] = numpy.ctypeslib.as_array(pointer, (self.rows,))
        return logits

    def forget(self, sequence: int, begin: int) -> bool:
        """Drops a sequence's cache from a position on; False where a model's state cannot be cut there."""
        import llama_cpp

        memory = llama_cpp.llama_get_memory(self.context)
        return bool(llama_cpp.llama_memory_seq_rm(memory, sequence, begin, -1))


@contextmanager
def open_session(model: Any, sequences: int, tokens: int) -> Iterator[LlamaSession]:
    """A context with room for so many tokens in each of its sequences."""
    import llama_cpp
    import torch

    options = llama_cpp.llama_context_default_params()
    options.n_ctx, options.n_seq_max = sequences * (-(-tokens // 256) * 256), sequences
    options.n_batch = options.n_ubatch = BATCH_TOKENS
    options.n_threads = options.n_threads_batch = torch.get_num_threads()
    options.type_k = options.type_v = FLOAT32
    options.flash_attn_type, options.kv_unified, options.swa_full, options.no_perf = NO_FLASH, False, True, True
    context = llama_cpp.llama_init_from_model(model, options)
    if not context:
        raise ZooError(f"llama.cpp has no memory for {sequences} sequences of {tokens:,} tokens; take --batch 1")
    batch = llama_cpp.llama_batch_init(BATCH_TOKENS, 0, 1)
    try:
        yield LlamaSession(context, batch, llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model)))
    finally:
        llama_cpp.llama_batch_free(batch)
        llama_cpp.llama_free(context)


def _write(session: LlamaSession, tokens: Tokens, waiting: list[Text]) -> Iterator[Generation]:
    """Writes texts in as many sequences as there are; an ended one makes room for the next. Takes from the end."""
    from llama_cpp import llama_n_seq_max

    free = list(range(llama_n_seq_max(session.context)))
    active: list[tuple[int, Text]] = []
    while waiting or active:
        while free and waiting:
            text, sequence = waiting.pop(), free.pop()
            ids = text.prompt.tokens
            places = [(token, place, sequence, place == len(ids) - 1) for place, token in enumerate(ids)]
            active.append((sequence, text))
            _draw([text], session.feed(places), tokens)
        ended = [(sequence, text) for sequence, text in active if text.finish]
        active = [(sequence, text) for sequence, text in active if not text.finish]
        for sequence, text in ended:
            session.forget(sequence, 0)
            free.append(sequence)
            yield text.generation()
        if active and not (free and waiting):
            places = [
                (text.written[-1], len(text.prompt.tokens) + len(text.written) - 1, sequence, True)
                for sequence, text in active
            ]
            _draw([text for _, text in active], session.feed(places), tokens)


def _draw(texts: Sequence[Text], logits_BV: Any, tokens: Tokens) -> None:
    """Draws the next token of each text."""
    import torch

    for text, token in zip(texts, draw(torch.from_numpy(logits_BV), texts, tokens), strict=True):
        text.add(token)


def _read_pair(session: LlamaSession, pair: Pair) -> Choice:
    """Scores one continuation; its log-probability is NaN where a logit is not finite."""
    import numpy

    first = pair.start - 1  # the token after which the continuation begins
    kept = min(shared_length(session.cached, pair.tokens), first)
    if not session.forget(0, kept):  # a recurrent state cannot be cut: read it all again
        kept = 0
        session.forget(0, 0)
    session.cached = list(pair.tokens[:-1])
    places = [(token, place, 0, place >= first) for place, token in enumerate(pair.tokens[:-1]) if place >= kept]
    logits_TV = session.feed(places).astype(numpy.float64)
    with numpy.errstate(invalid="ignore"):  # infinity less itself is NaN, which the run leaves unscored
        highest_T = logits_TV.max(axis=1)
        normal_T = highest_T + numpy.log(numpy.exp(logits_TV - highest_T[:, None]).sum(axis=1))
    targets = pair.tokens[pair.start :]
    read_T = logits_TV[numpy.arange(len(targets)), targets]
    return Choice(
        logprob=float((read_T - normal_T).sum()), tokens=len(targets),
        greedy=bool((logits_TV.argmax(axis=1) == targets).all()),
    )  # fmt: skip


def load_file(file: Path) -> tuple[Any, Tokens]:
    """The model of a file, mapped, and its tokenizer, which is checked against llama.cpp's own.

    Raises  ZooError where llama.cpp cannot load the file, or cuts text into other tokens
    """
    import ctypes

    import llama_cpp

    llama_cpp.llama_log_set(_quiet_log(), ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    options = llama_cpp.llama_model_default_params()
    options.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(str(file).encode(), options)
    if not model:
        raise ZooError(f"llama.cpp cannot load {file}; is its architecture known to it? Try --engine transformers")
    tokens = folder_tokens(file.parent)
    theirs = _tokenize(llama_cpp.llama_model_get_vocab(model), PROBE)
    if theirs != tokens.encode(PROBE):
        llama_cpp.llama_model_free(model)
        raise ZooError(
            f"{file}: llama.cpp cuts text into other tokens than its tokenizer here; its scores would be wrong"
        )
    return model, tokens


@cache
def _quiet_log() -> Any:
    """A callback that drops llama.cpp's log; cached, since it must outlive its registration."""
    import llama_cpp

    return llama_cpp.llama_log_callback(lambda _level, _text, _data: None)


def _tokenize(vocabulary: Any, text: str) -> list[int]:
    import llama_cpp

    data = text.encode()
    room = (llama_cpp.llama_token * (len(data) + 8))()
    count = llama_cpp.llama_tokenize(vocabulary, data, len(data), room, len(room), True, True)
    return list(room[: max(0, count)])


def connect(
    path: Path, *, dtype: str = "auto", device: str = "auto", batch: int | None = None, **_others: object
) -> LlamaCpp:
    """The engine on a checkpoint that is a GGUF file. Nothing heavy is imported yet.

    dtype   "auto": the file's own quantisation
    batch   texts at a time (default 8)
    Raises  ZooError where llama-cpp-python is not installed, for a folder of safetensors, another dtype or a GPU
    """
    try:
        installed, transformers = version("llama-cpp-python"), version("transformers")
    except PackageNotFoundError as error:
        raise ZooError(f"{error.name} is not installed: pip install 'phi-zoo[llama-cpp]'") from None
    file = gguf_file(path)
    if file is None:
        raise ZooError(
            f"{path} has no GGUF file, which is all that llama_cpp runs: take --engine transformers, or import one: "
            "phizoo models add FILE.gguf --name NAME"
        )
    if dtype != "auto" or device not in ("auto", "cpu"):
        raise ZooError("llama_cpp runs a file in its own quantisation, on the CPU; leave out --dtype and --device")
    model = read_model(file)
    facts = Facts(
        engine="llama_cpp", version=installed, dtype=model.quantisation, device="cpu",
        context_tokens=model.config["max_position_embeddings"],
        identity={"cache": "float32", "transformers": transformers},  # transformers' tokenizer makes the tokens
    )  # fmt: skip
    return LlamaCpp(file, facts, slots=batch or SLOTS)
