"""llama.cpp on a CPU: a GGUF file in its own quantisation, as its users run it.

Tokens go in and logits come out; the same code as for the transformers engine encodes prompts, draws tokens,
decides where a text ends and makes its text. Several texts are written side by side, each in a sequence of its own
with a cache of its own, so that no text depends on its neighbours. The choices of a question are read in one call,
each in a sequence of its own; the tokens that they share are fed once. Whole blocks of few-shot examples stay for the
next question. Every call is a function of its question alone: with questions side by side, or blocks cut where
neighbours differ, sums are taken in another order, and rounding activations to 8 bits makes more of that (a
log-probability of SmolLM2 in Q4_1 moved by up to 0.65).

Not done here: GPUs, and folders of safetensors.
Source: llama.cpp, include/llama.h, through the low-level half of llama-cpp-python.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from msgspec import structs

from evals.engines.llama_session import BATCH_TOKENS, FedToken, LlamaSession, SequenceReader, open_session
from evals.engines.local.generate import Text, draw, encode_prompt
from evals.engines.local.logprobs import TokenRead, read_rows
from evals.engines.local.rows import ChoiceRow, make_row, shared_length
from evals.engines.local.stream import TokenStep, read_steps
from evals.engines.tokens import Tokens, folder_tokens
from evals.records import Choice, ChoiceRequest, ChoiceScores, Facts, GenerateRequest, Generation
from zoo.admission.gguf import gguf_file, read_model
from zoo.errors import ZooError

SLOTS = 8  # texts at a time; above 8 a step on two cores takes as much longer as it writes more
BLOCK_TOKENS = 32  # questions share whole blocks of this many tokens
MOST_SEQUENCES = 256  # llama.cpp's own limit
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
        tokens, context = self.tokens, self.facts.context_tokens
        texts = [Text(request, encode_prompt(request, tokens, context), tokens, context) for request in requests]
        texts.sort(key=lambda text: (len(text.prompt.tokens), text.request.sample, text.request.draw), reverse=True)
        for ended in self.step_texts(texts, self.slots):
            yield from (text.generation() for text in ended)

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        """Choice scores, question by question."""
        if not requests:
            return
        model, tokens = self._load()
        yield from choose_rows(model, [make_row(request, tokens, self.facts.context_tokens) for request in requests])

    @property
    def tokens(self) -> Tokens:
        """Its tokenizer."""
        return self._load()[1]

    @property
    def rows(self) -> int:
        """The width of the model's logits."""
        import llama_cpp

        return int(llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._load()[0])))

    def step_texts(self, texts: Sequence[Text], slots: int) -> Iterator[list[Text]]:
        """Writes texts, `slots` at a time; yields after each prompt and each token those that ended with it."""
        model, tokens = self._load()
        slots = min(slots, self.slots, len(texts))
        with open_session(model, slots, slots * max(map(_cells, texts))) as session:
            yield from _write(session, tokens, [*reversed(texts)])

    def write_steps(self, text: Text, likeliest: int) -> Iterator[TokenStep]:
        """Writes one text; yields each token with its log-probability and those of the likeliest ones there."""
        model, tokens = self._load()
        with open_session(model, 1, _cells(text)) as session:
            yield from read_steps(SequenceReader(session, text.prompt.tokens), tokens, text, likeliest)

    def step_prompts(self, sequences: Sequence[Sequence[int]]) -> Iterator[list[tuple[int, list[TokenRead]]]]:
        """Reads every token of every sequence but its first, and the likeliest next one; yields after each sequence."""
        import numpy
        import torch

        model, tokens = self._load()
        for place, ids in enumerate(sequences):
            reads: list[TokenRead] = []
            with open_session(model, 1, len(ids)) as session:
                for begin in range(0, len(ids), BATCH_TOKENS):
                    end = min(begin + BATCH_TOKENS, len(ids))
                    fed = [FedToken(ids[position], position, (0,), True) for position in range(begin, end)]
                    logits_TV = torch.from_numpy(numpy.stack([row_V.copy() for row_V in session.feed(fed)]))
                    reads += read_rows(logits_TV, ids[begin + 1 : end + 1], tokens.size)
            yield [(place, reads)]

    def close(self) -> None:
        """Frees the weights."""
        if self._loaded is not None:
            import llama_cpp

            llama_cpp.llama_model_free(self._loaded[0])
        self._loaded = None


