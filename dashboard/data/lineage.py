"""Draws a checkpoint's lineage (data → checkpoints → scores) as a Graphviz graph, and reads its training curve.

`zoo.lineage` makes the graph; this file only renders it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dashboard.escape import cut
from zoo import lineage
from zoo.jsonl import parse_json, split_lines
from zoo.records import Checkpoint

if TYPE_CHECKING:
    from zoo.registry import Registry

CURVES = "training_curves.jsonl"  # written by the trainer into the checkpoint
MAX_NODES = 40  # more are unreadable
STYLE = (
    'rankdir=TB; bgcolor="transparent"; nodesep=0.2; ranksep=0.35;\n'
    'node [fontname="Helvetica" fontsize=11 style=filled fillcolor="#ffffff" color="#8a94a0" shape=box];\n'
    'edge [fontname="Helvetica" fontsize=9 color="#8a94a0" fontcolor="#8a94a0"];'
)


def quote(text: str) -> str:
    """A name as a literal Graphviz string.

    >>> print(quote('say "hi"'))
    "say \\"hi\\""
    """
    return '"' + cut(text, 60).replace("\\", "\\\\").replace('"', '\\"') + '"'


def render_dot(checkpoint: Checkpoint, registry: "Registry", scores: Sequence[str] = ()) -> str:
    """The graph of a checkpoint in the DOT language: its ancestors, its descendants and its scores.

    scores  the text of each, such as "HumanEval 51.2 [43.6–58.8] n=164"
    """
    graph = lineage.graph(registry, checkpoint.label)
    nodes = sorted(graph.nodes, key=lambda node: node.digest != graph.focus)[:MAX_NODES]
    shown = {node.digest for node in nodes}
    lines = ["digraph {", STYLE]
    for node in nodes:
        color = "#0072b2" if node.digest == graph.focus else "#a34700" if node.kind == "dataset" else "#8a94a0"
        label = node.label if node.known else f"{node.label} (not in this zoo)"
        shape = " shape=note" if node.kind == "dataset" else ""
        lines.append(f'{quote(node.digest)} [label={quote(label)} color="{color}"{shape}];')
    lines += [
        f"{quote(edge.parent)} -> {quote(edge.child)} [label={quote(edge.relation)}];"
        for edge in graph.edges
        if edge.parent in shown and edge.child in shown
    ]
    if scores:  # one box with a line per score stays readable on a phone
        text = "".join(quote(score)[1:-1] + "\\l" for score in scores[:MAX_NODES])
        lines.append(f'"scores" [label="{text}" shape=box fillcolor="#eaf3fa" color="#eaf3fa"];')
        lines.append(f'{quote(graph.focus)} -> "scores" [style=dotted arrowhead=none];')
    return "\n".join([*lines, "}"])


def training_lines(checkpoint: Checkpoint, registry: "Registry") -> list[dict[str, Any]]:
    """The training curve stored in the checkpoint, one line per step; empty if there is none."""
    curves = next((file for file in checkpoint.files if file.path == CURVES), None)
    if curves is None:
        return []
    try:
        lines = split_lines(registry.store.object(curves.sha256).read_bytes())
        return [line for line in map(parse_json, lines) if isinstance(line, dict)]
    except (OSError, ValueError):
        return []  # the page works without a curve
