"""The lineage of a checkpoint, ancestors and descendants, as a graph in text, JSON, Mermaid or DOT.

Edges run from parent to child. Records may be pulled from elsewhere, so a parent may be missing here, and
a cycle, which correct digests cannot form, ends the walk.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from zoo.db.checkpoints import CHECKPOINT
from zoo.db.stored import StoredRecord
from zoo.errors import ZooError
from zoo.records import Checkpoint, Parent, Record, TrainedOn

if TYPE_CHECKING:
    from zoo.registry import Registry

T = TypeVar("T")
# the records of `:digest` and of all its ancestors, by any name
LINE = """WITH RECURSIVE line(digest) AS (
              SELECT CAST(:digest AS TEXT)
              UNION SELECT p.digest FROM line JOIN checkpoints c ON c.digest = line.digest
                                              JOIN parents p ON p.checkpoint_id = c.id)
          SELECT c.record FROM checkpoints c WHERE c.digest IN (SELECT digest FROM line)"""


class Ancestry(msgspec.Struct, frozen=True):
    """The part of a checkpoint's record that says where it came from: a tenth of the time and memory of the whole."""

    digest: str
    parents: tuple[Parent, ...]
    datasets: tuple[TrainedOn, ...]


ANCESTRY = StoredRecord(Ancestry, "checkpoint")
Traced = TypeVar("Traced", Checkpoint, Ancestry)


class Node(Record, frozen=True):
    """A checkpoint or dataset of the graph; `known` is False if this zoo does not have it."""

    digest: str
    kind: Literal["checkpoint", "dataset"]
    label: str
    known: bool = True


class Edge(Record, frozen=True):
    """`relation` says how `child` was made from `parent`."""

    parent: str
    child: str
    relation: str


class Graph(Record, frozen=True):
    """The ancestors and descendants of one checkpoint."""

    focus: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph(registry: "Registry", spec: str) -> Graph:
    """The lineage of a checkpoint in both directions, with its datasets."""
    focus = registry.get(spec)
    nodes = {focus.digest: _checkpoint_node(focus)}
    edges: dict[Edge, None] = {}
    _add_ancestors(registry, focus, nodes, edges)
    _add_descendants(registry, focus.digest, nodes, edges)
    return Graph(focus=focus.digest, nodes=tuple(nodes.values()), edges=tuple(edges))


def _checkpoint_node(checkpoint: Checkpoint) -> Node:
    return Node(digest=checkpoint.digest, kind="checkpoint", label=checkpoint.label)


def _add_ancestors(registry: "Registry", focus: Checkpoint, nodes: dict[str, Node], edges: dict[Edge, None]) -> None:
    waiting = [focus]
    while waiting:
        child = waiting.pop()
        for parent in child.parents:
            edges[Edge(parent=parent.digest, child=child.digest, relation=parent.relation)] = None
            if parent.digest in nodes:
                continue
            checkpoint = _find(registry.get, parent.digest)
            if checkpoint is None:
                nodes[parent.digest] = Node(
                    digest=parent.digest, kind="checkpoint", label=parent.digest[:12], known=False
                )
            else:
                nodes[parent.digest] = _checkpoint_node(checkpoint)
                waiting.append(checkpoint)
        for trained in child.datasets:
            edges[Edge(parent=trained.digest, child=child.digest, relation="data")] = None
            _add_datasets(registry, trained.digest, nodes, edges)


def _add_datasets(registry: "Registry", digest: str, nodes: dict[str, Node], edges: dict[Edge, None]) -> None:
    waiting = [digest]
    while waiting:
        child = waiting.pop()
        if child in nodes:
            continue
        dataset = _find(registry.dataset, child)
        if dataset is None:
            nodes[child] = Node(digest=child, kind="dataset", label=child[:12], known=False)
            continue
        nodes[child] = Node(digest=child, kind="dataset", label=dataset.name)
        for parent in dataset.parents:
            edges[Edge(parent=parent, child=child, relation="made from")] = None
            waiting.append(parent)


