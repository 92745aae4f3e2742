"""Data → checkpoints → scores as a Graphviz graph, and the training lines of a checkpoint."""

import json
from typing import TYPE_CHECKING, Any

from dashboard.text import count, cut
from zoo.checkpoint import Checkpoint, Dataset

if TYPE_CHECKING:
    from zoo.registry import Registry

CURVES = "training_curves.jsonl"  # the trainer puts it among the checkpoint's files
STEPS = 40  # nodes of a graph that a person can still read


def quoted(text: str) -> str:
    """A name as a Graphviz string that shows itself.

    >>> print(quoted('say "hi"'))
    "say \\"hi\\""
    """
    return '"' + cut(text, 48).replace("\\", "\\\\").replace('"', '\\"') + '"'


def dot(checkpoint: Checkpoint, registry: "Registry") -> str:
    """The graph of a checkpoint: its datasets and their sources, its parents and theirs, its children."""
    known = {one.digest: one for one in registry.list(all_versions=True)}
    datasets = {one.digest: one for one in registry.datasets()}
    nodes: dict[str, str] = {}
    edges: dict[tuple[str, str], str] = {}
    _ancestors(checkpoint, known, datasets, nodes, edges)
    for child in known.values():
        for parent in child.parents:
            if parent.digest == checkpoint.digest and len(nodes) < STEPS:
                nodes[child.digest] = _checkpoint(child)
                edges[checkpoint.digest, child.digest] = parent.relation
    nodes[checkpoint.digest] = _checkpoint(checkpoint, "#0072b2")
    lines = [f"{quoted(key)} {attributes};" for key, attributes in nodes.items()]
    lines += [f"{quoted(one)} -> {quoted(other)} [label={quoted(told)}];" for (one, other), told in edges.items()]
    head = 'rankdir=LR; bgcolor="transparent"; nodesep=0.2; ranksep=0.5;'
    look = 'node [fontname="Helvetica" fontsize=11 style=filled fillcolor="#ffffff" color="#8a94a0"];'
    edge = 'edge [fontname="Helvetica" fontsize=9 color="#8a94a0" fontcolor="#8a94a0"];'
    return "\n".join(["digraph {", head, look, edge, *lines, "}"])


def _checkpoint(one: Checkpoint, color: str = "#8a94a0") -> str:
    label = quoted(f"{one.label}") + f' tooltip="{count(one.parameters)} parameters" color="{color}" shape=box'
    return f"[label={label}]"


def _dataset(one: Dataset) -> str:
    told = f"{one.name}, {count(one.documents)} documents, {count(one.tokens)} tokens"
    return f'[label={quoted(told)} shape=note color="#a34700"]'


def _ancestors(
    start: Checkpoint,
    known: dict[str, Checkpoint],
    datasets: dict[str, Dataset],
    nodes: dict[str, str],
    edges: dict[tuple[str, str], str],
) -> None:
    """Fills nodes and edges with everything that a checkpoint comes from, nearest first."""
    waiting = [start]
    while waiting and len(nodes) < STEPS:
        one = waiting.pop(0)
        if one.digest in nodes:
            continue
        nodes[one.digest] = _checkpoint(one)
        for seen in one.datasets:
            edges[seen.digest, one.digest] = f"{count(seen.tokens)} tokens"
            _sources(seen.digest, datasets, nodes, edges)
        for parent in one.parents:
            edges[parent.digest, one.digest] = parent.relation
            if parent.digest in known:
                waiting.append(known[parent.digest])
            else:
                nodes.setdefault(
                    parent.digest, f"[label={quoted(parent.digest[:12] + ' (not in this zoo)')} shape=box]"
                )


def _sources(
    start: str, datasets: dict[str, Dataset], nodes: dict[str, str], edges: dict[tuple[str, str], str]
) -> None:
    waiting = [start]
    while waiting and len(nodes) < STEPS:
        key = waiting.pop(0)
        if key in nodes:
            continue
        one = datasets.get(key)
        nodes[key] = _dataset(one) if one else f"[label={quoted(key[:12] + ' (data not in this zoo)')} shape=note]"
        for parent in one.parents if one else ():
            edges[parent, key] = ""
            waiting.append(parent)


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
