"""`--engine auto`: the fastest installed engine that holds the contract for a checkpoint, and the reason in one line.

The contract (tests/evals/engines/test_contract.py, test_families.py, test_llama_cpp.py) is the plain forward's
log-probabilities within 1e-3. vLLM holds it for a Phi and a Llama, and is the fastest on a GPU. llama.cpp holds it for
an F32 file alone: on a quantised one it rounds activations to 8 bits too. There it is chosen only where transformers
cannot compute the file's function. Speeds are in docs/benchmarks.md.
"""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evals.engines import gpus
from zoo.admission.gguf import gguf_file
from zoo.errors import ZooError
from zoo.families import Family, folder_family

AUTO = "auto"


def fastest_engine(folder: Path) -> tuple[str, str]:
    """(engine, why) for a checkpoint's folder on this machine. Imports nothing heavy unless the folder is a GGUF file.

    Raises  ZooError where the folder is no model, or its family is refused
    """
    try:
        family = folder_family(folder)
    except (OSError, ValueError) as error:
        raise ZooError(f"{folder} cannot be loaded as a model: {error}. Look: phizoo models verify") from None
    return pick_engine(family, gguf_file(folder))


def pick_engine(family: Family, file: Path | None) -> tuple[str, str]:
    """(engine, why) for a model of this family; file: its weights, where they are a GGUF file. Raises as above."""
    if file:
        return _engine_of_file(file)
    if gpus.count():
        if not _is_installed("vllm"):
            return "transformers", "this machine has a GPU, but vLLM is not installed (pip install 'phi-zoo[vllm]')"
        if family.name != "phi" and not family.gated:
            return "transformers", f"vLLM is not proven for the family {family.name}"
        return "vllm", "it is installed, and the fastest on a GPU"
    return "transformers", "the fastest on a CPU"


def usual_engine(family: Family, file: Path | None) -> tuple[str, str]:
    """(engine, why) as the model's own users run it: a GGUF file by llama.cpp where that is installed.

    `phizoo try` asks this way; `--engine auto` prefers the answers of the stored weights. Raises as above.
    """
    if file and _is_installed("llama-cpp-python"):
        return "llama_cpp", "it runs a GGUF file in its own quantisation, as the file's users do"
    return pick_engine(family, file)


def _engine_of_file(file: Path) -> tuple[str, str]:
    from evals.engines.gguf import check_readable

    has_llama_cpp = _is_installed("llama-cpp-python")
    if not has_llama_cpp and not _is_installed("transformers"):
        return "transformers", "it reads GGUF files with pip install 'phi-zoo[gguf]'"
    if has_llama_cpp and not _is_installed("gguf"):
        return "llama_cpp", "transformers reads GGUF files with pip install 'phi-zoo[gguf]'"
    try:
        check_readable(file)
    except ZooError:
        if not has_llama_cpp:
            raise
        return "llama_cpp", "transformers cannot compute the function of this GGUF file"
    return "transformers", "on a GGUF file it gives the stored weights' own answers; llama_cpp rounds activations"


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
