"""Checks configuration files: plain values of plausible size, and nothing that names code to run.

Flags such as trust_remote_code are no boundary (transformers CVE-2026-4372, vLLM CVE-2025-66448,
CVE-2026-22807, CVE-2026-27893 ran code with it off), so the files themselves must be harmless.
"""

import math
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.admission.chat_template import check_template
from zoo.admission.plain_file import open_plain
from zoo.errors import ZooError, nearest
from zoo.families import ACCEPTED, check_family
from zoo.jsonl import parse_json
from zoo.shape import read_shape

RULES = tomllib.loads(Path(__file__).with_name("rules.toml").read_text(encoding="utf-8"))
QUANTIZERS = RULES["quantizers"]
CODE_KEYS, PRIVATE_KEYS = frozenset(RULES["code_keys"]), frozenset(RULES["private_keys"])
SETTINGS, WORD_FILES, DIVERTING = RULES["settings"], RULES["word_files"], RULES["diverting"]
LIMITS: dict[str, int] = RULES["limits"]
SHARES: dict[str, tuple[float, float]] = RULES["shares"]
GENERATION: dict[str, tuple[float, float]] = RULES["generation"]
UNBOUNDED = frozenset(RULES["unbounded"])
# any other key that names a size, at any depth; some may be 0 or -1
SIZE_KEY = re.compile(
    r"(n|num|d)_\w+|\w*(size|dim|layers?|heads?|positions?|embeddings?|experts?|length|rank|inner|window|state|token_id)"
)
SIZE = 10_000_000
LEAST_SIZE = -100  # a layer may be counted from the end
ACTIVATIONS = ("hidden_act", "activation_function", "hidden_activation", "activation")
DTYPE = re.compile(r"(torch\.)?(auto|half|double|float|b?float\d{1,2}(_e\dm\d\w*)?|u?int\d{1,2})")
DTYPES = ("torch_dtype", "dtype")
NUMBER = 10**40  # tokenizers write 10^30 for "no limit"; longer ones are an attack
PARAMETERS = 10**13
DEPTH = 20
CLASS_KEYS = ("tokenizer_class", "processor_class", "image_processor_type")
CLASS_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object strictly. Raises ZooError with the file and the reason."""
    value = _read_any(path)
    if not isinstance(value, dict):
        raise ZooError(f"{path}: is not a JSON object.")
    return value


def _read_any(path: Path) -> Any:
    with open_plain(path) as file:
        try:
            # Python's json writes Infinity, and configurations of state-space models have it (`UNBOUNDED`)
            return parse_json(file.read(), nonfinite=path.name == "config.json")
        except ValueError as error:
            raise ZooError(f"{path}: is not plain JSON: {error}.") from None


def check_json(path: Path) -> None:
    """Checks any JSON file beside the weights. Raises ZooError with file, key and reason.

    Files that loaders read as settings may contain no private key; other files only no key that names code.
    """
    if reason := DIVERTING.get(path.name):
        raise ZooError(f"{path}: {reason}.")
    content = read_json(path) if path.name in SETTINGS else _read_any(path)
    if path.name in WORD_FILES or path.name.endswith(".index.json"):
        return
    for key, value in _entries(content, path):
        if path.name in SETTINGS:
            _check_entry(path, key, value)
        else:
            _check_code(path, key, value)
        if path.name == "generation_config.json":
            _check_generation(path, key, value)
        if key == "chat_template":
            for template in value if isinstance(value, list) else [value]:
                check_template(template.get("template") if isinstance(template, dict) else template, str(path))


def check_settings(path: Path) -> dict[str, Any]:
    """Reads a configuration file, if none of its values names code. Raises ZooError with file, key and reason."""
    settings = read_json(path)
    for key, value in _entries(settings, path):
        _check_entry(path, key, value)
    return settings


def _entries(content: Any, path: Path, depth: int = 0, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth; the values of a list have the key of the list."""
    if depth > DEPTH:
        raise ZooError(f"{path}: is nested more than {DEPTH} deep; a configuration is not.")
    if isinstance(content, dict):
        for key, value in content.items():
            yield key, value
            yield from _entries(value, path, depth + 1, key)
    elif isinstance(content, list):
        for value in content:
            yield key, value
            yield from _entries(value, path, depth + 1, key)


def _check_code(path: Path, key: str, value: Any) -> None:
    if key in CODE_KEYS and value:
        raise ZooError(
            f"{path}: names code to run ({key}); remove the key, or import only weights and tokenizer: "
            "phizoo models add FOLDER --name NAME --drop-code"
        )


