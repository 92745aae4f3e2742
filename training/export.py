"""Writes a trained run as a Hugging Face folder that `AutoModelForCausalLM`, vLLM and lm_eval load.

Every value with a wrong class default is written out: bos and eos, `partial_rotary_factor` (at the top
level for vLLM and older transformers, and in `rope_parameters` for newer ones), the generation config. The
same training gives the same bytes: the folder holds nothing about speed or time.
"""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.state import save_tensors
from zoo.digest import write_json

if TYPE_CHECKING:
    import torch
    from transformers import PhiConfig

WEIGHTS, CURVES, RECIPE, ENVIRONMENT = (
    "model.safetensors", "training_curves.jsonl", "training_recipe.json", "training_environment.json",
)  # fmt: skip


def config_json(settings: "PhiConfig") -> dict[str, Any]:
    """The content of config.json, in the form of the published Phi checkpoints."""
    plain: dict[str, Any] = json.loads(settings.to_json_string(use_diff=False))
    rope = plain.get("rope_parameters") or {}
    is_phi3 = settings.model_type == "phi3"
    plain |= {
        "architectures": ["Phi3ForCausalLM" if is_phi3 else "PhiForCausalLM"],
        "partial_rotary_factor": rope.get("partial_rotary_factor", 1.0 if is_phi3 else 0.5),
        "rope_theta": rope.get("rope_theta", 10000.0),
        "dtype": "float32",
    }
    for left_out in ("_name_or_path", "id2label", "label2id"):
        plain.pop(left_out, None)
    return plain


def write_folder(
    folder: Path, settings: "PhiConfig", weights: "dict[str, torch.Tensor]", tokenizer: Path, curves: bytes,
    recipe: dict[str, Any], environment: dict[str, Any],
) -> None:  # fmt: skip
    """Writes the checkpoint folder, replacing an earlier one; `tokenizer` is a folder whose files are copied."""
    import transformers

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in sorted(tokenizer.iterdir()):
        if file.is_file():
            shutil.copyfile(file, folder / file.name)
    _bound_tokenizer(folder / "tokenizer_config.json", settings.max_position_embeddings)
    save_tensors(dict(sorted(weights.items())), folder / WEIGHTS, {"format": "pt"})
    write_json(folder / "config.json", config_json(settings))
    generation = {
        "_from_model_config": False, "bos_token_id": settings.bos_token_id, "eos_token_id": settings.eos_token_id,
        "pad_token_id": settings.eos_token_id, "transformers_version": transformers.__version__,
    }  # fmt: skip
    write_json(folder / "generation_config.json", generation)
    (folder / CURVES).write_bytes(curves)
    write_json(folder / RECIPE, recipe)
    write_json(folder / ENVIRONMENT, environment)


def _bound_tokenizer(file: Path, context_tokens: int) -> None:
    """Writes the model's context length into the tokenizer's settings, whose default is unlimited."""
    if file.is_file():
        settings = json.loads(file.read_text(encoding="utf-8"))
        write_json(file, settings | {"model_max_length": context_tokens})


def environment(device: str, processes: int) -> dict[str, Any]:
    """Everything besides the recipe that a run's numbers depend on: versions, device, threads."""
    import platform

    import safetensors
    import torch
    import transformers

    gpu = torch.cuda.get_device_name() if device.startswith("cuda") else None
    return {
        "python": platform.python_version(), "torch": str(torch.__version__), "transformers": transformers.__version__,
        "safetensors": safetensors.__version__, "machine": platform.machine(), "device": gpu or "cpu",
        "threads": torch.get_num_threads(), "processes": processes,
    }  # fmt: skip
