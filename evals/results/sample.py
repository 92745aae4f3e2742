"""Rebuilds one sample of a run to the byte: the prompt that was shown, the tokens that were fed, each choice.

The prompt comes from the task that the run's protocol names, the tokens from the checkpoint's own tokenizer. Tokens
are left out if the checkpoint is not in this zoo, or another machine encoded them.
"""

import contextlib
from typing import Any

from evals.chat import bind
from evals.engines import SENDS_MESSAGES
from evals.protocol import shown
from evals.records import ChoiceRequest, Run, Sample
from evals.results.task_of_run import name_of_run, task_of_run
from evals.task import Task
from evals.tasks import protocols
from zoo.errors import ZooError
from zoo.records import Record

LOCAL = ("transformers", "vllm")


class SampleView(Record, frozen=True, kw_only=True):
    """The prompt and tokens that a model was given. why: the reason that there are no tokens; "" if there are."""

    prompt: str
    tokens: tuple[int, ...] = ()
    choices: "tuple[ChoiceView, ...]" = ()
    why: str = ""


class ChoiceView(Record, frozen=True, kw_only=True):
    """One choice: the text that was scored after the prompt, and its tokens if they are known."""

    text: str
    tokens: tuple[int, ...] = ()


def view_sample(header: Run, sample_id: str) -> SampleView:
    """The prompt, tokens and choices of one sample. Raises ZooError if the task no longer contains it."""
    name = name_of_run(header)
    if name.imported and name.own not in protocols(header.task):
        return SampleView(prompt="", why="tokens fed: another tool's own prompts, which it kept")
    task = bind_run(header, task_of_run(header))
    if (before := header.protocol["task_version"]) != task.version:
        own = f"the prompt of version {before} is not kept, here is version {task.version} of {header.task}"
        return SampleView(prompt="", why=f"tokens fed: not known here ({own})")
    sample = next((sample for sample in task.samples() if sample.id == sample_id), None)
    if sample is None:
        raise ZooError(
            f'{task.name}@{task.protocol} no longer has a sample "{sample_id}". All tasks: phizoo eval tasks'
        )
    try:
        tokens = _tokens(header)
    except ZooError as error:
        texts = [text for _, text in task.pairs(sample)] if task.pairs else []
        choices = tuple(ChoiceView(text=text) for text in texts)
        return SampleView(prompt=shown(task, sample), choices=choices, why=f"tokens fed: not known here ({error})")
    return _encode(header, task, sample, tokens)


def bind_run(header: Run, task: Task) -> Task:
    """The task with the template of the run's checkpoint, if it was asked by chat and the checkpoint is here."""
    from zoo.registry import open_registry

    path = None
    if task.shape is not None and header.backend.engine not in SENDS_MESSAGES:
        with contextlib.suppress(ZooError), open_registry(readonly=True) as registry:
            path = registry.path(header.checkpoint)
    return bind(task, path)


def _tokens(header: Run) -> Any:
    """The tokenizer of the run's checkpoint. Raises ZooError when it is not here."""
    from zoo.registry import open_registry

    if header.backend.engine not in LOCAL:
        raise ZooError(f"encoded by {header.backend.engine}")
    with open_registry(readonly=True) as registry:
        path = registry.path(header.checkpoint)
    from evals.engines.tokens import folder_tokens

    return folder_tokens(path)


def _encode(header: Run, task: Task, sample: Sample, tokens: Any) -> SampleView:
    context = header.backend.context_tokens
    prompt = shown(task, sample)
    if task.pairs is None:
        # as the engines do: a prompt keeps at least half of the context
        room = max(context - task.decoding.max_tokens, context // 2)
        return SampleView(prompt=prompt, tokens=tokens.prompt(prompt, task.decoding, room).tokens)
    asked, whole = task.pairs(sample), task.kind == "likelihood"
    pairs = tokens.pairs(ChoiceRequest(sample=sample.id, pairs=asked, whole=whole), context)
    ends = [pair.tokens[pair.start :] for pair in pairs]
    if whole:  # read in pieces where it is longer than the context
        ends = [sum(ends, start=())]
    choices = tuple(ChoiceView(text=text, tokens=end) for (_, text), end in zip(asked, ends, strict=True))
    first = pairs[0]
    return SampleView(prompt=prompt, tokens=first.tokens[: first.start], choices=choices)
