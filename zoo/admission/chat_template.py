"""Chat templates, which are programs: which may enter, and one class that renders them everywhere.

A renderer without a sandbox gives an attacker a shell (CVE-2024-34359, CVE-2026-5760). Here a template is
parsed by Jinja's immutable sandbox, refused if it accesses private names, imports, or is too long, and
rendered in a child process with limits on time, memory and output (`zoo.admission.render`): at the door, in an
evaluation and in a server.
"""

import json
import os
import selectors
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

from zoo.admission.render import SECONDS, environment
from zoo.errors import ZooError
from zoo.safe_path import isolated

TEMPLATE_BYTES = 64 * 1024
CHILD = "from zoo.admission.render import serve; serve()"
# conversations of every kind, so that no branch of a template escapes the limits
TALKS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("talks.json").read_text(encoding="utf-8"))
MARK_CHARACTERS, MARKS_TRIED = 40, 24  # texts of a template that a mark may be compared with
MARKS = {"bos_token": "<s>", "eos_token": "</s>"}
TOO_MUCH = "needs too much time, memory or output to render"
OUT = "reaches out of the sandbox"


class TemplateFault(ZooError):
    """A conversation that a template does not render. kind: refused, by its own words; broken, limits or sandbox."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class ChatTemplate:
    """A chat template with a model's own marks. It renders in a child process, which starts when first needed.

    source  the file that it is from, for messages
    marks   bos_token, eos_token and the tokenizer's other marks by name, or a function that reads them when needed
    """

    def __init__(
        self, text: str, source: str, marks: Mapping[str, Any] | Callable[[], Mapping[str, Any]] = MARKS
    ) -> None:
        self.text, self.source, self._marks = text, source, marks
        self._turn = threading.Lock()  # a server's requests come from several threads
        self._process: subprocess.Popen[bytes] | None = None
        self._end: Callable[[], object] = lambda: None

    @property
    def digest(self) -> str:
        """sha256 of the template's text."""
        return sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def writes_date(self) -> bool:
        """Whether the template may write the day on which it is rendered."""
        return "strftime_now" in self.text

    @property
    def marks(self) -> Mapping[str, Any]:
        """The model's marks by name."""
        if callable(self._marks):
            self._marks = self._marks()
        return self._marks

    def render(
        self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True, *,
        continue_final_message: bool = False, now: datetime | None = None, **switches: Any,
    ) -> str:  # fmt: skip
        """The text of a conversation, as transformers' `apply_chat_template` gives it.

        messages  each with `role` and `content`
        now       the template's clock; the machine's if None
        switches  further names of the template, such as enable_thinking
        Raises    TemplateFault where the template refuses the conversation, fails, or needs more than its limits
        """
        request = {**self.marks, **switches, "messages": [dict(message) for message in messages]}
        request |= {"add_generation_prompt": add_generation_prompt, "continue_final_message": continue_final_message}
        request["now"] = now.isoformat() if now else None
        with self._turn:
            answer = self._ask(json.dumps(request).encode() + b"\n")
        if "text" not in answer:
            self._raise(answer.get("fault", "limits"), answer.get("message", ""))
        return str(answer["text"])

    def _raise(self, kind: str, message: str) -> NoReturn:
        words = " ".join(message.split())[:200]
        reason = {"limits": TOO_MUCH, "sandbox": OUT, "refused": f"refuses these messages: {words}"}
        raise TemplateFault(f"{self.source}: the chat template {reason.get(kind, f'fails: {words}')}", kind)

    def _ask(self, line: bytes) -> dict[str, Any]:
        """The child's answer to a request; the child is ended where it takes too long."""
        try:
            process = self._process or self._start()
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(line)
            process.stdin.flush()
            data = _read_line(process.stdout.fileno(), time.monotonic() + 2 * SECONDS)
            answer = json.loads(data)
        except (OSError, ValueError, TimeoutError):  # ended by a limit of its own, or too slow
            self.close()
            return {}
        return answer if isinstance(answer, dict) else {}

    def _start(self) -> "subprocess.Popen[bytes]":
        self._process = subprocess.Popen(
            isolated(CHILD), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={}
        )
        self._end = weakref.finalize(self, _end_child, self._process)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self.text).encode() + b"\n")
        return self._process

    def close(self) -> None:
        """Ends the child; the next rendering starts another."""
        self._end()
        self._process = None


