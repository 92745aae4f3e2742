"""Small tokenizers of every kind that causal models come with, for tests."""

from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPACE = "\u2581"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
LETTERS = [chr(code) for code in range(33, 127)]


def wrap(core: Tokenizer, **more: Any) -> Any:
    """The tokenizer as transformers has it, with marks of its own and three added tokens."""
    make: Any = PreTrainedTokenizerFast
    made = make(tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>", **more)
    made.add_tokens([AddedToken("<think>", special=False), AddedToken("    ", special=False, normalized=False)])
    made.add_tokens([AddedToken("<|end|>", special=True)])
    return made


def byte_level() -> Any:
    """GPT-2's, Phi's, Llama 3's: a character for each byte."""
    words = ["<unk>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "de", "def", "Ġd", "Ġde", "Ġdef"]
    core = Tokenizer(
        models.BPE(
            vocab={word: number for number, word in enumerate(words)},
            merges=[("d", "e"), ("de", "f"), ("Ġ", "d"), ("Ġd", "e"), ("Ġde", "f")],
        )
    )
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return wrap(core)


def byte_fallback(strip: bool = True) -> Any:
    """Llama 2's, Phi-3's: U+2581 for a space, <0x0A> for a byte; without `strip` Gemma's."""
    words = ["<unk>", "<s>", "</s>", *BYTES, SPACE, *LETTERS, "é", SPACE * 2, "de", "def", f"{SPACE}def"]
    merges = [(SPACE, SPACE), ("d", "e"), ("de", "f"), (SPACE, "def")]
    vocabulary = {word: number for number, word in enumerate(words)}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    change = normalizers.Replace(" ", SPACE)
    core.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), change]) if strip else change
    parts = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    core.decoder = decoders.Sequence([*parts, decoders.Strip(" ", 1, 0)] if strip else parts)
    if strip:
        core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return wrap(core)


def unigram() -> Any:
    """XGLM's: SentencePiece's unigrams behind Metaspace, its bytes as a fallback."""
    words = ["<unk>", "<s>", "</s>", *BYTES, SPACE, *LETTERS, "é", "def", f"{SPACE}def"]
    scores = [(word, -1.0 - len(words) / (1 + len(word))) for word in words]
    core = Tokenizer(models.Unigram(scores, unk_id=0, byte_fallback=True))
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return wrap(core)


def word_pieces() -> Any:
    """BERT's, which some causal models have: ## before a piece that goes on."""
    words = ["<unk>", "<s>", "</s>", *LETTERS, *(f"##{letter}" for letter in LETTERS), "def", "##ef"]
    core = Tokenizer(models.WordPiece({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece(cleanup=True)
    return wrap(core)


def words_only() -> Any:
    """No decoder: the tokens with a space between them."""
    words = ["<unk>", "<s>", "</s>", "def", "f", "return", ".", "1"]
    core = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    return wrap(core)


def suffixes() -> Any:
    """GPT's (openai-gpt): </w> behind the last piece of a word, so a text depends on the token after it."""
    words = ["<unk>", "<s>", "</s>", *LETTERS, *(f"{letter}</w>" for letter in LETTERS), "de", "def</w>"]
    core = Tokenizer(
        models.BPE(
            vocab={word: number for number, word in enumerate(words)},
            merges=[("d", "e"), ("de", "f</w>")], unk_token="<unk>", end_of_word_suffix="</w>",
        )
    )  # fmt: skip
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.decoder = decoders.BPEDecoder()
    return wrap(core)


def cleaned() -> Any:
    """A unigram tokenizer whose texts transformers cleans up: no space before a full stop."""
    made = unigram()
    made.clean_up_tokenization_spaces = True
    return made


JOINED = {
    "byte level": byte_level, "byte fallback": byte_fallback, "without strip": lambda: byte_fallback(strip=False),
    "unigram": unigram, "word pieces": word_pieces, "words": words_only,
}  # fmt: skip
WHOLE = {"suffixes": suffixes, "cleaned": cleaned}
