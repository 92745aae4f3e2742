"""Renders chat templates, in a child process: a loop that reads requests and writes rendered texts, one JSON line each.

The sandbox is Jinja's immutable one, with the names that transformers gives a template and no others. Nothing is
written to disk, and processor time, memory and output are limited, so that a template which loops or grows costs one
request. Not here: which templates may enter (`zoo.admission.chat_template`).

Source: transformers 5, utils/chat_template_utils.py (`render_jinja_template`).
"""

import json
import sys
from datetime import datetime
from functools import cache
from typing import Any

OUTPUT_CHARACTERS = 1_000_000
SECONDS = 5
MEMORY_BYTES = 1 << 30
TAG = "CONTINUE_FINAL_MESSAGE_TAG "  # stands behind the last message while the end of its text is looked for


class TooMuchError(Exception):
    """A template that needs more than its limits."""


def environment() -> Any:
    """The sandbox for templates: the names that transformers gives them, and no others."""
    from jinja2 import nodes
    from jinja2.exceptions import SecurityError, TemplateError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Strict(ImmutableSandboxedEnvironment):
        """Raises if a template accesses a name that the sandbox hides, even if it is undefined."""

        def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
            raise SecurityError(f"access to {attribute!r} of {type(obj).__name__}")

    class GenerationTag(Extension):
        """`{% generation %}` marks the assistant's part; its text is rendered unchanged."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("_call"), [], [], body).set_lineno(line)

        def _call(self, caller: Any) -> Any:
            return caller()

    def refuse(message: str) -> None:
        raise TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None,
               sort_keys: bool = False) -> str:  # fmt: skip
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    sandbox = Strict(trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols])
    sandbox.filters["tojson"] = tojson
    sandbox.globals["raise_exception"] = refuse
    sandbox.globals["strftime_now"] = lambda form: datetime.now().strftime(form)  # local time, as there
    return sandbox


@cache
def compile_template(text: str) -> Any:
    """A template, ready to render."""
    return environment().from_string(text)


def render(text: str, request: dict[str, Any]) -> str:
    """A conversation under a template.

    request  `messages` and the template's other names; `now`: its clock, ISO 8601; `continue_final_message`: the text
             ends where the last message ends, which the model goes on with
    Raises   TooMuchError, or any exception of the template
    """
    values = dict(request)
    now = values.pop("now", None)
    goes_on = values.pop("continue_final_message", False)
    if goes_on:
        last = values["messages"][-1]
        values["messages"] = [*values["messages"][:-1], {**last, "content": last["content"] + TAG}]
    if now:
        values["strftime_now"] = datetime.fromisoformat(now).strftime
    parts, length = [], 0
    for part in compile_template(text).generate(**{"tools": None, "documents": None, **values}):
        length += len(part)
        if length > OUTPUT_CHARACTERS:
            raise TooMuchError
        parts.append(part)
    return _cut_behind(last["content"], "".join(parts)) if goes_on else "".join(parts)


def _cut_behind(message: str, rendered: str) -> str:
    """The text up to the end of its last message; white space at that end only where the template keeps it."""
    place = rendered.rfind(TAG.strip())
    if place < 0 or message.strip() not in rendered:
        raise ValueError("it leaves out parts of the answer's beginning")
    text = rendered[:place]
    return text if rendered[place : place + len(TAG)] == TAG else text.rstrip()


def answer(text: str, request: dict[str, Any]) -> dict[str, str]:
    """The rendered text, or why there is none: `sandbox`, `limits`, or `refused` with the template's own words."""
    from jinja2.exceptions import SecurityError, TemplateError

    try:
        return {"text": render(text, request)}
    except SecurityError as error:
        return {"fault": "sandbox", "message": str(error)}
    except (MemoryError, OverflowError, RecursionError, TooMuchError):
        return {"fault": "limits"}
    except TemplateError as error:
        return {"fault": "refused", "message": str(error)}
    except Exception as error:  # the template is a program: any error is its answer
        return {"fault": "broken", "message": f"{type(error).__name__}: {error}"}


def serve() -> None:
    """The child's loop: the template, then one request a line until the input ends."""
    import resource
    import time

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    text: str | None = None
    for line in sys.stdin:
        if text is None:
            text = json.loads(line)
            continue
        soft = int(time.process_time()) + SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (soft if hard < 0 else min(soft, hard), hard))
        sys.stdout.write(json.dumps(answer(text, json.loads(line))) + "\n")
        sys.stdout.flush()
