"""One contract for every causal family that the installed transformers knows: the plain forward pass, or a refusal.

A tiny random model of each (`tests.evals.engines.tiny_families`) answers through the engine, and its log-probabilities
and greedy texts are compared with one forward pass a pair or a token of transformers' own model, without a cache.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from evals.engines.local import lean, probe
from evals.engines.tokens import Tokens
from evals.engines.transformers_local import connect
from evals.records import Choice, ChoiceRequest, Decoding, GenerateRequest
from tests.evals.engines.tiny_families import CONTEXT, WINDOW, tiny_config, tiny_model
from zoo.admission.config import check_config
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
    ChoiceRequest(sample="as the window", pairs=tuple((LONG[: WINDOW - 4], text) for text in (" abcd", " wxyz"))),
    ChoiceRequest(sample="short", pairs=(("A cat", " is"), ("A cat", " runs away"))),
    ChoiceRequest(sample="letters", pairs=tuple(("Which?", f" {letter}") for letter in "ABCD")),
]
TEXT_TOKENS = 6
PROMPTS = {
    "long": LONG, "short": "A cat", "medium": LONG[: WINDOW - 2], "same length": LONG[1 : WINDOW - 1],
    "as the window": LONG[: WINDOW - TEXT_TOKENS],
}  # fmt: skip


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
    engine = hold(tmp_path, save(tiny_config(kind), tokenizer, tmp_path))
    loaded = FAMILIES[engine.model.config.model_type]  # a model of text and pictures may be read by its text model
    assert engine.model.config._attn_implementation == loaded.attention == FAMILIES[kind].attention
    assert engine.paths.is_fast == (loaded.path == TREE), engine.facts.path


REFUSED_KINDS = [kind for kind, family in FAMILIES.items() if family.path == REFUSED]


@pytest.mark.parametrize("kind", REFUSED_KINDS)
def test_refused_family_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "hidden_size": 64, "vocab_size": 300}))
    with pytest.raises(ZooError, match=f"model_type {kind} is refused: {re.escape(FAMILIES[kind].reason)}"):
        connect(tmp_path)
    with pytest.raises(ZooError, match=f"model_type {kind} is refused"):
        check_config(tmp_path / "config.json")


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm", "electra"])
def test_encoder_is_refused_because_it_reads_on(kind: str) -> None:
    assert "reads the tokens that follow" in FAMILIES[kind].reason
    model = tiny_model(tiny_config(kind))
    first, second = read(model, [5, 6, 7, 8]), read(model, [5, 6, 7, 9])
    assert float((first[:3] - second[:3]).abs().max()) > 1e-3


SWITCH = 32  # the longest text under the first frequencies of the longrope models here
LONGROPE = {
    "rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": SWITCH,
    "short_factor": [1.0] * 8, "long_factor": [1.0 + 2 * step for step in range(8)],
}  # fmt: skip
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"{kind} {rope['rope_type']}": (kind, {"rope_parameters": {"rope_theta": 10000.0, **rope}})
        for kind in ("llama", "qwen3")
        for rope in (
            {"rope_type": "linear", "factor": 4.0},
            {"rope_type": "dynamic", "factor": 4.0},
            {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
            {
                "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        )
    },
    "llama longrope": ("llama", {"rope_parameters": LONGROPE}),
    "phi3 longrope": ("phi3", {"rope_parameters": LONGROPE, "original_max_position_embeddings": SWITCH}),
    "phi3 window": ("phi3", {"sliding_window": WINDOW}),
    "phi3 window and longrope": (
        "phi3",
        {"rope_parameters": LONGROPE, "original_max_position_embeddings": SWITCH, "sliding_window": WINDOW},
    ),
    "phi all key heads": ("phi", {"num_key_value_heads": 4}),
    "phi norms": ("phi", {"qk_layernorm": True}),
    "llama tied": ("llama", {"tie_word_embeddings": True}),
    "llama untied, one key head": ("llama", {"tie_word_embeddings": False, "num_key_value_heads": 1}),
    "qwen2 window": ("qwen2", {"use_sliding_window": True, "max_window_layers": 0, "sliding_window": WINDOW,
                               "layer_types": ["sliding_attention"] * 2}),
    "gemma2 soft caps": ("gemma2", {"final_logit_softcapping": 2.0, "attn_logit_softcapping": 3.0}),
    "cohere scale": ("cohere", {"logit_scale": 0.03}),
    "granite scale": ("granite", {"logits_scaling": 8.0, "residual_multiplier": 0.5, "embedding_multiplier": 3.0}),
    "falcon alibi": ("falcon", {"alibi": True}),
    "falcon new decoder": ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "gpt_bigcode all key heads": ("gpt_bigcode", {"multi_query": False}),
    "mistral no window": ("mistral", {"sliding_window": None}),
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant_answers_as_its_plain_forward(variant: str, tokenizer: Any, tmp_path: Path) -> None:
    kind, settings = VARIANTS[variant]
    hold(tmp_path, save(tiny_config(kind, **settings), tokenizer, tmp_path))


@pytest.mark.parametrize("kind", ["phi3", "llama"])
def test_a_short_question_does_not_depend_on_its_neighbours(kind: str, tokenizer: Any, tmp_path: Path) -> None:
    more = {"original_max_position_embeddings": SWITCH} if kind == "phi3" else {}
    model = save(tiny_config(kind, rope_parameters=LONGROPE, **more), tokenizer, tmp_path)
    ids = [number % 200 for number in range(SWITCH + 8)]
    with torch.inference_mode():  # in one batch with a long text the model gives the short one another answer
        batch = model(input_ids=torch.tensor([ids, ids[:20] + [0] * (SWITCH - 12)])).logits[1, :20]
        alone = model(input_ids=torch.tensor([ids[:20]])).logits[0]
    assert float((batch - alone).abs().max()) > 1e-2
    engine = connect(tmp_path, device="cpu")
    short = [question for question in CHOICES if question.sample == "short"]
    together = next(scores for scores in engine.choose(CHOICES) if scores.sample == "short")
    by_itself = next(iter(engine.choose(short)))
    assert [choice.logprob for choice in together.choices] == pytest.approx(
        [choice.logprob for choice in by_itself.choices], abs=1e-5
    )


GATED = [kind for kind, family in FAMILIES.items() if family.gated]


@pytest.mark.parametrize("kind", GATED)
def test_a_llama_is_read_without_padding(kind: str, tokenizer: Any, tmp_path: Path) -> None:
    more = {"no_rope_layers": [1, 0]} if kind == "smollm3" else {}
    engine = hold(tmp_path, save(tiny_config(kind, **more), tokenizer, tmp_path))
    assert (engine.paths.choices, engine.paths.texts) == ("side by side", "side by side")


def test_a_pass_that_is_not_proven_leaves_no_copy_of_the_weights(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tiny_config("llama"), tokenizer, tmp_path)
    for name in ("_compare_choices", "_compare_slots"):
        monkeypatch.setattr(probe, name, lambda _model, _tokens, form, _length: form is None)
    engine = connect(tmp_path, device="cpu")
    assert (engine.paths.choices, engine.paths.texts) == ("tree", "slots")
    assert engine.model not in lean._PASSES


@pytest.mark.parametrize("bias", [True, False])
def test_biases_of_a_llama_are_read(bias: bool, tokenizer: Any, tmp_path: Path) -> None:
    model = tiny_model(tiny_config("llama", attention_bias=bias, mlp_bias=bias))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.5)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    engine = hold(tmp_path, model)
    assert (engine.paths.choices, engine.paths.texts) == ("side by side", "side by side")


@pytest.mark.parametrize("kind", ["llama", "phi"])
def test_bfloat16_on_a_cpu_answers_as_its_plain_forward(kind: str, tokenizer: Any, tmp_path: Path) -> None:
    more = {"num_key_value_heads": 4} if kind == "phi" else {}
    save(tiny_config(kind, **more), tokenizer, tmp_path)
    engine = connect(tmp_path, device="cpu", dtype="bfloat16")
    assert (engine.paths.choices, engine.paths.texts) == ("side by side", "side by side")
    for scores in engine.choose(CHOICES):
        pairs = next(request.pairs for request in CHOICES if request.sample == scores.sample)
        for pair, choice in zip(pairs, scores.choices, strict=True):
            wanted = plain_choice(engine.model, engine.tokens, pair)
            assert choice.logprob == pytest.approx(wanted.logprob, abs=0.02 * choice.tokens, rel=0.04)


@pytest.mark.parametrize(
    ("gated", "choices", "texts"), [(True, "side by side", "side by side"), (False, "tree", "slots")]
)
def test_the_fast_path_ends_at_the_window(
    gated: bool, choices: str, texts: str, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evals.engines.local import lean

    save(tiny_config("mistral"), tokenizer, tmp_path)
    if not gated:
        monkeypatch.setattr(lean, "fits", lambda _model: False)
    engine = connect(tmp_path, device="cpu")
    assert engine.facts.path == ""
    assert (engine.paths.choices, engine.paths.texts, engine.paths.limit) == (choices, texts, WINDOW)
    assert engine.facts.path == f"choices: {choices}, texts: {texts}; beyond {WINDOW} tokens: plain"


@pytest.mark.parametrize("kind", ["cohere2", "gpt_neo", "olmo3"])
def test_bfloat16_takes_the_same_paths_as_fp32(kind: str, tokenizer: Any, tmp_path: Path) -> None:
    save(tiny_config(kind), tokenizer, tmp_path)
    wide, half = (connect(tmp_path, device="cpu", dtype=dtype) for dtype in ("float32", "bfloat16"))
    assert half.paths == wide.paths
    assert half.paths.limit == WINDOW  # neither tree nor slots knows the window


def test_a_model_that_differs_without_padding_is_read_as_a_rectangle(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evals.engines.local import gated_cpu

    model = save(tiny_config("llama"), tokenizer, tmp_path)
    normalise = gated_cpu._normalise
    monkeypatch.setattr(gated_cpu, "_normalise", lambda x, norm: normalise(x, norm) * 1.01)
    engine = hold(tmp_path, model)
    assert (engine.paths.choices, engine.paths.texts) == ("tree", "slots")


@pytest.mark.parametrize("kind", ["llama", "olmo2"])
def test_a_model_that_differs_by_every_fast_path_is_read_plainly(
    kind: str, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evals.engines.local import padded, side_by_side

    model = save(tiny_config(kind), tokenizer, tmp_path)
    lay_out, past, branches = padded._lay_out, side_by_side.make_past_mask, side_by_side.make_branch_mask

    def blind(*arguments: Any) -> Any:
        ids, places, mask = lay_out(*arguments)
        return ids, places, mask.roll(1, dims=-1)

    monkeypatch.setattr(padded, "_lay_out", blind)
    monkeypatch.setattr(side_by_side, "make_branch_mask", lambda *arguments: branches(*arguments).roll(1, dims=-1))
    monkeypatch.setattr(side_by_side, "make_past_mask", lambda *arguments: past(*arguments).roll(1, dims=-1))
    engine = hold(tmp_path, model)
    assert (engine.paths.choices, engine.paths.texts) == ("plain", "cache")
    half = connect(tmp_path, device="cpu", dtype="bfloat16")
    assert half.paths.texts == "cache"
