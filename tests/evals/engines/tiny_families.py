"""A tiny random model of any causal family that transformers knows, from its own configuration class.

Windows are shorter than the texts of the contract, key heads fewer than heads, experts four; all that a size in the
configuration decides is small. `CHANGES` has the families whose sizes depend on each other in their own way.
"""

from typing import Any

VOCABULARY, WIDTH, CONTEXT, WINDOW = 264, 64, 128, 16
SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "embed_dim", "dim", "emb_dim"), WIDTH),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "n_inner", "ffn_hidden_size", "decoder_ffn_dim",
                     "encoder_ffn_dim", "shared_intermediate_size", "dim_ff"), 64),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "expert_ffn_hidden_size",
                     "shared_experts_intermediate_size"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers", "encoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads",
                     "encoder_attention_heads"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), CONTEXT),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k"), 2),
    **dict.fromkeys(("sliding_window", "sliding_window_size", "attention_chunk_size", "window_size",
                     "attention_window_size"), WINDOW),
    **dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads", "mamba_num_heads", "mamba_n_heads",
                     "index_n_heads"), 4),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim", "index_head_dim", "qk_nope_head_dim",
                     "v_head_dim", "rotary_dim"), 16),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    "vocab_size": VOCABULARY, "vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 8,
    "num_key_value_heads": 2, "head_dim": 16, "qk_rope_head_dim": 8, "n_shared_experts": 1, "pad_token_id": 0,
    "bos_token_id": 256, "eos_token_id": 256, "index_topk": 32, "n_group": 1, "topk_group": 1, "mamba_d_state": 16,
    "ssm_state_size": 16, "mamba_expand": 2,
}  # fmt: skip
MEDIA: dict[str, Any] = {
    **dict.fromkeys(("depth", "num_hidden_layers", "num_blocks"), 1),
    **dict.fromkeys(("hidden_size", "intermediate_size", "image_size", "crop_size", "ext_pw_out_channel", "model_dim",
                     "depthwise_separable_out_channel", "nemo_conv_channels", "projector_input_dim", "adapter_in_dim",
                     "projector_output_dim", "vision_output_dim", "embed_dim", "adapter_input_size"), 32),
    **dict.fromkeys(("head_dim", "global_head_dim", "input_size", "num_position_embeddings",
                     "position_embedding_size"), 16),
    **dict.fromkeys(("num_attention_heads", "num_heads", "num_key_value_heads"), 2),
    "out_hidden_size": WIDTH, "adapter_out_dim": WIDTH, "patch_size": 8, "vocab_size": 8, "deepstack_visual_indexes": [], "per_layer_config": {},
}  # fmt: skip
FULL_ROPE = {"rope_type": "default", "rope_theta": 10000.0}
LATENT = {"num_key_value_heads": 4, "head_dim": 8}  # attention through a latent vector has a key head for each head
CHANGES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("axk1", "axk2", "deepseek_v3", "deepseek_v32", "glm4_moe_lite", "glm_moe_dsa",
                     "minicpm3", "youtu"), LATENT),
    "bailing_hybrid": {**LATENT, "linear_num_heads": 4, "linear_head_dim": 16, "num_expert_group": 1},
    "bamba": {"attn_layer_indices": [1], "mamba_d_head": 32},
    "cohere_compass": {"rope_parameters": {"full_attention": FULL_ROPE, "sliding_attention": FULL_ROPE}},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0},
        "ffn_config": {"moe_num_experts": 4, "moe_top_k": 2, "ffn_hidden_size": 32},
    },
    "deepseek_v2": {**LATENT, "num_experts_per_tok": 2},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "dots3_note": {**LATENT, "head_dim": 24},
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_d_head": 16, "mamba_n_heads": 4},
    "gemma3n": {
        "num_hidden_layers": 4, "num_kv_shared_layers": 2, "intermediate_size": [64] * 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2, "activation_sparsity_pattern": [0.0] * 4,
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "num_layers": 2},
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention"], "mamba_d_head": 32},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_dt_rank": 4, "use_mamba_kernels": False},
    "kimi_linear": {**LATENT, "num_expert_group": 1, "linear_num_heads": 4, "linear_head_dim": 16},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "longcat_flash": {**LATENT, "zero_expert_num": 2},
    "mamba2": {"num_heads": 8},
    "ministral": {"head_dim": 16},
    "nemotron": {"num_key_value_heads": 2},
    "nemotron_h": {
        "layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"], "mamba_head_dim": 16, "n_groups": 2,
        "moe_shared_expert_intermediate_size": 32,
    },
    "qwen4_exp": {
        "indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 16, "indexer_budget": 32,
        "indexer_compress_ratio": 2, "hc_lowrank": 8,
    },
    "recurrent_gemma": {"block_types": ["recurrent", "attention"], "lru_width": 64},
    "xlstm": {"qk_dim_factor": 1.0},
    "zamba": {
        "num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2, "attention_hidden_size": 128,
        "attention_head_dim": 32, "num_key_value_heads": 4, "mamba_dt_rank": 4, "use_mamba_kernels": False,
    },
    "zamba2": {
        "num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2, "hybrid_layer_ids": [1, 3],
        "num_key_value_heads": 4, "n_mamba_heads": 4, "mamba_headdim": 32, "use_mamba_kernels": False,
    },
    "zaya": {"num_experts_per_tok": 1},
}  # fmt: skip