def _end_child(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        try:
            if pipe is not None:
                pipe.close()
        except OSError:  # what was not sent is not needed any more
            continue
    process.wait()


def _read_line(file: int, ends: float) -> bytes:
    """A whole line before a deadline. Raises TimeoutError; ConnectionError where the other side has ended."""
    parts: list[bytes] = []
    with selectors.DefaultSelector() as selector:
        selector.register(file, selectors.EVENT_READ)
        while not parts or not parts[-1].endswith(b"\n"):
            if not selector.select(max(0.0, ends - time.monotonic())):
                raise TimeoutError
            part = os.read(file, 1 << 16)
            if not part:
                raise ConnectionError
            parts.append(part)
    return b"".join(parts)


def check_template(text: Any, source: str) -> None:
    """Checks one chat template. Raises ZooError with its source (a file) and the reason."""
    from jinja2.exceptions import TemplateSyntaxError

    if not isinstance(text, str):
        raise ZooError(f"{source}: the chat template is not text.")
    if len(text.encode("utf-8", "surrogatepass")) > TEMPLATE_BYTES:
        raise ZooError(f"{source}: the chat template has more than {TEMPLATE_BYTES:,} bytes.")
    try:
        tree = environment().parse(text)
    except (TemplateSyntaxError, RecursionError) as error:
        raise ZooError(f"{source}: the chat template cannot be parsed: {str(error).splitlines()[0]}.") from None
    _check_tree(tree, source)
    template = ChatTemplate(text, source)
    try:
        for conversation in _conversations(tree):
            _try(template, conversation)
    finally:
        template.close()


def _try(template: ChatTemplate, conversation: dict[str, Any]) -> None:
    """Raises ZooError where a conversation needs more than the limits; a refusal is the template's own affair."""
    try:
        template.render(**conversation)
    except TemplateFault as fault:
        if fault.kind in ("limits", "sandbox"):
            raise ZooError(f"{fault}; remove it (a base model needs none).") from None


def _conversations(tree: Any) -> Iterator[dict[str, Any]]:
    """Every kind of conversation, long ones, and each under marks, a date and switches that a template may look at."""
    from jinja2 import nodes

    yield from TALKS
    turns = [{"role": role, "content": "word " * 200} for _ in range(32) for role in ("user", "assistant")]
    long = {"messages": turns, "add_generation_prompt": True}
    yield long
    yield {"messages": [{"role": "user", "content": "word " * 40_000}], "add_generation_prompt": True}
    texts = (const.value for const in tree.find_all(nodes.Const) if isinstance(const.value, str) and const.value)
    marks = list(dict.fromkeys(["", "<|endoftext|>", *(text for text in texts if len(text) <= MARK_CHARACTERS)]))
    for mark in marks[:MARKS_TRIED]:
        for talk in (TALKS[3], long):
            yield {**talk, "bos_token": mark, "eos_token": mark}
    for switch in (True, False):
        yield {**TALKS[3], "enable_thinking": switch, "now": datetime(2099, 12, 31, 23)}


def _check_tree(tree: Any, source: str) -> None:
    from jinja2 import nodes

    forbidden = (nodes.Import, nodes.FromImport, nodes.Include, nodes.Extends)
    for node in tree.find_all(nodes.Node):
        fault = ""
        if isinstance(node, forbidden):
            fault = f"uses {type(node).__name__.lower()}"
        elif isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
            fault = f"accesses {node.attr[:40]}"
        elif isinstance(node, nodes.Name) and node.name.startswith("__"):
            fault = f"accesses {node.name[:40]}"
        elif isinstance(node, nodes.Filter) and node.name == "attr":
            fault = "uses the filter attr"
        elif isinstance(node, nodes.Pow):
            fault = "uses a power, which no text needs and which can take any time"
        elif isinstance(node, (nodes.Getitem, nodes.Filter)) and any(
            isinstance(part, nodes.Const) and isinstance(part.value, str) and "__" in part.value
            for part in node.find_all(nodes.Const)
        ):
            fault = "accesses a private name"
        if fault:
            raise ZooError(f"{source}: the chat template {fault} (line {node.lineno}); remove it.")
