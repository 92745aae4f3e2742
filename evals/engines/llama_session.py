"""A context of llama.cpp: tokens of several sequences go in, logits come out.

Source: llama.cpp, include/llama.h, through the low-level half of llama-cpp-python.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from zoo.errors import ZooError

BATCH_TOKENS = 512  # tokens in one call
FLOAT32 = 0  # ggml's number; the cache is kept in it, so that an F32 file gives the plain forward's numbers
NO_FLASH = 0  # its kernel on a CPU rounds the cache's products to 16 bits


class FedToken(NamedTuple):
    """One token to be fed, and the sequences that it belongs to."""

    token: int
    position: int
    sequences: Sequence[int]
    is_read: bool  # whether the logits after it are read


class LlamaSession:
    """An open context of a model, with its sequences and a batch; made by `open_session`."""

    def __init__(self, context: Any, batch: Any, rows: int) -> None:
        self.context, self.batch, self.rows = context, batch, rows

    def feed(self, places: Sequence[FedToken]) -> Iterator[Any]:
        """Feeds tokens; the logits after each that is read, in order: shape (V,), float32, valid until the next."""
        import numpy
        from llama_cpp import llama_get_logits_ith

        for begin in range(0, len(places), BATCH_TOKENS):
            fed = places[begin : begin + BATCH_TOKENS]
            self._decode(fed)
            for number, place in enumerate(fed):
                if place.is_read:
                    yield numpy.ctypeslib.as_array(llama_get_logits_ith(self.context, number), (self.rows,))

    def _decode(self, places: Sequence[FedToken]) -> None:
        from llama_cpp import llama_decode

        batch = self.batch
        batch.n_tokens = len(places)
        for number, (token, position, sequences, is_read) in enumerate(places):
            batch.token[number], batch.pos[number], batch.logits[number] = token, position, is_read
            batch.n_seq_id[number] = len(sequences)
            for place, sequence in enumerate(sequences):
                batch.seq_id[number][place] = sequence
        if status := llama_decode(self.context, batch):
            raise ZooError(f"llama.cpp failed (status {status}); what was answered is kept. Try --engine transformers")

    def share(self, source: int, target: int) -> None:
        """Makes the tokens of one sequence the beginning of another, without a copy."""
        import llama_cpp

        llama_cpp.llama_memory_seq_cp(llama_cpp.llama_get_memory(self.context), source, target, -1, -1)

    def forget(self, sequence: int, begin: int = 0) -> None:
        """Drops a sequence from a position on; tokens that no other sequence has make room."""
        import llama_cpp

        llama_cpp.llama_memory_seq_rm(llama_cpp.llama_get_memory(self.context), sequence, begin, -1)


@contextmanager
def open_session(model: Any, sequences: int, cells: int, unified: bool = False) -> Iterator[LlamaSession]:
    """A context with room for so many tokens in all its sequences together.

    unified  sequences may share tokens; else each has its own equal part of the room
    """
    import llama_cpp
    import torch

    options = llama_cpp.llama_context_default_params()
    options.n_ctx, options.n_seq_max, options.kv_unified = -(-cells // 256) * 256, sequences, unified
    options.n_batch = options.n_ubatch = BATCH_TOKENS
    options.n_threads = options.n_threads_batch = torch.get_num_threads()
    options.type_k = options.type_v = FLOAT32
    options.flash_attn_type, options.swa_full, options.no_perf = NO_FLASH, True, True
    context = llama_cpp.llama_init_from_model(model, options)
    if not context:
        raise ZooError(f"llama.cpp has no memory for {cells:,} tokens in {sequences} sequences; take --batch 1")
    batch = llama_cpp.llama_batch_init(BATCH_TOKENS, 0, sequences)
    try:
        yield LlamaSession(context, batch, llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model)))
    finally:
        llama_cpp.llama_batch_free(batch)
        llama_cpp.llama_free(context)


class SequenceReader:
    """Reads one text on in sequence 0 of a session, a token each time."""

    def __init__(self, session: LlamaSession, prompt: Sequence[int]) -> None:
        self.session, self.waiting, self.position = session, list(prompt), 0

    def next_logits(self) -> Any:
        """Logits of the text's next token, fp32, shape (1, V)."""
        import torch

        last, begin = len(self.waiting) - 1, self.position
        fed = [FedToken(token, begin + place, (0,), place == last) for place, token in enumerate(self.waiting)]
        (logits_V,) = self.session.feed(fed)
        self.position, self.waiting = begin + len(fed), []
        return torch.from_numpy(logits_V.copy())[None]

    def append(self, tokens: Sequence[int]) -> None:
        """Adds the token that was drawn."""
        self.waiting.extend(tokens)