def _cells(text: Text) -> int:
    """The room of a text and its prompt, in whole blocks of llama.cpp's cache."""
    return -(-(len(text.prompt.tokens) + text.room) // 256) * 256


def _write(session: LlamaSession, tokens: Tokens, waiting: list[Text]) -> Iterator[list[Text]]:
    """Writes texts in as many sequences as there are; an ended one makes room for the next. Takes from the end."""
    from llama_cpp import llama_n_seq_max

    free = list(range(llama_n_seq_max(session.context)))
    active: list[tuple[int, Text]] = []
    while waiting or active:
        if free and waiting:
            text, sequence = waiting.pop(), free.pop()
            ids = text.prompt.tokens
            places = [FedToken(token, place, (sequence,), place == len(ids) - 1) for place, token in enumerate(ids)]
            active.append((sequence, text))
            _draw([text], session.feed(places), tokens)
        else:
            places = [
                FedToken(text.written[-1], len(text.prompt.tokens) + len(text.written) - 1, (sequence,), True)
                for sequence, text in active
            ]
            _draw([text for _, text in active], session.feed(places), tokens)
        ended = [(sequence, text) for sequence, text in active if text.finish]
        active = [(sequence, text) for sequence, text in active if not text.finish]
        for sequence, _ in ended:
            session.forget(sequence)
            free.append(sequence)
        yield [text for _, text in ended]


def _draw(texts: Sequence[Text], logits: Iterator[Any], tokens: Tokens) -> None:
    """Draws the next token of each text."""
    import numpy
    import torch

    logits_BV = torch.from_numpy(numpy.stack([row_V.copy() for row_V in logits]))
    for text, token in zip(texts, draw(logits_BV, texts, tokens), strict=True):
        text.add(token)


def choose_rows(model: Any, rows: Sequence[ChoiceRow]) -> Iterator[ChoiceScores]:
    """The scores of each row, in order; sequence 0 holds the blocks that the next row may begin with.

    A recurrent state cannot be shared or cut, and there may be more choices than sequences: then each choice is read by
    itself.
    """
    from llama_cpp import llama_model_is_hybrid, llama_model_is_recurrent

    has_state = llama_model_is_recurrent(model) or llama_model_is_hybrid(model)
    most = max(len(row.branches) for row in rows)
    with open_session(model, min(most + 1, MOST_SEQUENCES), max(row.fed for row in rows), unified=True) as session:
        cached: Sequence[int] = ()
        for row in rows:
            if has_state or len(row.branches) >= MOST_SEQUENCES:
                cached = _keep_blocks(session, cached, ())  # this question needs their room
                singles = [structs.replace(row, branches=(branch,)) for branch in row.branches]
                choices = [choice for single in singles for choice in _read(session, single, 0)]
            else:
                cached = _keep_blocks(session, cached, row.stem[: max(row.sharable, 0)])
                choices = _read(session, row, len(cached))
            yield ChoiceScores(
                sample=row.sample, choices=tuple(choices), prompt_tokens=row.prompt_tokens, truncated=row.truncated
            )


def _keep_blocks(session: LlamaSession, cached: Sequence[int], wanted: Sequence[int]) -> Sequence[int]:
    """Makes sequence 0 hold the whole blocks of the wanted tokens; those tokens."""
    whole = wanted[: len(wanted) // BLOCK_TOKENS * BLOCK_TOKENS]
    kept = shared_length(cached, whole) // BLOCK_TOKENS * BLOCK_TOKENS
    session.forget(0, kept)
    for begin in range(kept, len(whole), BLOCK_TOKENS):
        block = whole[begin : begin + BLOCK_TOKENS]
        list(session.feed([FedToken(token, begin + place, (0,), False) for place, token in enumerate(block)]))
    return whole


def _read(session: LlamaSession, row: ChoiceRow, shared: int) -> list[Choice]:
    """Scores the choices of a row in sequences from 1 on; a log-probability is NaN where a logit is not finite.

    shared  tokens of the row that sequence 0 holds already
    """
    import numpy

    numbers = range(len(row.branches))
    if shared:
        for number in numbers:
            session.share(0, 1 + number)
    fed = list(row_places(row, shared))
    logprobs, is_greedy = [0.0 for _ in numbers], [True for _ in numbers]
    nexts = [after for _, after in fed if after]
    for logits_V, after in zip(session.feed([place for place, _ in fed]), nexts, strict=True):
        line_V = logits_V.astype(numpy.float64)
        with numpy.errstate(invalid="ignore"):  # infinity less itself is NaN, which the run leaves unscored
            highest = line_V.max()
            normal = highest + numpy.log(numpy.exp(line_V - highest).sum())
        likeliest = int(line_V.argmax())
        for number, token in after:
            logprobs[number] += float(line_V[token] - normal)
            is_greedy[number] = is_greedy[number] and likeliest == token
    for number in numbers:
        session.forget(1 + number)
    return [
        Choice(
            logprob=logprobs[number], tokens=len(row.stem) + len(branch.tokens) - branch.start,
            greedy=is_greedy[number],
        )
        for number, branch in enumerate(row.branches)
    ]  # fmt: skip


def row_places(row: ChoiceRow, shared: int) -> Iterator[tuple[FedToken, list[tuple[int, int]]]]:
    """The places of a row after its first `shared`; with each, the (choice, token) pairs that come next and are scored.

    The stem belongs to the sequences of all choices, which are numbered from 1 on.
    """
    texts = [(*row.stem, *branch.tokens) for branch in row.branches]

    def after(position: int, numbers: Sequence[int]) -> list[tuple[int, int]]:
        return [(n, texts[n][position + 1]) for n in numbers if position + 1 >= row.branches[n].start]

    stem, numbers = len(row.stem), range(len(texts))
    for position in range(shared, stem):
        nexts = after(position, numbers)
        yield FedToken(row.stem[position], position, [1 + number for number in numbers], bool(nexts)), nexts
    for number in numbers:
        for position in range(stem, len(texts[number]) - 1):
            nexts = after(position, (number,))
            yield FedToken(texts[number][position], position, (1 + number,), bool(nexts)), nexts


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