def _add_descendants(registry: "Registry", digest: str, nodes: dict[str, Node], edges: dict[Edge, None]) -> None:
    waiting, seen = [digest], {digest}
    while waiting:
        parent = waiting.pop()
        children = registry.database.rows(
            "SELECT c.record, p.relation FROM parents p JOIN checkpoints c ON c.id = p.checkpoint_id "
            "WHERE p.digest = :digest ORDER BY c.id",
            digest=parent,
        )
        for record, relation in children:
            child = CHECKPOINT.decode(record)
            edges[Edge(parent=parent, child=child.digest, relation=relation)] = None
            nodes.setdefault(child.digest, _checkpoint_node(child))
            if child.digest not in seen:
                seen.add(child.digest)
                waiting.append(child.digest)


def with_ancestors(registry: "Registry", checkpoint: Checkpoint) -> tuple[list[Checkpoint], dict[str, Checkpoint]]:
    """A checkpoint and all that it came from, nearest first, and the parents that are not in this zoo.

    Returns  the checkpoints; of each missing digest, the checkpoint that was made from it
    """
    rows = registry.database.rows(f"{LINE} ORDER BY c.id", digest=checkpoint.digest)
    records = [CHECKPOINT.decode(row[0]) for row in rows]
    return _line(checkpoint, {record.digest: record for record in records})


def _line(checkpoint: Traced, known: Mapping[str, Traced]) -> tuple[list[Traced], dict[str, Traced]]:
    """`with_ancestors`, from the known records by digest."""
    line = {checkpoint.digest: checkpoint}
    missing: dict[str, Traced] = {}
    waiting = deque([checkpoint])
    while waiting:
        child = waiting.popleft()
        for parent in child.parents:
            if parent.digest in line or parent.digest in missing:
                continue
            record = known.get(parent.digest)
            if record is None:
                missing[parent.digest] = child
            else:
                line[parent.digest] = record
                waiting.append(record)
    return list(line.values()), missing


def unique_tokens(registry: "Registry", wanted: Sequence[str] | None = None) -> dict[str, int | None]:
    """The size of each checkpoint's training data, by digest: every dataset of its line once, with its own tokens.

    A dataset that was not read to its end counts as far as it was read. None: the data of some ancestor is unknown.

    wanted  the digests of only these, which this zoo has
    """
    one = {"digest": wanted[0]} if wanted is not None and len(wanted) == 1 else {}
    query = f"{LINE if one else 'SELECT c.record FROM checkpoints c'} ORDER BY c.name, c.version"
    decoded = (ANCESTRY.decode(row[0]) for row in registry.database.rows(query, **one))
    origins = {origin.digest: origin for origin in decoded}
    sizes = {dataset.digest: dataset.tokens for dataset in registry.datasets()}
    return {digest: _unique_tokens(origins[digest], origins, sizes) for digest in wanted or origins}


def _unique_tokens(checkpoint: Ancestry, checkpoints: Mapping[str, Ancestry], sizes: Mapping[str, int]) -> int | None:
    line, missing = _line(checkpoint, checkpoints)
    if missing:
        return None
    read: dict[str, float] = {}
    for member in line:
        trained_here = all(parent.relation not in ("grow", "convert") for parent in member.parents)
        if trained_here and not member.datasets:
            return None
        if trained_here or all(checkpoints[parent.digest].datasets != member.datasets for parent in member.parents):
            for trained in member.datasets:  # 0: how far it was read is not recorded
                read[trained.digest] = read.get(trained.digest, 0) + (trained.tokens or inf)
    if not read.keys() <= sizes.keys():
        return None
    return sum(int(min(sizes[digest], tokens)) for digest, tokens in read.items())


def _find(get: Callable[[str], T], digest: str) -> T | None:
    """The record of a digest, None if this zoo does not have it."""
    try:
        return get(digest)
    except ZooError:
        return None


