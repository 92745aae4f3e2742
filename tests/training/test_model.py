"""The model: exact sizes, published names, an init that knows nothing, and a config others can read."""

import math
import warnings
from pathlib import Path

import pytest
import torch
from transformers import PhiConfig, PhiForCausalLM
from transformers.models.phi.modeling_phi import PhiMLP

from training import export, model
from training.recipe import Model, load, shape
from zoo.errors import ZooError

EXACT = {
    "phi-1-small-base": 356_794_368,
    "phi-1-small": 356_794_368,
    "phi-1-base": 1_418_270_720,
    "phi-1": 1_418_270_720,
    "phi-1.5": 1_418_270_720,
    "phi-1.5-web": 1_418_270_720,
    "phi-1.5-web-only": 1_418_270_720,
    "phi-2": 2_779_683_840,
}
SMALL = Model(layers=2, width=64, heads=2, mlp=256, rotary_dim=16, context_tokens=64)


@pytest.mark.parametrize("name", EXACT)
def test_parameters_are_exact_on_the_meta_device(name: str) -> None:
    shaped = shape(load(name))
    with torch.device("meta"):
        built = PhiForCausalLM(model.config(shaped, 51200, 50256, 50256))
    assert sum(p.numel() for p in built.parameters()) == EXACT[name] == model.parameters(shaped, 51200)


def test_state_names_are_those_of_published_checkpoints() -> None:
    with torch.device("meta"):
        names = set(PhiForCausalLM(model.config(SMALL, 300, 0, 0)).state_dict())
    layer = [
        f"model.layers.0.{part}.{kind}"
        for part in (
            "input_layernorm",
            *(f"self_attn.{one}" for one in ("q_proj", "k_proj", "v_proj", "dense")),
            "mlp.fc1",
            "mlp.fc2",
        )
        for kind in ("weight", "bias")
    ]
    outside = ["model.embed_tokens.weight", "model.final_layernorm.weight", "model.final_layernorm.bias"]
    assert names == {
        *layer,
        *(one.replace("layers.0", "layers.1") for one in layer),
        *outside,
        "lm_head.weight",
        "lm_head.bias",
    }


@pytest.mark.parametrize(("width", "vocabulary"), [(64, 300), (128, 1024), (2048, 1024)])
def test_the_first_loss_is_that_of_a_guess(width: int, vocabulary: int) -> None:
    shaped = Model(layers=1, width=width, heads=width // 64, mlp=64, context_tokens=64)
    built = model.build(model.config(shaped, vocabulary, 0, 0), seed=1)
    ids = torch.randint(0, vocabulary, (4, 65), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = built(ids[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    assert abs(float(loss) - math.log(vocabulary)) < 0.1


def test_one_seed_one_init() -> None:
    settings = model.config(SMALL, 300, 0, 0)
    first, again, other = (model.build(settings, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


def test_the_fused_gelu_is_the_one_that_the_config_names() -> None:
    settings = model.config(SMALL, 300, 0, 0)
    built = model.build(settings, 0)
    plain = PhiMLP(settings)
    plain.load_state_dict(built.model.layers[0].mlp.state_dict())
    x = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(built.model.layers[0].mlp(x), plain(x), atol=1e-6, rtol=1e-6)


def test_dropout_is_for_training_and_not_for_the_export() -> None:
    settings = model.config(SMALL, 300, 0, 0)
    built = model.build(settings, 0, dropout=0.1)
    assert (built.config.resid_pdrop, built.config.attention_dropout) == (0.1, 0.1)
    assert built.model.layers[0].self_attn.attention_dropout == 0.1
    assert export.config_json(settings)["resid_pdrop"] == 0.0


def test_weights_of_another_shape_are_named() -> None:
    built = model.build(model.config(SMALL, 300, 0, 0), 0)
    tensors = dict(built.state_dict())
    tensors["lm_head.bias"] = torch.zeros(7)
    with pytest.raises(ZooError, match=r"do not fit the recipe's shape: lm_head.bias"):
        model.load_weights(built, tensors)


@pytest.mark.parametrize(("name", "factor"), [("phi-1", 0.5), ("phi-2", 0.4)])
def test_the_config_writes_what_has_a_wrong_default(name: str, factor: float, tmp_path: Path) -> None:
    shaped = shape(load(name))
    assert (shaped.bos, shaped.eos, shaped.vocabulary) == (50256, 50256, 51200)
    plain = export.config_json(model.config(shaped, 51200, 50256, 50256))
    assert (plain["bos_token_id"], plain["eos_token_id"]) == (50256, 50256)
    assert plain["partial_rotary_factor"] == plain["rope_parameters"]["partial_rotary_factor"] == factor
    assert (plain["rope_theta"], plain["architectures"], plain["model_type"]) == (10000.0, ["PhiForCausalLM"], "phi")
    assert (plain["hidden_act"], plain["tie_word_embeddings"]) == ("gelu_new", False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = PhiConfig.from_dict(dict(plain))
    assert back.rope_parameters["partial_rotary_factor"] == factor
    assert int(back.hidden_size // back.num_attention_heads * factor) == 32


def attention_masks(documents_apart: bool) -> list[object]:
    """The masks that a compiled model hands to the attention kernel, layer by layer."""
    import torch

    built = model.build(model.config(SMALL, 300, 0, 0), 0, documents_apart=documents_apart).train()
    found: list[object] = []

    def look(graph: torch.fx.GraphModule, _: object) -> object:
        found.extend(
            (node.kwargs["attn_mask"], node.kwargs["is_causal"])
            for node in graph.graph.nodes
            if "scaled_dot_product_attention" in str(node.target)
        )
        return graph.forward

    torch._dynamo.reset()
    torch.compile(built.model, backend=look)(input_ids=torch.zeros(2, 8, dtype=torch.long), use_cache=False)
    torch._dynamo.reset()
    return found


def test_a_compiled_model_needs_no_mask_where_documents_are_not_kept_apart() -> None:
    assert attention_masks(documents_apart=False) == [(None, True)] * SMALL.layers
    masked = attention_masks(documents_apart=True)
    assert len(masked) == SMALL.layers
    assert all(mask is not None for mask, _ in masked)  # else nobody needs an attention of our own any more


def test_plain_causal_attention_is_the_same_function() -> None:
    import torch

    tokens = torch.randint(0, 300, (2, 40), generator=torch.Generator().manual_seed(0))
    settings = model.config(SMALL, 300, 0, 0)
    own, stock = (model.build(settings, 0, documents_apart=apart).eval() for apart in (False, True))
    torch.testing.assert_close(own(tokens).logits, stock(tokens).logits, rtol=0, atol=0)
