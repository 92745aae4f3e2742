"""Builds a Phi: transformers' own `PhiForCausalLM` or `Phi3ForCausalLM` with a seeded initialisation.

The architectures are transformers', so vLLM and others can load the result. Two things are ours: the
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
    from transformers import PhiForCausalLM

# At initialisation the head reads features of unit variance, so its logits have variance D * std**2 and the
# loss is ln V + D * std**2 / 2. 0.3/sqrt(D) keeps that excess under 0.05 at every width; at a width of 128
# or less the papers' 0.02 is smaller and applies.
HEAD_STD_TIMES_ROOT_WIDTH = 0.3


def model_of(config: Mapping[str, Any]) -> Model:
    """The recipe's record of the shape in a config.json."""
    shape = read_shape(config)
    epsilon = config.get("rms_norm_eps" if shape.family == "phi3" else "layer_norm_eps", EPSILON)
    return Model(
        layers=shape.layers, width=shape.width, heads=shape.heads, mlp=shape.inner, rotary_dim=shape.rotary_dimensions,
        rotary_theta=shape.rotary_theta, context_tokens=shape.context_tokens, vocabulary=shape.vocabulary,
        layer_norm_epsilon=float(epsilon), kind="phi3" if shape.family == "phi3" else "phi",
        initializer_range=float(config.get("initializer_range", INITIALIZER_RANGE)),
        key_heads=None if shape.key_heads == shape.heads else shape.key_heads, tied=shape.tied,
    )  # fmt: skip


def parameters(model: Model, vocabulary: int) -> int:
    """The exact number of parameters; of phi 12 d^2 L + 11 d L + 2 V d + V + 2 d when the MLP is 4 d.

    >>> phi_1 = Model(layers=24, width=2048, heads=32, mlp=8192)
    >>> parameters(phi_1, 51200)
    1418270720
    """
    if model.kind == "phi3":
        return non_embedding(model) + model.width + (1 if model.tied else 2) * vocabulary * model.width
    return non_embedding(model) + 2 * model.width + 2 * vocabulary * model.width + vocabulary


def non_embedding(model: Model) -> int:
    """The number of parameters in the layers, without embedding, final norm and head.

    >>> non_embedding(Model(layers=20, width=1024, heads=16, mlp=4096))
    251883520
    """
    d, m = model.width, model.mlp
    if model.kind == "phi3":
        return model.layers * (2 * d * d + 2 * d * (d // model.heads) * model.keys + 3 * d * m + 2 * d)
    layer = 4 * (d * d + d) + 2 * d * m + m + d + 2 * d
    return model.layers * layer


def config(model: Model, vocabulary: int, bos: int, eos: int) -> Any:
    """The transformers configuration, with every value written out whose class default is wrong here.

    bos, eos  50256 for the real tokenizer (PhiConfig's own default, 1 and 2, is wrong for it)
    Returns   a PhiConfig or a Phi3Config
    """
    from transformers import Phi3Config, PhiConfig

    factor = model.rotary_dim / (model.width // model.heads)
    settings: dict[str, Any] = {
        "vocab_size": vocabulary, "hidden_size": model.width, "intermediate_size": model.mlp,
        "num_hidden_layers": model.layers, "num_attention_heads": model.heads, "num_key_value_heads": model.keys,
        "max_position_embeddings": model.context_tokens, "initializer_range": model.initializer_range,
        "partial_rotary_factor": factor, "bos_token_id": bos, "eos_token_id": eos, "use_cache": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": model.rotary_theta, "partial_rotary_factor": factor},
        "tie_word_embeddings": model.tied,
    }  # fmt: skip
    if model.kind == "phi3":
        # Phi3Config's padding token, 32000, is no row of a smaller embedding; with one, its row would not be trained
        own: dict[str, Any] = {"rms_norm_eps": model.layer_norm_epsilon, "hidden_act": "silu", "pad_token_id": None}
        return Phi3Config(original_max_position_embeddings=model.context_tokens, **own, **settings)
    return PhiConfig(layer_norm_eps=model.layer_norm_epsilon, hidden_act="gelu_new", **settings)


def read_config(plain: Mapping[str, Any]) -> Any:
    """The transformers configuration of a config.json as plain data."""
    from transformers import Phi3Config, PhiConfig

    kind: Any = Phi3Config if plain.get("model_type") == "phi3" else PhiConfig
    return kind.from_dict(dict(plain))


def build(
    settings: Any, seed: int, dropout: float = 0.0, device: str = "cpu", documents_apart: bool = True,
    attention_dropout: float | None = None,
) -> Any:  # fmt: skip
    """Builds the model on a device in float32, its weights drawn from the seed.

    dropout          of the residual branches in training, and of attention unless attention_dropout is given;
                     `settings` itself is not changed
    documents_apart  False: every token attends to all tokens before it, whatever their positions. This selects a
                     GPU's fast kernel: when compiled, transformers makes a mask for each batch, and masks are slower
    """
    import copy

    import torch
    from transformers import Phi3ForCausalLM, PhiForCausalLM

    training = copy.deepcopy(settings)
    training.resid_pdrop = dropout
    training.attention_dropout = dropout if attention_dropout is None else attention_dropout
    training.use_cache = False
    training._attn_implementation = "sdpa" if documents_apart else _causal_attention()
    is_phi3 = settings.model_type == "phi3"
    model: Any = Phi3ForCausalLM(training) if is_phi3 else PhiForCausalLM(training)
    for layer in () if is_phi3 else model.model.layers:
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
            query, key, value, attn_mask=mask, dropout_p=dropout, scale=scaling, is_causal=mask is None,
            enable_gqa=query.shape[1] != key.shape[1],
        )  # fmt: skip
        return output.transpose(1, 2).contiguous(), None

    AttentionInterface.register("phizoo_causal", attend)
    return "phizoo_causal"


def _draw(model: "PhiForCausalLM", std: float, seed: int) -> None:
    """Fills the weights: matrices normal, the head (or the embedding that is the head) with a limited spread."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    width = model.config.hidden_size
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.dim() < 2:
                parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
                continue
            head = name.startswith("lm_head") or (model.config.tie_word_embeddings and "embed_tokens" in name)
            spread = min(std, HEAD_STD_TIMES_ROOT_WIDTH / math.sqrt(width)) if head else std
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