def tree(lineage: Graph) -> str:
    """The graph as two indented trees for a terminal: ancestors and descendants."""
    nodes = {node.digest: node for node in lineage.nodes}
    focus = nodes[lineage.focus]
    lines = [f"{focus.label} ({focus.digest[:12]})"]
    above = [edge for edge in lineage.edges if edge.child == lineage.focus]
    below = [edge for edge in lineage.edges if edge.parent == lineage.focus]
    for title, edges, up in (("comes from", above, True), ("led to", below, False)):
        if edges:
            lines += ["", title, *_branches(lineage, nodes, lineage.focus, up, "", {lineage.focus})]
    if len(lines) == 1:
        lines.append("no parents are recorded, and nothing in this zoo was made from it")
    return "\n".join(lines)


def _branches(
    lineage: Graph, nodes: dict[str, Node], root: str, up: bool, indent: str, shown: set[str]
) -> Iterator[str]:
    ends: dict[str, list[Edge]] = {}
    for edge in lineage.edges:
        ends.setdefault(edge.child if up else edge.parent, []).append(edge)
    waiting = _rows(ends.get(root, []), indent)  # a stack instead of recursion: a chain of checkpoints may be long
    while waiting:
        edge, last, indent = waiting.pop()
        other = nodes[edge.parent if up else edge.child]
        remark = "" if other.known else ", not in this zoo"
        again = other.digest in shown
        if again:
            remark += ", see above"
        kind = "dataset " if other.kind == "dataset" else ""
        yield f"{indent}{'└─' if last else '├─'} {edge.relation}: {kind}{other.label} ({other.digest[:12]}{remark})"
        if not again:
            shown.add(other.digest)
            waiting += _rows(ends.get(other.digest, []), indent + ("   " if last else "│  "))


def _rows(edges: list[Edge], indent: str) -> list[tuple[Edge, bool, str]]:
    """The branches of one node, the first on top of the stack."""
    return [(edge, edge is edges[-1], indent) for edge in reversed(edges)]


def mermaid(lineage: Graph) -> str:
    """The graph as a Mermaid flowchart, as GitHub and the dashboard draw it."""
    numbers = {node.digest: f"n{number}" for number, node in enumerate(lineage.nodes)}
    lines = ["flowchart LR"]
    for node in lineage.nodes:
        label = _quote(node.label + ("" if node.known else " (not here)"))
        lines.append(f"  {numbers[node.digest]}" + (f"[({label})]" if node.kind == "dataset" else f"[{label}]"))
    lines += [f"  {numbers[e.parent]} -->|{_quote(e.relation)}| {numbers[e.child]}" for e in lineage.edges]
    lines.append(f"  style {numbers[lineage.focus]} stroke-width:4px")
    return "\n".join(lines)


def dot(lineage: Graph) -> str:
    """The graph in Graphviz's language."""
    numbers = {node.digest: f"n{number}" for number, node in enumerate(lineage.nodes)}
    lines = ["digraph lineage {", "  rankdir=LR;"]
    for node in lineage.nodes:
        shape = "cylinder" if node.kind == "dataset" else "box"
        style = "" if node.known else ", style=dashed"
        bold = ", penwidth=3" if node.digest == lineage.focus else ""
        lines.append(f"  {numbers[node.digest]} [label={_quote(node.label)}, shape={shape}{style}{bold}];")
    lines += [f"  {numbers[e.parent]} -> {numbers[e.child]} [label={_quote(e.relation)}];" for e in lineage.edges]
    return "\n".join([*lines, "}"])


def _quote(label: str) -> str:
    """Quotes a label and replaces characters that could end the quotes: records may be pulled from elsewhere."""
    plain = "".join(c if c.isprintable() and c not in '"\\<>' else "?" for c in label)
    return f'"{plain[:120]}"'
