"""Checks chat templates, which are programs: first their syntax tree, then one rendering.

A renderer without a sandbox gives an attacker a shell (CVE-2024-34359, CVE-2026-5760). Here a template is
parsed by Jinja's immutable sandbox, refused if it accesses private names, imports, or is too long, and
rendered in a child process with limits on time, memory and output.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from zoo.errors import ZooError

TEMPLATE_BYTES = 64 * 1024
OUTPUT_CHARACTERS = 1_000_000
SECONDS = 5
MEMORY_BYTES = 1 << 30

RENDER = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
from zoo.admission.chat_template import environment
from jinja2.exceptions import SecurityError
from zoo.admission.chat_template import TALKS
text, length = json.loads(sys.stdin.read()), 0
for talk in TALKS:
    try:
        template = environment().from_string(text)
        for part in template.generate(bos_token="<s>", eos_token="</s>", **talk):
            length += len(part)
            if length > {output}:
                sys.exit(4)
    except SecurityError:
        sys.exit(3)
    except (MemoryError, OverflowError, RecursionError):
        sys.exit(4)
    except Exception:
        pass
"""
# conversations of every kind, so that no branch of a template escapes the limits
TALKS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("talks.json").read_text(encoding="utf-8"))


def environment() -> Any:
    """The sandbox for templates: the names that transformers gives them, and no others."""
    from jinja2 import nodes
    from jinja2.exceptions import SecurityError
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
            return nodes.Scope(body).set_lineno(line)

    sandbox = Strict(trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols])
    sandbox.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    sandbox.globals["raise_exception"] = _raise
    sandbox.globals["strftime_now"] = lambda _format: "2024-01-01"
    return sandbox


def _raise(message: str) -> None:
    raise ValueError(message)


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
    code = f"import sys; sys.path[:0] = {[str(Path(__file__).parents[2])]!r}\n"
    code += RENDER.format(seconds=SECONDS, memory=MEMORY_BYTES, output=OUTPUT_CHARACTERS)
    try:
        exit_code = subprocess.run(
            [sys.executable, "-I", "-c", code], input=json.dumps(text).encode(), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=2 * SECONDS, check=False, env={},
        ).returncode  # fmt: skip
    except subprocess.TimeoutExpired:
        exit_code = 4
    if exit_code:
        fault = "reaches out of the sandbox" if exit_code == 3 else "needs too much time, memory or output to render"
        raise ZooError(f"{source}: the chat template {fault}; remove it (a base model needs none).")


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
