"""Checks that a checkpoint's files hold every tensor of the model that its config.json describes, and no other.

A loader fills a missing tensor at random, without an error. transformers itself says which tensors a family has, how
they are called in files and which of them are tied; it lays the model out here without memory for its weights, in a
child process with limits. The child gets config.json's values and the tensors' names and shapes from the headers,
never the folder. Phi is checked without it (`zoo.admission.tensors` knows every tensor). Quantised weights have names
of their own, and without transformers there is nothing to ask: then loading is the first to know.
"""

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from zoo.admission.safetensors_header import Header
from zoo.admission.tensors import BUFFER, LAYER
from zoo.errors import ZooError
from zoo.progress import progress
from zoo.safe_path import isolated

SECONDS = 120
MEMORY_BYTES = 16 << 30  # of addresses, of which torch's libraries take half

CHILD = f"""
import gc, resource, tempfile
gc.disable()  # it would look at all objects again and again while 3,000 modules are imported: a seventh of the time
tempfile.tempdir = "/"  # some libraries ask for it at import, and nothing can be written here
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_BYTES}, {MEMORY_BYTES}))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
import json, sys
from zoo.admission.complete import lay_out
print(json.dumps(lay_out(json.load(sys.stdin))))
"""


def lay_out(question: dict[str, Any]) -> dict[str, Any]:
    """What differs between tensors and the model of a config, as transformers would load them: runs in the child.

    question  {"config": config.json's values, "tensors": name -> shape}
    Returns   "missing", "stray", "shapes" as `fault_of` takes them; "broken" where tensors cannot be brought into the
              model's form; "unknown" where there is nothing to ask
    """
    try:
        import torch
        import transformers
        from torch._subclasses.fake_tensor import FakeTensorMode
        from transformers.initialization import no_init_weights
        from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING
    except ImportError:
        return {"unknown": "it needs transformers (pip install 'phi-zoo[eval]')"}
    logs: Any = transformers.logging
    logs.set_verbosity(100)
    logs.disable_progress_bar()
    values = _with_infinity(question["config"])
    if values["model_type"] not in transformers.CONFIG_MAPPING:
        return {"unknown": f"transformers {transformers.__version__} does not know {values['model_type']}"}
    config = transformers.CONFIG_MAPPING[values["model_type"]].from_dict(values)
    kind: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    with FakeTensorMode(allow_non_fake_inputs=True), no_init_weights():
        tensors = {name: torch.empty(shape) for name, shape in question["tensors"].items()}
        try:
            model, info = kind.from_pretrained(
                None, config=config, state_dict=tensors, output_loading_info=True, ignore_mismatched_sizes=True,
                attn_implementation="eager",
            )  # fmt: skip
        except RuntimeError as error:
            if "conversion" not in str(error):
                raise
            return {"broken": True}
    return {
        "missing": sorted(info["missing_keys"]), "stray": stray_names(model, info["unexpected_keys"]),
        "shapes": sorted([name, list(stored), list(wanted)] for name, stored, wanted in info["mismatched_keys"]),
    }  # fmt: skip


def _with_infinity(value: Any) -> Any:
    """A config's values with {"__float__": "Infinity"}, as transformers writes it, as a number."""
    if isinstance(value, dict):
        if set(value) == {"__float__"}:
            return float(value["__float__"])
        return {key: _with_infinity(part) for key, part in value.items()}
    return [_with_infinity(part) for part in value] if isinstance(value, list) else value


def stray_names(model: Any, unexpected: set[str]) -> list[str]:
    """The tensors of files that belong to a part of the model and that it does not have, by name.

    A bias or a layer that config.json leaves out changes the answers; a vision tower, a value head or a buffer of an
    older version beside the language model does not.
    """
    modules = {name for name, _ in model.named_modules()}
    config = model.config.get_text_config(decoder=True)
    layers = getattr(config, "num_hidden_layers", 0) if getattr(config, "num_nextn_predict_layers", 0) else None
    stray = []
    for name in sorted(unexpected):
        part = name.rpartition(".")[0]
        while part not in modules:
            part = part.rpartition(".")[0]
        layer = LAYER.search(f".{name}")
        guesses_ahead = layers is not None and layer is not None and int(layer[1]) >= layers
        if part not in ("", model.base_model_prefix) and not BUFFER.fullmatch(name) and not guesses_ahead:
            stray.append(name)
    return stray


def fault_of(missing: list[str], stray: list[str], shapes: list[Any]) -> str:
    """The first fault of the tensors of a checkpoint's files; "" where they are the model's.

    >>> fault_of(["lm_head.weight"], [], [])
    'its files lack the tensor lm_head.weight (1 in all), and a loader would fill it at random'
    """
    if missing:
        return f"its files lack the tensor {missing[0]} ({len(missing)} in all), and a loader would fill it at random"
    if shapes:
        name, stored, wanted = shapes[0]
        return f"tensor {name} has shape {list(stored)}, config.json describes {list(wanted)} ({len(shapes)} in all)"
    if stray:
        return f"tensor {stray[0]} is not part of the model that config.json describes ({len(stray)} in all)"
    return ""


def check_complete(source: Path | str, config: dict[str, Any], headers: dict[str, Header]) -> str:
    """Checks a folder's tensors against its family's. Raises ZooError with the first that is missing or not its own.

    source   the folder's name, for the error
    Returns  a line that says why there was no check; "" where there was one
    """
    in_gguf = any(path.endswith(".gguf") for path in headers)  # with names of its own: checked when it is loaded
    if config["model_type"] == "phi" or config.get("quantization_config") is not None or in_gguf:
        return ""
    shapes = {tensor.name: tensor.shape for header in headers.values() for tensor in header.tensors}
    # on a terminal alone: it takes some seconds, and in a log a refusal is one line
    waiting = progress("transformers lays out the tensors", None, "tensors") if sys.stderr.isatty() else nullcontext()
    with waiting as bar:
        answer = _ask(json.dumps({"config": config, "tensors": shapes}), source)
        if bar:
            bar.advance(len(shapes))
    if "unknown" in answer:
        return f"Not checked for missing tensors before loading: {answer['unknown']}."
    if answer.get("broken"):
        fault = "its tensors do not fit together into the model that config.json describes (some are missing)"
    else:
        fault = fault_of(answer.get("missing", []), answer.get("stray", []), answer.get("shapes", []))
    if fault:
        raise ZooError(f"{source}: {fault}; export the model again (save_pretrained), and add that folder.")
    return ""


def _ask(question: str, source: Path | str) -> dict[str, Any]:
    """The child's answer; "unknown" with the reason if the model could not be laid out."""
    env = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_DEACTIVATE_ASYNC_LOAD": "1"}
    try:
        done = subprocess.run(
            isolated(CHILD), input=question.encode(), capture_output=True, timeout=2 * SECONDS, check=False, env=env,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ZooError(f"{source}: config.json describes a model that takes minutes to lay out; is it right?") from None
    lines = done.stdout.decode(errors="replace").splitlines()
    if done.returncode < 0:
        raise ZooError(f"{source}: config.json describes a model that takes too much to lay out; is it right?")
    if done.returncode or not lines:
        errors = done.stderr.decode(errors="replace").strip().splitlines()
        return {"unknown": f"transformers cannot lay the model out ({errors[-1][:120] if errors else 'no answer'})"}
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer
