"""Tasks asked by chat: the messages of each sample, and what a checkpoint's own template makes of them.

`chat_task` gives a task a shape (system text, examples in one message or as turns), which its protocol's name carries;
`bind` adds a checkpoint's template, so that local engines read the rendered text. An endpoint is sent the messages.

Source: lm-evaluation-harness 0.4.13, api/task.py (`fewshot_context`, `build_qa_turn`, `construct_requests`) and
api/utils.py (`multiturn_to_singleturn`), with --apply_chat_template.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from evals.protocol_name import ProtocolName
from evals.records import ChatShape, Message, Sample
from evals.scoring.thought import THINK, ThoughtPlan, find_opened, find_tags
from evals.task import Asked, PromptParts, Task
from zoo.admission.chat_template import ChatTemplate, TemplateFault
from zoo.admission.template_files import find_template
from zoo.cli import output
from zoo.errors import ZooError

__all__ = ["ChatShape", "ChatTemplate", "bind", "chat_task", "folder_template", "make_messages"]
SWITCHES = ("enable_thinking", "thinking")  # Qwen 3, SmolLM 3, GLM; DeepSeek V3.1, Granite
KEPT = 64  # rendered conversations; the choices of a question share one


def chat_task(task: Task, shape: ChatShape) -> Task:
    """The task as it is asked by chat; its protocol's name carries the shape, but neither template nor day.

    Stop strings belong to completions: a protocol of chats has none, another tool's keeps its own, as there. A thought
    with a budget has these tokens beside those of the answer.
    """
    before = task.shape.budget or 0 if task.shape is not None else 0  # a task may be shaped again
    most = task.decoding.max_tokens - before + (shape.budget or 0)
    decoding = replace(task.decoding, boundary="raw", stop=() if task.chat else task.decoding.stop, max_tokens=most)
    return replace(
        task, protocol=name_of(task, shape).render(), decoding=decoding, shape=shape, asked=partial(_ask, task, shape),
        tags=(THINK,),
    )  # fmt: skip


def shape_task(task: Task, shape: ChatShape | None) -> Task:
    """The task in a shape; without one, a protocol of completions stays as it is."""
    return task if shape is None else chat_task(task, shape)


def name_of(task: Task, shape: ChatShape) -> ProtocolName:
    """The protocol's name of a task in this shape."""
    thinking = "" if shape.thinking is None else "on" if shape.thinking else "off"
    system = hashlib.sha256(shape.system.encode("utf-8", "surrogatepass")).hexdigest()[:8] if shape.system else ""
    return ProtocolName.parse(task.protocol).replace(
        chat=not task.chat, turns=shape.fewshot_as_turns, system=system, thinking=thinking, budget=shape.budget
    )


def folder_template(folder: Path) -> ChatTemplate | None:
    """The template of a checkpoint's folder with the marks of its own tokenizer; None for a base model.

    The tasks and messages that follow each other share one: loading a tokenizer takes a second, a child a tenth.
    """
    template_file = find_template(folder)
    return None if template_file is None else _open_template(folder, *template_file)


@lru_cache(2)  # models beside each other
def _open_template(folder: Path, text: str, source: str) -> ChatTemplate:
    return ChatTemplate(text, source, partial(_read_marks, folder))


def _read_marks(folder: Path) -> dict[str, Any]:
    from evals.engines.tokens import folder_tokenizer

    named = folder_tokenizer(folder).special_tokens_map
    return {name: list(map(str, mark)) if isinstance(mark, list) else str(mark) for name, mark in named.items()}


def bind(task: Task, folder: Path | None, today: date | None = None) -> Task:
    """A task asked by chat with a checkpoint's template: its prompts and contexts are rendered texts.

    folder  None: only an endpoint has the template, and gets the messages; the prompt is theirs in one text
    today   the day that the template may write; the machine's if None
    Raises  ZooError for a base model, which has no template
    """
    if task.shape is None or task.asked is None:
        return task
    if folder is None:
        asked = task.asked
        return replace(task, prompt=lambda sample: "\n\n".join(each.content for each in asked(sample)[0][0]))
    template = folder_template(folder)
    if template is None:
        raise ZooError(
            f"{task.name}@{task.protocol} is asked by chat, and {folder} has no chat template: it is a base model. "
            "Leave out --chat, or take a protocol of completions (phizoo eval tasks)"
        )
    shape = replace(task.shape, template=template.digest)
    if template.writes_date:
        shape = replace(shape, date=task.shape.date or (today or date.today()).isoformat())
    return render_by(task, template, shape)


def render_by(task: Task, template: ChatTemplate, shape: ChatShape) -> Task:
    """The task with prompts and contexts that the template renders."""
    asked = task.asked
    assert asked is not None  # `chat_task` gave it one
    render = lru_cache(KEPT)(partial(render_messages, template, shape))

    def pairs(sample: Sample) -> tuple[tuple[str, str], ...]:
        return tuple((render(messages), text) for messages, text in asked(sample))

    return replace(
        task, shape=shape, tags=find_tags(template.text), prompt=lambda sample: render(asked(sample)[0][0]),
        pairs=pairs if task.pairs is not None else None,
    )  # fmt: skip


def render_messages(template: ChatTemplate, shape: ChatShape, messages: Sequence[Message]) -> str:
    """The text of a conversation.

    A template without a system role loses a task's description, as in lm-evaluation-harness, and the run says so; a
    system text of the user's own is refused.
    Raises  ZooError as `ChatTemplate.render` does
    """
    plain = [{"role": message.role, "content": message.content} for message in messages]
    goes_on = messages[-1].role == "assistant"
    how: dict[str, Any] = {"add_generation_prompt": not goes_on, "continue_final_message": goes_on}
    how["now"] = datetime.fromisoformat(shape.date) if shape.date else None
    how |= thinking_switch(template, shape.thinking)
    try:
        return template.render(plain, **how)
    except TemplateFault as fault:
        if fault.kind != "refused" or plain[0]["role"] != "system":
            raise
        if shape.system:
            raise ZooError(f"{fault}. Leave out --system, or put its text into the question") from None
        text = template.render(plain[1:], **how)
        output.note_once(f"{template.source}: the chat template has no system role; descriptions are left out")
        return text


def thinking_switch(template: ChatTemplate, thinking: bool | None) -> dict[str, bool]:
    """The template's own switch of thinking with its value; nothing for None.

    Raises  ZooError for a template without one: the model would be asked as without the option
    """
    if thinking is None:
        return {}
    name = next((name for name in SWITCHES if re.search(rf"\b{name}\b", template.text)), None)
    if name is None:
        raise ZooError(f"{template.source}: this chat template has no switch of thinking; leave out --thinking")
    return {name: thinking}


def plan_thought(task: Task, prompt: str, messages: Sequence[Message]) -> ThoughtPlan | None:
    """How the thought before an answer is found; None for a completion, whose tags are text.

    prompt  the rendered text, where this machine has rendered one
    """
    if task.shape is None:
        return None
    rendered, last = task.shape.template, messages[-1] if messages else None
    opened = None
    if rendered and last is not None and last.role == "user":
        opened = find_opened(prompt, task.tags, last.content)
    return ThoughtPlan(task.tags, opened, task.shape.budget, task.shape.thinking)


def _ask(task: Task, shape: ChatShape, sample: Sample) -> tuple[Asked, ...]:
    """The messages of a sample with each continuation; a task that generates has one, and it is empty."""
    own = task.parts(sample) if task.parts is not None else None
    if task.pairs is None:
        text = task.prompt(sample) if task.prompt is not None else sample.question
        return ((make_messages(_parts_of_text(own, text), shape), ""),)
    asked = []
    for context, continuation in task.pairs(sample):
        parts = _parts_of_text(own, context)
        if not parts.prefix or parts.prefix[-1].isspace():
            continuation = continuation.removeprefix(task.delimiter)
        asked.append((make_messages(parts, shape), continuation))
    return tuple(asked)


def _parts_of_text(parts: PromptParts | None, text: str) -> PromptParts:
    """The parts of a prompt or context; those that a task took over from another protocol make another text."""
    return parts if parts is not None and parts.text() == text else PromptParts(question=text)


def make_messages(parts: PromptParts, shape: ChatShape) -> tuple[Message, ...]:
    """The messages of a chat. An answer's beginning is a last message of the model, which goes on with it.

    >>> parts = PromptParts(question="2+2?", shots=(("1+1?", "2"),), description="Add.")
    >>> [f"{message.role}: {message.content!r}" for message in make_messages(parts, ChatShape())]
    ["system: 'Add.'", "user: '1+1? 2\\\\n\\\\n2+2?'"]
    >>> [message.content for message in make_messages(parts, ChatShape(fewshot_as_turns=True, system="Be brief."))]
    ['Be brief.\\n\\nAdd.', '1+1?', '2', '2+2?']
    """
    messages = []
    if system := _join(shape.system, parts.description, parts.separator):
        messages.append(Message(role="system", content=system))
    if shape.fewshot_as_turns:
        for question, answer in parts.shots:
            messages += [Message(role="user", content=question), Message(role="assistant", content=answer)]
        messages.append(Message(role="user", content=parts.question))
    else:
        messages.append(Message(role="user", content=parts.examples + parts.question))
    if parts.prefix:
        messages.append(Message(role="assistant", content=parts.prefix))
    return tuple(messages)


def _join(first: str, second: str, between: str) -> str:
    """Two texts, with `between` where neither has white space at the join and neither is empty."""
    meets = not first or not second or first[-1].isspace() or second[0].isspace()
    return first + ("" if meets else between) + second
