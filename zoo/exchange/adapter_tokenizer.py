"""The tokenizer of a LoRA adapter, where it comes with one: the merged model's, if it numbers its base's tokens alike.

Trainers save it beside the adapter, often with the chat template of the fine-tuning, which the base may not have.
"""

import shutil
from pathlib import Path
from typing import Any

from zoo.admission import gate
from zoo.admission.config import read_json
from zoo.admission.plain_file import open_inside
from zoo.errors import ZooError
from zoo.store.store import copy_hashed

VOCABULARY = "tokenizer.json"
FILES = (
    VOCABULARY, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
    "vocab.json", "vocab.txt", "merges.txt", "tokenizer.model",
)  # fmt: skip


def has_tokenizer(folder: Path) -> bool:
    """Whether an adapter's folder has a tokenizer of its own."""
    return (folder / VOCABULARY).is_file()


def check_tokenizer(folder: Path, base: Path, rows: int, label: str) -> None:
    """Checks an adapter's tokenizer against its base. Raises ZooError where they number tokens differently.

    base  the folder of the base's files; rows: of its embedding, 0 if unknown; label: its name
    """
    for name in FILES:
        if (folder / name).exists():
            gate.check_content(folder, name)
            gate.check_links(folder / name, (folder / name).lstat().st_nlink)
    theirs, path = read_vocabulary(folder / VOCABULARY), folder / VOCABULARY
    ours = read_vocabulary(base / VOCABULARY) if (base / VOCABULARY).is_file() else {}
    for token, number in ours.items():
        if theirs.get(token) != number:
            raise ZooError(
                f"{path}: gives the token {token[:40]!r} the number {theirs.get(token)}, in {label} it is {number}; is "
                f"{label} its base?"
            )
    highest = max(theirs.values(), default=0)
    if rows and highest >= rows:
        raise ZooError(
            f"{path}: has the token {highest}, and {label} has {rows} rows: the adapter was trained with more tokens; "
            "merge it with peft (merge_and_unload), and add that folder"
        )


def read_vocabulary(path: Path) -> dict[str, int]:
    """The numbers of a tokenizer.json's tokens. Raises ZooError where it states none."""
    content = read_json(path)
    model: Any = content.get("model")
    listed = model.get("vocab") if isinstance(model, dict) else None
    added = content.get("added_tokens") or []
    if not isinstance(listed, dict | list) or not isinstance(added, list):
        raise ZooError(f"{path}: has no vocabulary (model.vocab).")
    if isinstance(listed, dict):
        pairs = list(listed.items())
    else:  # Unigram: pairs of a token and its score
        pairs = [(entry[0], number) for number, entry in enumerate(listed) if isinstance(entry, list) and entry]
    pairs += [(token.get("content"), token.get("id")) for token in added if isinstance(token, dict)]
    if not all(isinstance(token, str) and type(number) is int for token, number in pairs):
        raise ZooError(f"{path}: its vocabulary is not of words and their numbers.")
    return dict(pairs)


def copy_tokenizer(folder: Path, target: Path) -> None:
    """Replaces the tokenizer's files in `target` by an adapter's own, all of them."""
    for name in FILES:
        (target / name).unlink(missing_ok=True)
        if (folder / name).exists():
            copy_hashed(open_inside(folder, name), target / name)
    shutil.rmtree(target / "additional_chat_templates", ignore_errors=True)
