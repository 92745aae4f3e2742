"""The name that a checkpoint gets when its user gives none: of its folder, file, address or repository."""

import re
import unicodedata

from zoo.errors import ZooError
from zoo.records import validate_name


def default_name(text: str) -> str:
    """A valid name made of a folder's, a file's or a repository's. Raises ZooError where nothing of it is left.

    >>> default_name("Phi_1"), default_name("my model (ünï)"), default_name("SmolLM2-135M-Instruct.Q4_1")
    ('phi-1', 'my-model-uni', 'smollm2-135m-instruct.q4-1')
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9.]+", "-", plain).strip("-.")[:96]
    if not name:
        raise ZooError(f"no name can be made of {text[:100]!r}; give one: --name NAME")
    return validate_name(name)


def name_of_address(address: str) -> str:
    """The name made of the last part of an address. Raises ZooError as `default_name`.

    >>> name_of_address("s3://bucket/models/My_Model/"), name_of_address("https://host/phi.Q4_1.gguf")
    ('my-model', 'phi.q4-1')
    """
    return default_name(address.rstrip("/").rpartition("/")[2].removesuffix(".gguf"))
