"""Finds a checkpoint's chat template, in the places and the order in which transformers looks.

A file `chat_template.jinja`, with `additional_chat_templates/NAME.jinja` beside it; else `chat_template` of
tokenizer_config.json, one text or a list of named ones; a GGUF file's `tokenizer.chat_template`. Of several named ones
a conversation without tools gets `default`.

Source: transformers 5, tokenization_utils_base.py (`_from_pretrained`, `get_chat_template`).
"""

from pathlib import Path
from typing import Any, NamedTuple

from msgspec import UNSET, UnsetType

from zoo.admission.chat_template import ChatTemplate
from zoo.admission.gguf import gguf_file
from zoo.admission.gguf_header import read_gguf
from zoo.errors import ZooError
from zoo.jsonl import parse_json

FILE, FOLDER, SETTINGS, GGUF_KEY = (
    "chat_template.jinja", "additional_chat_templates", "tokenizer_config.json", "tokenizer.chat_template",
)  # fmt: skip


class FoundTemplate(NamedTuple):
    """A template's text and the file that it is from."""

    text: str
    source: str


def find_template(folder: Path) -> FoundTemplate | None:
    """The template of a checkpoint's folder; None for a base model.

    Raises  ZooError where there are several and none is the default
    """
    if file := gguf_file(folder):
        text = read_gguf(file).metadata.get(GGUF_KEY)
        return FoundTemplate(text, f"{file} ({GGUF_KEY})") if isinstance(text, str) and text else None
    named = {path.stem: path for path in sorted((folder / FOLDER).glob("*.jinja"))}
    if (folder / FILE).is_file():
        named["default"] = folder / FILE
    if named:
        path = named.get("default")
        if path is None:
            raise _no_default(folder / FOLDER, list(named))
        return FoundTemplate(path.read_bytes().decode("utf-8", "replace"), str(path))
    settings = folder / SETTINGS
    stated = _stated(settings) if settings.is_file() else None
    if isinstance(stated, list):
        texts = {str(each.get("name")): each.get("template") for each in stated if isinstance(each, dict)}
        if texts and "default" not in texts:
            raise _no_default(settings, list(texts))
        stated = texts.get("default")
    return FoundTemplate(stated, str(settings)) if isinstance(stated, str) and stated else None


def template_digest(folder: Path) -> str | UnsetType:
    """sha256 of the template of a checkpoint's folder, as its record has it; UNSET for a base model."""
    try:
        template = find_template(folder)
    except ZooError:  # several, and none is the default: it may enter, and cannot be asked by chat
        return UNSET
    return ChatTemplate(*template).digest if template else UNSET


def _stated(path: Path) -> Any:
    settings = parse_json(path.read_bytes())
    return settings.get("chat_template") if isinstance(settings, dict) else None


def _no_default(path: Path, names: list[str]) -> ZooError:
    return ZooError(
        f"{path} has the chat templates {', '.join(names)[:100]} and none named default; name one of them so"
    )
