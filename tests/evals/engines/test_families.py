"""One contract for every causal family that the installed transformers knows: the plain forward pass, or a refusal.

A tiny random model of each (`tests.evals.engines.tiny_families`) answers through the engine, and its log-probabilities
and greedy texts are compared with one forward pass a pair or a token of transformers' own model, without a cache.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from evals.engines.local import probe
from evals.engines.local.rope import named_lengths
from evals.engines.tokens import Tokens
from evals.engines.transformers_local import connect
from evals.records import Choice, ChoiceRequest, Decoding, GenerateRequest
from tests.evals.engines.tiny_families import CONTEXT, WINDOW, tiny_config, tiny_model
from zoo.errors import ZooError
from zoo.families import FAMILIES, REFUSED, TREE

# read in every run of the tests: the families of small models, and one of each way to read
OFTEN = [
    "phi", "phi3", "phimoe", "llama", "mistral", "qwen2", "qwen3", "qwen3_5", "gemma2", "gemma3_text", "gemma4_text",
    "cohere", "cohere2", "granite", "granitemoehybrid", "olmo3", "lfm2", "smollm3", "falcon_h1", "jamba", "mamba",
    "rwkv", "bloom", "mpt", "gpt2", "gpt_neo", "gpt_neox", "opt", "gpt_oss", "deepseek_v3",
]  # fmt: skip
LONG = "The cat sat on the wall and looked at the birds that flew over"  # longer than every window
CHOICES = [
    ChoiceRequest(sample="long", pairs=tuple((LONG, text) for text in (" it", " the old bench", " a"))),
    ChoiceRequest(sample="like it", pairs=tuple((LONG + "!", text) for text in (" it", " the old bench"))),
    ChoiceRequest(sample="short", pairs=(("A cat", " is"), ("A cat", " runs away"))),
    ChoiceRequest(sample="letters", pairs=tuple(("Which?", f" {letter}") for letter in "ABCD")),
]
PROMPTS = {"long": LONG, "short": "A cat", "medium": LONG[: WINDOW - 2], "same length": LONG[1 : WINDOW - 1]}
TEXT_TOKENS = 6


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Every byte a token, and an end of text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>")


def save(config: Any, tokenizer: Any, folder: Path) -> Any:
    """Writes a tiny model's folder and returns the model."""
    model = tiny_model(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def read(model: Any, ids: list[int]) -> Any:
    """Log-probabilities after each token: one sequence, one forward pass, no cache."""
    with torch.inference_mode():
        return torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].double(), -1)


def plain_choice(model: Any, tokens: Tokens, pair: tuple[str, str]) -> Choice:
    both = tokens.pair(*pair, CONTEXT)
    rows = read(model, list(both.tokens[:-1]))[both.start - 1 :]
    targets = torch.tensor(both.tokens[both.start :])
    logprob = float(rows.gather(1, targets[:, None]).sum())
    return Choice(logprob=logprob, tokens=len(targets), greedy=bool((rows.argmax(-1) == targets).all()))


def plain_text(model: Any, tokens: Tokens, prompt: str) -> str:
    ids = tokens.encode(prompt)
    begin = len(ids)
    while len(ids) < begin + TEXT_TOKENS:
        token = int(read(model, ids)[-1, : tokens.size].argmax())
        if token == tokens.eos:
            break
        ids.append(token)
    return tokens.text(ids[begin:])


def hold(folder: Path, model: Any, engine: Any = None) -> Any:
    """Compares an engine on a folder with the plain model, and returns the engine."""
    engine = engine or connect(folder, device="cpu")
    tokens = engine.tokens
    for scores in engine.choose(CHOICES):
        pairs = next(request.pairs for request in CHOICES if request.sample == scores.sample)
        for pair, choice in zip(pairs, scores.choices, strict=True):
            wanted = plain_choice(model, tokens, pair)
            assert choice.logprob == pytest.approx(wanted.logprob, abs=1e-3, rel=1e-5), (scores.sample, pair)
            assert (choice.tokens, choice.greedy) == (wanted.tokens, wanted.greedy)
    greedy = Decoding(max_tokens=TEXT_TOKENS)
    requests = [
        GenerateRequest(sample=name, draw=0, prompt=text, decoding=greedy, seed=0) for name, text in PROMPTS.items()
    ]
    texts = {text.sample: text.text for text in engine.generate(requests)}
    assert texts == {name: plain_text(model, tokens, prompt) for name, prompt in PROMPTS.items()}
    return engine


def test_the_table_is_of_the_installed_transformers() -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    assert sorted(FAMILIES) == sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


@pytest.mark.parametrize(
    "kind",
    [
        kind if kind in OFTEN else pytest.param(kind, marks=pytest.mark.long)
        for kind, family in FAMILIES.items()
        if family.path != REFUSED
    ],
)
def test_family_answers_as_its_plain_forward(kind: str, tokenizer: Any, tmp_path: Path) -> None:
    model = save(tiny_config(kind), tokenizer, tmp_path)
    engine = hold(tmp_path, model)
    assert engine.model.config._attn_implementation == FAMILIES[kind].attention
    assert engine.paths.is_fast == (FAMILIES[kind].path == TREE), engine.facts.path
