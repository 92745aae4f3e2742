"""Data → checkpoints → scores as a Graphviz graph, and the training lines of a checkpoint.

The graph itself is `zoo.lineage`'s; here it only gets its look.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dashboard.escape import cut
from zoo import lineage
from zoo.records import Checkpoint

if TYPE_CHECKING:
    from zoo.registry import Registry

CURVES = "training_curves.jsonl"  # the trainer puts it among the checkpoint's files
MOST = 40  # nodes of a graph that a person can still read
LOOK = (
    'rankdir=TB; bgcolor="transparent"; nodesep=0.2; ranksep=0.35;\n'
    'node [fontname="Helvetica" fontsize=11 style=filled fillcolor="#ffffff" color="#8a94a0" shape=box];\n'
    'edge [fontname="Helvetica" fontsize=9 color="#8a94a0" fontcolor="#8a94a0"];'
)


def quoted(text: str) -> str:
    """A name as a Graphviz string that shows itself.

    >>> print(quoted('say "hi"'))
    "say \\"hi\\""
    """
    return '"' + cut(text, 60).replace("\\", "\\\\").replace('"', '\\"') + '"'


def dot(checkpoint: Checkpoint, registry: "Registry", scores: Sequence[str] = ()) -> str:
    """The graph of a checkpoint: what it comes from, what came from it, and its scores.

    scores  one text each, such as "HumanEval 51.2 [43.6–58.7] n=164"
    """
    found = lineage.graph(registry, checkpoint.label)
    nodes = sorted(found.nodes, key=lambda node: node.digest != found.focus)[:MOST]
    shown = {node.digest for node in nodes}
    lines = ["digraph {", LOOK]
    for node in nodes:
        color = "#0072b2" if node.digest == found.focus else "#a34700" if node.kind == "dataset" else "#8a94a0"
        label = node.label if node.known else f"{node.label} (not in this zoo)"
        shape = " shape=note" if node.kind == "dataset" else ""
        lines.append(f'{quoted(node.digest)} [label={quoted(label)} color="{color}"{shape}];')
    lines += [
        f"{quoted(edge.parent)} -> {quoted(edge.child)} [label={quoted(edge.relation)}];"
        for edge in found.edges
        if edge.parent in shown and edge.child in shown
    ]
    if scores:  # one box of lines, from top to bottom as the graph: it stays readable on a phone
        told = "".join(quoted(score)[1:-1] + "\\l" for score in scores[:MOST])
        lines.append(f'"scores" [label="{told}" shape=box fillcolor="#eaf3fa" color="#eaf3fa"];')
        lines.append(f'{quoted(found.focus)} -> "scores" [style=dotted arrowhead=none];')
    return "\n".join([*lines, "}"])


def training_lines(checkpoint: Checkpoint, registry: "Registry") -> list[dict[str, Any]]:
    """The lines that the training run wrote into the checkpoint, step by step; none where it wrote none."""
    held = next((file for file in checkpoint.files if file.path == CURVES), None)
    if held is None:
        return []
    try:
        lines = registry.store.object(held.sha256).read_text(encoding="utf-8").splitlines()
        return [line for line in map(json.loads, filter(str.strip, lines)) if isinstance(line, dict)]
    except (OSError, ValueError):
        return []  # a curve is no evidence: the page does without it
