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
from pathlib import Path
from typing import Any

from zoo.admission.safetensors_header import Header
from zoo.admission.tensors import BUFFER
from zoo.errors import ZooError

SECONDS = 120
MEMORY_BYTES = 16 << 30  # of addresses, of which torch's libraries take half

LAY_OUT = f"""
import resource
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_BYTES}, {MEMORY_BYTES}))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
import json, sys
# transformers writes infinity as {{"__float__": "Infinity"}}
asked = json.load(sys.stdin, object_hook=lambda part: float(part["__float__"]) if "__float__" in part else part)
try:
    import torch, transformers
    from torch._subclasses.fake_tensor import FakeTensorMode
    from transformers.initialization import no_init_weights
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING
except ImportError:
    sys.exit(0)
from zoo.admission.complete import stray_names
transformers.logging.set_verbosity(60)
transformers.logging.disable_progress_bar()
config = CONFIG_MAPPING[asked["config"]["model_type"]].from_dict(asked["config"])
kind = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
with FakeTensorMode(allow_non_fake_inputs=True), no_init_weights():
    tensors = {{name: torch.empty(shape) for name, shape in asked["tensors"].items()}}
    try:
        model, info = kind.from_pretrained(
            None, config=config, state_dict=tensors, output_loading_info=True, ignore_mismatched_sizes=True,
            attn_implementation="eager",
        )
    except RuntimeError as error:
        if "conversion" not in str(error):
            raise
        print(json.dumps({{"broken": True}}))
        sys.exit(0)
print(json.dumps({{
    "missing": sorted(info["missing_keys"]), "stray": stray_names(model, info["unexpected_keys"]),
    "shapes": sorted([name, list(stored), list(wanted)] for name, stored, wanted in info["mismatched_keys"]),
}}))
"""


def stray_names(model: Any, unexpected: set[str]) -> list[str]:
    """The tensors of files that belong to a part of the model and that it does not have, by name.

    A bias or a layer that config.json leaves out changes the answers; a vision tower, a value head or a buffer of an
    older version beside the language model does not.
    """
    modules = {name for name, _ in model.named_modules()}
    stray = []
    for name in sorted(unexpected):
        part = name.rpartition(".")[0]
        while part not in modules:
            part = part.rpartition(".")[0]
        if part not in ("", model.base_model_prefix) and not BUFFER.fullmatch(name):
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


def check_complete(source: Path | str, config: dict[str, Any], headers: dict[str, Header]) -> None:
    """Checks a folder's tensors against its family's. Raises ZooError with the first that is missing or not its own.

    source  the folder's name, for the error
    """
    if config["model_type"] == "phi" or config.get("quantization_config") is not None:
        return
    shapes = {tensor.name: tensor.shape for header in headers.values() for tensor in header.tensors}
    answer = _ask(json.dumps({"config": config, "tensors": shapes}), source)
    if answer.get("broken"):
        fault = "its tensors do not fit together into the model that config.json describes (some are missing)"
    else:
        fault = fault_of(answer.get("missing", []), answer.get("stray", []), answer.get("shapes", []))
    if fault:
        raise ZooError(f"{source}: {fault}; export the model again (save_pretrained), and add that folder.")


def _ask(question: str, source: Path | str) -> dict[str, Any]:
    """The child's answer; {} if this transformers cannot lay the family out."""
    code = f"import sys; sys.path[:0] = {[str(Path(__file__).parents[2])]!r}\n{LAY_OUT}"
    env = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_DEACTIVATE_ASYNC_LOAD": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", code], input=question.encode(), capture_output=True, timeout=2 * SECONDS,
            check=False, env=env,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ZooError(f"{source}: config.json describes a model that takes minutes to lay out; is it right?") from None
    lines = done.stdout.decode(errors="replace").splitlines()
    if done.returncode < 0:
        raise ZooError(f"{source}: config.json describes a model that takes too much to lay out; is it right?")
    answer: dict[str, Any] = json.loads(lines[-1]) if not done.returncode and lines else {}
    return answer
