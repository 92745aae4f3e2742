"""Loads a checkpoint's folder through transformers, and checks that a Phi will not be silently wrong.

Every model that is run here comes through `load_model`. Nothing of a folder is executed (`trust_remote_code` is
off) and nothing is fetched. `load` also checks what would change answers without an error: fp16 with eager
attention, token ids beyond the tokenizer, a wrong end of text, the missing partial rotary factor.
"""

from contextlib import nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

from evals.engines import gpus
from evals.engines.gguf import check_loaded, check_readable, quick_reading
from evals.engines.tokens import Tokens, folder_tokens, listed_ids
from zoo.admission.complete import fault_of, stray_names
from zoo.admission.gguf import gguf_file
from zoo.errors import ZooError, nearest
from zoo.shape import folder_shape

DTYPES = ("float32", "bfloat16", "float16")
CONTEXT_TOKENS = 2048  # where a config states none: the context of every Phi
# while it loads, transformers replaces functions of its own classes (`no_tie_weights`): of two loads at a time, one
# puts the other's replacement back, and from then on no model of this process has its tied head
LOADING = Lock()


def resolve(path: Path, dtype: str, device: str) -> tuple[str, str, int]:
    """(dtype, device, context tokens) with "auto" resolved, from the folder's config. Imports nothing heavy.

    Raises  ZooError when the folder has no config.json, for an unknown dtype, for a folder of phi-2's shape
            without its rotary factor, and where fp16 gives NaN
    """
    if device == "auto":
        device = "cuda" if gpus.count() else "cpu"
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    if dtype not in DTYPES:
        raise ZooError(f'no dtype "{dtype}"{nearest(dtype, DTYPES)}; one of auto, {", ".join(DTYPES)}')
    if dtype == "float16" and device == "cpu":
        raise ZooError("float16 on a CPU gives NaN for phi-2's attention; take --dtype float32 or bfloat16")
    try:
        shape = folder_shape(path)
    except (OSError, ValueError) as error:
        raise ZooError(f"{path} cannot be loaded as a model: {error}. Look: phizoo models verify") from None
    if shape.lacks_phi_2_rotary:
        # transformers' default rotates 40 of each head's 80 numbers, without a warning (docs/phi.md)
        raise ZooError(
            f"{path} has Phi-2's heads of 80 with partial_rotary_factor {shape.rotary_factor or 'missing (0.5)'}, "
            "expected 0.4: its rotary positions would be wrong; write 0.4 into config.json"
        )
    return dtype, device, shape.context_tokens or CONTEXT_TOKENS


def load_model(folder: Path | str, kind: str = "AutoModelForCausalLM", dtype: str = "float32", **options: Any) -> Any:
    """The model in a folder, on the CPU and in evaluation mode.

    kind     transformers' class: AutoModelForCausalLM, or AutoModel for the states without a head
    Raises   ZooError when the folder holds no model of this kind, or its files lack a tensor of it: a loader fills
             that at random
    """
    import torch
    import transformers

    logs: Any = transformers.logging
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    options |= {"dtype": getattr(torch, dtype), "local_files_only": True, "use_safetensors": True}
    file = gguf_file(Path(folder))
    if file:
        check_readable(file)
        options["gguf_file"] = file.name
    where: dict[str, Any] = {"gguf_file": file.name} if file else {"local_files_only": True}
    try:
        with LOADING, quick_reading() if file else nullcontext():
            config: Any = transformers.AutoConfig.from_pretrained(folder, **where)
            # the one that the weights were saved with says nothing about this machine
            config._attn_implementation = options.pop("attn_implementation", None)
            options |= {"config": config, "output_loading_info": True, "ignore_mismatched_sizes": True}
            model, info = getattr(transformers, kind).from_pretrained(folder, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        line = str(error).strip().splitlines()[0]
        noun = "causal language model" if kind == "AutoModelForCausalLM" else "model"
        raise ZooError(f"{folder} cannot be loaded as a {noun}: {line}. Look: phizoo models verify") from None
    except ImportError as error:
        extra = "gguf" if file else "eval"
        raise ZooError(f"{folder} needs a package more: pip install 'phi-zoo[{extra}]' ({error})") from None
    _refuse_incomplete(folder, model, info, kind)
    if file:
        check_loaded(file, model)
    return model.eval()


def _refuse_incomplete(folder: Path | str, model: Any, info: dict[str, Any], kind: str) -> None:
    """Raises ZooError where the files and the model differ in a tensor. An encoder may lack the head it is not for."""
    whole = kind == "AutoModelForCausalLM"
    missing = sorted(name for name in info["missing_keys"] if whole or "pooler" not in name)
    stray = stray_names(model, info["unexpected_keys"]) if whole and not hasattr(model, "hf_quantizer") else []
    if fault := fault_of(missing, stray, sorted(info["mismatched_keys"])):
        raise ZooError(f"{folder} cannot be loaded: {fault}. Look: phizoo models verify")


def load(path: Path, dtype: str, device: str) -> tuple[Any, Tokens]:
    """The model on its device and its tokenizer, checked to belong together.

    Raises  ZooError when the folder holds no causal model, or the GPU asked for is not usable
    """
    import torch

    if device != "cpu" and not torch.cuda.is_available():
        raise ZooError(f"this torch ({torch.__version__}) sees no GPU; take --device cpu, or see: phizoo doctor")
    try:
        tokens = folder_tokens(path)
    except (OSError, ValueError, KeyError) as error:
        line = str(error).strip().splitlines()[0]
        raise ZooError(f"the tokenizer of {path} cannot be loaded: {line}. Look: phizoo models verify") from None
    model = load_model(path, dtype=dtype)  # with the attention that transformers takes for the family
    _check(model.config, tokens, path)
    return model.to(device), tokens


def _check(config: Any, tokens: Tokens, path: Path) -> None:
    """Refuses more tokens than embedding rows, and an end-of-text id that is not the tokenizer's."""
    rows = config.get_text_config(decoder=True).vocab_size
    if tokens.size > rows:
        raise ZooError(
            f"{path}: the tokenizer has {tokens.size} tokens, the model {rows} rows; "
            "they do not belong together, export both again"
        )
    # PhiConfig's own defaults are 1 and 2: a quotation mark and "#" in Phi's vocabulary
    for name in ("bos_token_id", "eos_token_id") if config.model_type == "phi" else ():
        for stated in listed_ids(getattr(config, name, None)):
            if stated != tokens.eos and tokens.spelling.of(stated):
                raise ZooError(
                    f"{path}/config.json has {name} {stated}, expected {tokens.eos} (the tokenizer's end of text): "
                    f"write {name} {tokens.eos} into config.json, or texts would not end"
                )
    if not any(end < rows for end in tokens.ends):
        raise ZooError(
            f"{path}: no end of text that the model has is named; write eos_token into tokenizer_config.json"
        )
