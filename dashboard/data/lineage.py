"""Draws a checkpoint's lineage (data → checkpoints → scores) as a Graphviz graph, and reads its training curve.

`zoo.lineage` makes the graph; this file only renders it.
"""

from typing import TYPE_CHECKING, Any

from dashboard.escape import cut
from zoo import lineage
from zoo.errors import ZooError
from zoo.jsonl import parse_json, split_lines
from zoo.records import Checkpoint

if TYPE_CHECKING:
    from zoo.registry import Registry

CURVES = "training_curves.jsonl"  # written by the trainer into the checkpoint
MAX_NODES = 40  # more are unreadable
STYLE = (
    'rankdir=TB; bgcolor="transparent"; nodesep=0.2; ranksep=0.35;\n'
    'node [fontname="Helvetica" fontsize=11 style=filled fillcolor="{fill}" fontcolor="{ink}" color="#8a94a0" '
    "shape=box];\n"
    'edge [fontname="Helvetica" fontsize=9 color="#8a94a0" fontcolor="{ink}"];'
)
LIGHT, DARK = {"fill": "#ffffff", "ink": "#1d2530"}, {"fill": "#1a1f27", "ink": "#e8ebef"}


def quote(text: str) -> str:
    """A name as a literal Graphviz string.

    >>> print(quote('say "hi"'))
    "say \\"hi\\""
    """
    return '"' + cut(text, 60).replace("\\", "\\\\").replace('"', '\\"') + '"'


def line_of(checkpoint: Checkpoint, registry: "Registry") -> list[str]:
    """The labels of what a checkpoint was made from, the eldest first, by its first known parents; then its own."""
    line, seen, current = [checkpoint.label], {checkpoint.digest}, checkpoint
    while parents := [parent for parent in current.parents if parent.digest not in seen]:
        seen.add(parents[0].digest)
        try:
            current = registry.get(parents[0].digest)
        except ZooError:
            return [f"{parents[0].digest[:12]} (not in this zoo)", *line]
        line.insert(0, current.label)
    names = {dataset.digest: dataset.name for dataset in registry.datasets()}
    data = [names.get(trained.digest, trained.digest[:12]) for trained in current.datasets]
    return [" + ".join(data), *line] if data else line


def render_dot(checkpoint: Checkpoint, registry: "Registry", dark: bool = False) -> str:
    """The graph of a checkpoint in the DOT language: its ancestors and its descendants. dark: for a dark page."""
    graph = lineage.graph(registry, checkpoint.label)
    nodes = sorted(graph.nodes, key=lambda node: node.digest != graph.focus)[:MAX_NODES]
    shown = {node.digest for node in nodes}
    lines = ["digraph {", STYLE.format(**(DARK if dark else LIGHT))]
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