def _check_entry(path: Path, key: str, value: Any) -> None:
    _check_code(path, key, value)
    if key.startswith("_") and key not in PRIVATE_KEYS:
        raise ZooError(f"{path}: has the private key {key[:80]!r}, which some version may act on; remove it.")
    names_engine = key.endswith("_implementation") or "_implementation_" in key
    if names_engine and not isinstance(value, (bool, type(None))) and not CLASS_NAME.fullmatch(str(value)):
        raise ZooError(f"{path}: {key} is {str(value)[:80]!r}, which could be fetched and run; expected e.g. sdpa.")
    if key == "quantization_config" and value is not None:
        _check_quantization(path, value)
    if key in CLASS_KEYS and value is not None and not CLASS_NAME.fullmatch(str(value)):
        raise ZooError(f"{path}: {key} is {str(value)[:80]!r}, not the name of a class.")
    if isinstance(value, bool):
        return
    if isinstance(value, int) and not -NUMBER < value < NUMBER:
        raise ZooError(f"{path}: {key} is a number of {len(str(value))} digits; expected at most 40.")
    if isinstance(value, float) and not math.isfinite(value) and (key not in UNBOUNDED or math.isnan(value)):
        raise ZooError(f"{path}: {key} is not finite.")


def _check_quantization(path: Path, settings: Any) -> None:
    method = settings.get("quant_method") if isinstance(settings, dict) else settings
    if method not in QUANTIZERS or not isinstance(settings, dict):
        raise ZooError(
            f"{path}: quantization_config has the method {str(method)[:40]!r}; known: {', '.join(QUANTIZERS)}."
        )
    for key, value in _entries(settings, path):
        if isinstance(value, str) and ("/" in value or value.endswith(".py")):
            raise ZooError(f"{path}: quantization_config.{key} is a path ({value[:80]!r}); remove it.")


def check_config(path: Path) -> dict[str, Any]:
    """Reads config.json, if its model type is known and its size is plausible."""
    config = check_settings(path)
    kind = config.get("model_type")
    if kind not in ACCEPTED:
        check_family(str(kind), path)  # one that is refused says why
        close = nearest(str(kind), ACCEPTED)
        raise ZooError(f"{path}: model_type {str(kind)[:40]!r} is not supported{close}. All: phizoo doctor --families")
    check_values(path, config)
    names = config.get("architectures")
    if names is not None and not (isinstance(names, list) and all(CLASS_NAME.fullmatch(str(name)) for name in names)):
        raise ZooError(f"{path}: architectures is {str(names)[:80]!r}, not a list of class names.")
    return config


def check_values(path: Path, config: dict[str, Any]) -> None:
    """Checks every value of a config by the meaning of its key, and that the sizes together are plausible."""
    for key, value in _entries(config, path):
        _check_value(path, key, value)
    _check_size(path, config)


def _check_value(path: Path, key: str, value: Any) -> None:
    """Checks one value of config.json by the meaning of its key, at any depth."""
    if value is None or isinstance(value, list):  # a list's values come one by one
        return
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if key in LIMITS:
        if type(value) is not int or not 1 <= value <= LIMITS[key]:
            raise ZooError(f"{path}: {key} is {value!r:.40}, expected a whole number of 1 to {LIMITS[key]:,}.")
    elif key in SHARES:
        low, high = SHARES[key]
        if not is_number or not low <= value <= high:
            raise ZooError(f"{path}: {key} is {value!r:.40}, expected {low:g} to {high:g}.")
    elif is_number and SIZE_KEY.fullmatch(key) and not LEAST_SIZE <= value <= SIZE:
        raise ZooError(f"{path}: {key} is {value!r:.40}, expected at most {SIZE:,}.")
    elif key == "rope_type" and not CLASS_NAME.fullmatch(str(value)):
        raise ZooError(f"{path}: {key} is {str(value)[:80]!r}, not the name of a rope.")
    elif key in ACTIVATIONS and not CLASS_NAME.fullmatch(str(value)):
        raise ZooError(f"{path}: {key} is {str(value)[:80]!r}, not the name of an activation.")
    elif key in DTYPES and not DTYPE.fullmatch(str(value)):
        raise ZooError(f"{path}: {key} is {str(value)[:80]!r}, not the name of a number type.")


def _check_generation(path: Path, key: str, value: Any) -> None:
    """Checks one value of generation_config.json: a number in its range, a token's id."""
    if value is None or isinstance(value, list):
        return
    if key in GENERATION:
        low, high = GENERATION[key]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            raise ZooError(f"{path}: {key} is {value!r:.40}, expected {low:g} to {high:g}.")
    elif key.endswith("_token_id") and (type(value) is not int or not -1 <= value <= SIZE):
        raise ZooError(f"{path}: {key} is {value!r:.40}, which is no token.")


def _check_size(path: Path, config: dict[str, Any]) -> None:
    """Refuses sizes that are plausible one by one and absurd together."""
    shape = read_shape(config)
    width, layers = shape.width or 1, shape.layers or 1
    inner = shape.inner or 4 * width
    size = layers * (4 * width * width + 2 * width * inner) + 2 * width * (shape.vocabulary or 1)
    if size > PARAMETERS:
        raise ZooError(f"{path}: describes a model of {size:.1e} parameters; expected at most {PARAMETERS:.0e}.")