def tiny_config(kind: str, **more: Any) -> Any:
    """The configuration of a tiny model of a family, with its readers of pictures and sound where it has them.

    more  settings of the text model, over all others
    """
    from transformers import CONFIG_MAPPING

    whole = CONFIG_MAPPING[kind]
    if not whole.sub_configs or kind in ("dbrx", "blt", "fuyu"):
        return _text_config(kind, more)
    parts = {
        name: {key: size for key, size in MEDIA.items() if part.to_dict().get(key) is not None}
        for name in whole.sub_configs
        if name != "text_config" and (part := getattr(whole(), name, None)) is not None
    }
    if "text_config" not in whole.sub_configs:
        return _text_config(kind, {**parts, **more})
    return whole(text_config=_text_config(kind, more).to_dict(), **parts)


def _text_config(kind: str, more: dict[str, Any]) -> Any:
    from transformers import CONFIG_MAPPING

    text = CONFIG_MAPPING[kind]().get_text_config(decoder=True)
    defaults = text.to_dict()
    sizes = {name: size for name, size in SIZES.items() if defaults.get(name) is not None}
    sizes |= {name: SIZES[name] for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    changes = {**CHANGES.get(kind, CHANGES.get(kind.removesuffix("_text"), {})), **more}
    for name in ("layer_types", "mlp_layer_types"):  # one layer of each kind, at least two
        if isinstance(defaults.get(name), list) and name not in changes:
            kinds = list(dict.fromkeys(defaults[name]))
            sizes[name] = (kinds * 2)[: max(2, len(kinds))]
            sizes["num_hidden_layers"] = max(len(sizes[name]), sizes.get("num_hidden_layers", 0))
    if isinstance(sizes.get("mlp_layer_types"), list):
        sizes["mlp_layer_types"] = (sizes["mlp_layer_types"] * 2)[-sizes["num_hidden_layers"] :]
    if "per_layer_config" in defaults:
        sizes["per_layer_config"] = {}
    return type(text)(**{**sizes, **changes})


def tiny_model(config: Any) -> Any:
    """Random weights, larger than a fresh model's, so that answers depend on every part of the text."""
    import torch
    import transformers

    torch.manual_seed(1)
    kind = "AutoModelForImageTextToText" if "text_config" in config.sub_configs else "AutoModelForCausalLM"
    model = getattr(transformers, kind).from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and not any(part in name for part in ("A_log", "conv", "norm")):
                weight.mul_(3.0)
        spread = float(model(torch.arange(2, 2 + 32)[None]).logits.std())
        head = model.get_output_embeddings()
        if head is not None and spread < 0.4:  # Cohere's and others scale their logits down
            head.weight.mul_(min(0.4 / spread, 20.0))
    return model
