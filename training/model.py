"""Builds the Phi model: transformers' own `PhiForCausalLM` with a seeded initialisation.

The architecture is transformers', so vLLM and others can load the result. Two things are ours: the
initialisation (drawn name by name from one seed, independent of the version of transformers) and, in
training, the tanh GELU as one fused kernel (the same function as `gelu_new`).
Shape legend: B batch, T tokens, D width, V vocabulary.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from training.recipe import Model
from training.recipe_records import EPSILON, INITIALIZER_RANGE
from zoo.shape import read_shape

if TYPE_CHECKING:
    import torch
    from transformers import PhiConfig, PhiForCausalLM

# At initialisation the head reads features of unit variance, so its logits have variance D * std**2 and the
# loss is ln V + D * std**2 / 2. 0.3/sqrt(D) keeps that excess under 0.05 at every width; at a width of 128
# or less the papers' 0.02 is smaller and applies.
HEAD_STD_TIMES_ROOT_WIDTH = 0.3


def model_of(config: Mapping[str, Any]) -> Model:
    """The recipe's record of the shape in a config.json."""
    shape = read_shape(config)
    return Model(
        layers=shape.layers, width=shape.width, heads=shape.heads, mlp=shape.inner, rotary_dim=shape.rotary_dimensions,
        rotary_theta=shape.rotary_theta, context_tokens=shape.context_tokens, vocabulary=shape.vocabulary,
        layer_norm_epsilon=float(config.get("layer_norm_eps", EPSILON)),
        initializer_range=float(config.get("initializer_range", INITIALIZER_RANGE)),
    )  # fmt: skip


def parameters(model: Model, vocabulary: int) -> int:
    """The exact number of parameters: 12 d^2 L + 11 d L + 2 V d + V + 2 d when the MLP is 4 d.

    >>> phi_1 = Model(layers=24, width=2048, heads=32, mlp=8192)
    >>> parameters(phi_1, 51200)
    1418270720
    """
    return non_embedding(model) + 2 * model.width + 2 * vocabulary * model.width + vocabulary


def non_embedding(model: Model) -> int:
    """The number of parameters in the layers, without embedding, final norm and head.

    >>> non_embedding(Model(layers=20, width=1024, heads=16, mlp=4096))
    251883520
    """
    d, m = model.width, model.mlp
    layer = 4 * (d * d + d) + 2 * d * m + m + d + 2 * d
    return model.layers * layer


def config(model: Model, vocabulary: int, bos: int, eos: int) -> "PhiConfig":
    """The transformers configuration, with every value written out whose class default is wrong for Phi.

    bos, eos  50256 for the real tokenizer (PhiConfig's own default, 1 and 2, is wrong for it)
    """
    from transformers import PhiConfig

    factor = model.rotary_dim / (model.width // model.heads)
    settings: dict[str, Any] = {
        "vocab_size": vocabulary, "hidden_size": model.width, "intermediate_size": model.mlp,
        "num_hidden_layers": model.layers, "num_attention_heads": model.heads, "num_key_value_heads": model.heads,
        "max_position_embeddings": model.context_tokens, "initializer_range": model.initializer_range,
        "layer_norm_eps": model.layer_norm_epsilon, "hidden_act": "gelu_new", "partial_rotary_factor": factor,
        "rope_parameters": {"rope_type": "default", "rope_theta": model.rotary_theta, "partial_rotary_factor": factor},
        "tie_word_embeddings": False, "bos_token_id": bos, "eos_token_id": eos, "use_cache": True,
    }  # fmt: skip
    return PhiConfig(**settings)


def build(
    settings: "PhiConfig", seed: int, dropout: float = 0.0, device: str = "cpu", documents_apart: bool = True,
    attention_dropout: float | None = None,
) -> "PhiForCausalLM":  # fmt: skip
    """Builds the model on a device in float32, its weights drawn from the seed.

    dropout          of the residual branches in training, and of attention unless attention_dropout is given;
                     `settings` itself is not changed
    documents_apart  False: every token attends to all tokens before it, whatever their positions. This selects a
                     GPU's fast kernel: when compiled, transformers makes a mask for each batch, and masks are slower
    """
    import copy

    import torch
    from transformers import PhiForCausalLM

    training = copy.deepcopy(settings)
    training.resid_pdrop = dropout
    training.attention_dropout = dropout if attention_dropout is None else attention_dropout
    training.use_cache = False
    training._attn_implementation = "sdpa" if documents_apart else _causal_attention()
    model = PhiForCausalLM(training)
    for layer in model.model.layers:
        layer.mlp.activation_fn = torch.nn.GELU(approximate="tanh")
    _draw(model, settings.initializer_range, seed)
    torch.nn.Module.to(model, device)
    return model


def _causal_attention() -> str:
    """Registers causal attention without a mask in transformers and returns its name."""
    import torch
    from transformers import AttentionInterface

    def attend(
        module: Any, query: Any, key: Any, value: Any, mask: Any, dropout: float = 0.0, scaling: Any = None, **_: Any
    ) -> tuple[Any, None]:
        output = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, scale=scaling, is_causal=mask is None
        )
        return output.transpose(1, 2).contiguous(), None

    AttentionInterface.register("phizoo_causal", attend)
    return "phizoo_causal"


def _draw(model: "PhiForCausalLM", std: float, seed: int) -> None:
    """Fills the weights: matrices normal, the head with a limited spread, biases 0, norms 1."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    width = model.config.hidden_size
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.dim() < 2:
                parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
                continue
            spread = min(std, HEAD_STD_TIMES_ROOT_WIDTH / math.sqrt(width)) if name.startswith("lm_head") else std
            parameter.normal_(0.0, spread, generator=generator)


def load_weights(model: "PhiForCausalLM", tensors: "dict[str, torch.Tensor]") -> None:
    """Copies a state dict into the model; the names must be exactly the model's.

    Raises ZooError with the names that are missing, left over or of another shape.
    """
    import torch

    from zoo.errors import ZooError

    own: dict[str, Any] = dict(model.named_parameters())
    wrong = sorted(own.keys() ^ tensors.keys())
    wrong += [name for name in own.keys() & tensors.keys() if own[name].shape != tensors[name].shape]
    if wrong:
        raise ZooError(
            f"the weights do not fit the recipe's shape: {', '.join(wrong[:3])}{' ...' if len(wrong) > 3 else ''}; "
            "compare them with: phizoo models show NAME"
        )
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(tensors[name])
