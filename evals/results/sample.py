"""One sample of a run to the byte: the prompt that was shown, the tokens that were fed, each choice.

Made again from the task, which the run's protocol names; the tokens come from the checkpoint's own tokenizer and
are left out where the checkpoint is not in this zoo, or another machine encoded them.
"""

from typing import Any

import msgspec

from evals.protocol import shown
from evals.records import Decoding, Run, Sample
from evals.results.imported import SUFFIX, is_elsewhere
from evals.task import Task
from evals.tasks import protocols
from zoo.errors import ZooError
from zoo.records import Record

LOCAL = ("transformers", "vllm")


class Looked(Record, frozen=True, kw_only=True):
    """What a model was shown. why: why there are no tokens; "" when there are."""

    prompt: str
    tokens: tuple[int, ...] = ()
    choices: "tuple[Offered, ...]" = ()
    why: str = ""


class Offered(Record, frozen=True, kw_only=True):
    """One choice: the text that was scored after the prompt, and its tokens where they are known."""

    text: str
    tokens: tuple[int, ...] = ()


def looked(header: Run, sample_id: str) -> Looked:
    """The prompt, tokens and choices of a run's sample. Raises ZooError when the task has it no more."""
    if is_elsewhere(header) and _ours(header) not in protocols(header.task):
        return Looked(prompt="", why="tokens fed: another tool's own prompts, which it kept")
    task = as_run(header)
    sample = next((one for one in task.samples() if one.id == sample_id), None)
    if sample is None:
        raise ZooError(
            f'{task.name}@{task.protocol} has no sample "{sample_id}" any more; all tasks: phizoo eval tasks'
        )
    try:
        tokens = _tokens(header)
    except ZooError as error:
        texts = [text for _, text in task.pairs(sample)] if task.pairs else []
        choices = tuple(Offered(text=text) for text in texts)
        return Looked(prompt=shown(task, sample), choices=choices, why=f"tokens fed: not at hand ({error})")
    return _encoded(header, task, sample, tokens)


def _ours(header: Run) -> str:
    """The name, among ours, of a protocol that was measured elsewhere."""
    return str(header.protocol["name"]).removesuffix(SUFFIX)


def as_run(header: Run) -> Task:
    """The task under the very protocol of a run: its sampling, or a boundary check's end of the prompts."""
    from evals.checks.engine_check import ended
    from evals.tasks import task

    name = _ours(header)
    base, _, check = name.partition(" check ")
    found = task(f"{header.task}@{base.split(' t=')[0].split('>')[0]}")
    if check:
        boundary, _, newline = check.partition(" ")
        return ended(found, "\n" if newline else "", boundary)
    if header.protocol["decoding"]:
        found = msgspec.structs.replace(found, decoding=msgspec.convert(header.protocol["decoding"], Decoding))
    return found


def _tokens(header: Run) -> Any:
    """The tokenizer of the run's checkpoint. Raises ZooError when it is not here."""
    from zoo.registry import open_registry

    if header.backend.engine not in LOCAL:
        raise ZooError(f"encoded by {header.backend.engine}")
    with open_registry(readonly=True) as registry:
        path = registry.path(header.checkpoint)
    from evals.engines.tokens import Tokens, folder_tokenizer

    return Tokens(folder_tokenizer(path))


def _encoded(header: Run, task: Task, sample: Sample, tokens: Any) -> Looked:
    context = header.backend.context_tokens
    prompt = shown(task, sample)
    if task.pairs is None:
        # as the engines do: a prompt keeps at least half of the context
        room = max(context - task.decoding.max_tokens, context // 2)
        return Looked(prompt=prompt, tokens=tokens.prompt(prompt, task.decoding, room).tokens)
    pairs = [(text, tokens.pair(before, text, context)) for before, text in task.pairs(sample)]
    choices = tuple(Offered(text=text, tokens=pair.tokens[pair.start :]) for text, pair in pairs)
    first = pairs[0][1]
    return Looked(prompt=prompt, tokens=first.tokens[: first.start], choices=choices)
