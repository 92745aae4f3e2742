"""Writes a GGUF checkpoint as a folder of full weights, for tools that read no GGUF: the harness, vLLM, PEFT.

The numbers are those that `--engine transformers` computes with. transformers itself refuses to save a model that it
read from a GGUF, since it would have to write GGUF blocks; so the numbers go into a plain model of the same
configuration first, strictly: a missing, additional or packed tensor is an error.
"""

from pathlib import Path
from typing import Any

from evals.engines.gguf import gguf_ends, gguf_tokenizer
from evals.engines.local.load import load_model
from zoo.admission.gguf import gguf_file
from zoo.errors import ZooError

# keys of the configuration that are about the GGUF or about where it came from
LEFT_OUT = ("quantization_config", "_name_or_path", "_model_name_or_path", "transformers_version")


def write_dequantised(folder: Path, target: Path, dtype: str = "float32") -> None:
    """Writes config.json, model.safetensors, generation_config.json and the tokenizer of a GGUF's folder.

    target  an existing, empty folder
    dtype   "float32" (the numbers as they are), "bfloat16" or "float16" (rounded)
    Raises  ZooError when the folder has no GGUF, or transformers would not compute its function
    """
    import torch
    import transformers

    file = gguf_file(folder)
    if file is None:
        raise ZooError(f"{folder} has no GGUF file, so there is nothing to dequantise")
    read = load_model(folder)
    settings = {key: value for key, value in read.config.to_dict().items() if key not in LEFT_OUT}
    config = type(read.config).from_dict(settings)
    classes: Any = transformers
    with torch.device("meta"):
        plain = classes.AutoModelForCausalLM.from_config(config)
    weights = {name: tensor.to(getattr(torch, dtype)) for name, tensor in read.state_dict().items()}
    plain.load_state_dict(weights, strict=True, assign=True)
    plain.tie_weights()
    plain.config.dtype = dtype
    tokenizer = gguf_tokenizer(file)
    ends = sorted(gguf_ends(file))
    plain.generation_config = classes.GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=ends or tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    plain.save_pretrained(target)
    tokenizer.save_pretrained(target)
