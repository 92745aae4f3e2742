"""A model that is looked at before it is run: a folder, a GGUF file, a checkpoint of the zoo or a published Phi.

The files are read as they would be to enter the zoo; nothing of them is loaded, run or fetched. What the hub's cache
has is copied aside first, since its links are followed only there.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from evals.checks.estimate import PlannedModel, find_model
from zoo.admission import gate
from zoo.admission.gguf import gguf_file, inspect_gguf
from zoo.admission.template_files import find_template
from zoo.errors import ZooError
from zoo.exchange.hub_cache import CachedSnapshot, find_cached, read_cached, snapshot_of
from zoo.exchange.sources import resolve_source, unknown_source
from zoo.exchange.wheel import SCHEME
from zoo.families import Family, check_family
from zoo.published.phi_variants import VARIANTS
from zoo.records import Record, has_tokenizer
from zoo.shape import read_shape

if TYPE_CHECKING:
    from evals.task import Task
    from zoo.records import Checkpoint

NO_TOKENIZER = "it has no tokenizer (tokenizer.json, a *.model, or vocab.json with merges.txt)"
# words that say a model was trained to answer; a template alone does not: Qwen's base models have one
CHAT_WORDS = re.compile(
    r"(?<![a-z])(?:instruct|chat|assistant|dpo|sft|rlhf|orpo|zephyr|tulu|hermes|(?<=[-_])it)(?![a-z])", re.IGNORECASE
)


class Candidate(Record, frozen=True, kw_only=True):
    """What a model's files say of it.

    file       its weights, where they are a GGUF file
    has_template  None: not known before its files are fetched
    names      texts that may say that it is a chat model: its name, its source, the name in its file
    fault      why no text of it can be evaluated, though it may enter the zoo; empty: nothing seen
    """

    planned: PlannedModel
    file: Path | None = None
    file_bytes: int = 0
    quantisation: str = ""
    has_template: bool | None = None
    names: tuple[str, ...] = ()
    fault: str = ""

    def family(self) -> Family:
        """Its family. Raises ZooError where it is refused, with the reason."""
        return check_family(self.planned.shape.family, self.planned.label)


class AskedForm(Record, frozen=True):
    """Whether a model is asked by chat, and why."""

    by_chat: bool
    reason: str


def find_candidate(source: str) -> Candidate:
    """The candidate of a path on this machine, else of a name. Raises ZooError for an unknown or refused one."""
    source, _ = resolve_source(source)
    path = Path(source).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        return _read_file(path, path.name)
    if snapshot := snapshot_of(path.absolute()):
        return _read_snapshot(snapshot)
    if path.is_dir():
        return _read_folder(path, path.resolve().name)
    if "://" in source or source.startswith(SCHEME):
        raise _not_here(source)
    if source.startswith(("/", ".", "~")) or path.suffix == ".gguf":
        raise ZooError(f"{source}: no such folder or file; expected a folder with safetensors, or a GGUF file.")
    return _find_named(source)


def _not_here(source: str) -> ZooError:
    return ZooError(f"{source} is not on this machine; what would be fetched: phizoo try {source} --dry-run")


def _read_file(path: Path, label: str) -> Candidate:
    model = inspect_gguf(path)
    planned = PlannedModel(label=label, parameters=model.parameters, shape=read_shape(model.config), here=True)
    stated = [str(model.header.metadata.get(f"general.{key}", "")) for key in ("name", "basename", "finetune")]
    has_template = isinstance(model.header.metadata.get("tokenizer.chat_template"), str)
    return Candidate(
        planned=planned, file=path, file_bytes=path.stat().st_size, quantisation=model.quantisation,
        has_template=has_template, names=(label, *filter(None, stated)),
    )  # fmt: skip


def _read_folder(path: Path, label: str) -> Candidate:
    if file := gguf_file(path):
        return _read_file(file, label)
    inspected = gate.inspect_folder(path, linked=True, beside=gate.BESIDE)
    planned = PlannedModel(label=label, parameters=inspected.parameters, shape=read_shape(inspected.config), here=True)
    size = sum((path / name).stat().st_size for name in inspected.headers)
    return Candidate(
        planned=planned, file_bytes=size, quantisation=inspected.quantisation,
        has_template=find_template(path) is not None, names=(label, str(inspected.config.get("_name_or_path", ""))),
        fault=NO_TOKENIZER if not has_tokenizer(inspected.paths) else next(iter(inspected.warnings), ""),
    )  # fmt: skip


def _read_snapshot(snapshot: CachedSnapshot) -> Candidate:
    with TemporaryDirectory(prefix="phizoo-snapshot-") as place:
        read_cached(snapshot, Path(place))
        return _read_folder(Path(place), snapshot.repository)


def _find_named(source: str) -> Candidate:
    from zoo.registry import open_registry

    names: list[str] = []
    try:
        with open_registry(readonly=True) as registry:
            try:
                return of_checkpoint(registry.get(source), registry)
            except ZooError:
                names = [checkpoint.name for checkpoint in registry.list()]
                raise
    except ZooError:
        if "/" in source and (cached := find_cached(source, None)):
            return _read_snapshot(cached)
        if "/" in source and source not in {variant.repository for variant in VARIANTS.values()}:
            raise _not_here(source) from None
        if source not in VARIANTS and "/" not in source:
            raise unknown_source(source, names) from None
        return Candidate(planned=find_model(source), names=(source,))  # a published Phi


def of_checkpoint(checkpoint: "Checkpoint", registry: Any, source: str = "") -> Candidate:
    """The candidate of a checkpoint of the zoo. source: where it was just added from, whose name may say chat."""
    from zoo.store.disk import DiskStore

    planned = PlannedModel(
        label=checkpoint.label, parameters=checkpoint.parameters, shape=read_shape(checkpoint.architecture), here=True
    )
    here = isinstance(registry.store, DiskStore)
    folder = registry.path(checkpoint) if here else None
    stated = _read_folder(folder, checkpoint.label).names if folder and gguf_file(folder) else ()
    template = bool(checkpoint.chat_template) or (find_template(folder) is not None if folder else None)
    style = "chat" if checkpoint.prompt_style == "chat" else ""
    named = (source, checkpoint.name, checkpoint.source, style)
    files = [file.path for file in checkpoint.files if file.path.endswith(".gguf")]  # they keep their maker's name
    return Candidate(
        planned=planned, file=gguf_file(folder) if folder else None, quantisation=checkpoint.quantisation,
        file_bytes=sum(file.bytes for file in checkpoint.files if file.path.endswith((".safetensors", ".gguf"))),
        has_template=template, names=tuple(filter(None, (*named, *files, *stated))),
        fault="" if has_tokenizer(file.path for file in checkpoint.files) else NO_TOKENIZER,
    )  # fmt: skip


def asked_form(has_template: bool | None, names: Sequence[str]) -> AskedForm:
    """Whether a model is asked by chat: with a chat template, and a name that says it was trained to answer.

    >>> asked_form(True, ["SmolLM2-135M-Instruct.Q4_1.gguf"])
    AskedForm(by_chat=True, reason='it has a chat template, and its name says "Instruct"')
    >>> asked_form(True, ["Qwen2.5-0.5B"]).by_chat, asked_form(False, ["phi-1"]).reason
    (False, 'it has no chat template, so it is a base model')
    """
    if not has_template:
        unknown = "its chat template is not known before it is fetched"
        return AskedForm(False, "it has no chat template, so it is a base model" if has_template is False else unknown)
    word = next((found[0] for name in names if (found := CHAT_WORDS.search(name))), "")
    if not word:
        return AskedForm(False, "it has a chat template, but no name of it says that it is a chat model")
    return AskedForm(True, f'it has a chat template, and its name says "{word}"')


def by_form(tasks: "Sequence[Task]", form: AskedForm) -> "tuple[list[Task], list[Task]]":
    """The tasks asked as completions, and those asked by chat.

    Of a chat model, bits per byte are still read of the text as it stands, and so is a reading that is made for
    completions alone.
    """
    from evals.tasks import protocols

    def may_chat(task: "Task") -> bool:
        readings = protocols(task.name)
        return task.chat or (
            task.kind != "likelihood" and (task.protocol.startswith("lm-eval") or "chat" not in readings)
        )

    by_chat = [task for task in tasks if task.chat or (form.by_chat and may_chat(task))]
    return [task for task in tasks if task not in by_chat], by_chat
