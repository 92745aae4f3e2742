"""Where a checkpoint comes from and what was made from it: a graph, as text, JSON, Mermaid or DOT.

Edges run from what was there first to what was made of it. Records may be pulled from elsewhere,
so a parent may be missing here, and a circle, which honest digests cannot make, ends the walk.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from zoo.db.checkpoints import CHECKPOINT
from zoo.errors import ZooError
from zoo.records import Checkpoint, Dataset, Record

if TYPE_CHECKING:
    from zoo.registry import Registry


class Node(Record, frozen=True):
    """A checkpoint or dataset of the graph; `known` is False when this zoo does not hold it."""

    digest: str
    kind: Literal["checkpoint", "dataset"]
    label: str
    known: bool = True


class Edge(Record, frozen=True):
    """`child` was made from `parent`: how."""

    parent: str
    child: str
    relation: str


class Graph(Record, frozen=True):
    """All that leads to one checkpoint and all that follows from it."""

    focus: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def graph(registry: "Registry", spec: str) -> Graph:
    """The lineage of a checkpoint, both ways, datasets included."""
    focus = registry.get(spec)
    nodes = {focus.digest: _checkpoint_node(focus)}
    edges: dict[Edge, None] = {}
    _up(registry, focus, nodes, edges)
    _down(registry, focus.digest, nodes, edges)
    return Graph(focus=focus.digest, nodes=tuple(nodes.values()), edges=tuple(edges))


def _checkpoint_node(found: Checkpoint) -> Node:
    return Node(digest=found.digest, kind="checkpoint", label=found.label)


def _up(registry: "Registry", focus: Checkpoint, nodes: dict[str, Node], edges: dict[Edge, None]) -> None:
    waiting = [focus]
    while waiting:
        child = waiting.pop()
        for parent in child.parents:
            edges[Edge(parent=parent.digest, child=child.digest, relation=parent.relation)] = None
            if parent.digest in nodes:
                continue
            found = _checkpoint(registry, parent.digest)
            if found is None:
                nodes[parent.digest] = Node(
                    digest=parent.digest, kind="checkpoint", label=parent.digest[:12], known=False
                )
            else:
                nodes[parent.digest] = _checkpoint_node(found)
                waiting.append(found)
        for trained in child.datasets:
            edges[Edge(parent=trained.digest, child=child.digest, relation="data")] = None
            _data(registry, trained.digest, nodes, edges)


def _data(registry: "Registry", digest: str, nodes: dict[str, Node], edges: dict[Edge, None]) -> None:
    waiting = [digest]
    while waiting:
        one = waiting.pop()
        if one in nodes:
            continue
        found = _dataset(registry, one)
        if found is None:
            nodes[one] = Node(digest=one, kind="dataset", label=one[:12], known=False)
            continue
        nodes[one] = Node(digest=one, kind="dataset", label=found.name)
        for parent in found.parents:
            edges[Edge(parent=parent, child=one, relation="made from")] = None
            waiting.append(parent)


def _down(registry: "Registry", digest: str, nodes: dict[str, Node], edges: dict[Edge, None]) -> None:
    waiting, seen = [digest], {digest}
    while waiting:
        parent = waiting.pop()
        found = registry.database.rows(
            "SELECT c.record, p.relation FROM parents p JOIN checkpoints c ON c.id = p.checkpoint_id "
            "WHERE p.digest = :digest ORDER BY c.id",
            digest=parent,
        )
        for record, relation in found:
            child = CHECKPOINT.decode(record)
            edges[Edge(parent=parent, child=child.digest, relation=relation)] = None
            nodes.setdefault(child.digest, _checkpoint_node(child))
            if child.digest not in seen:
                seen.add(child.digest)
                waiting.append(child.digest)


def _checkpoint(registry: "Registry", digest: str) -> Checkpoint | None:
    try:
        return registry.get(digest)
    except ZooError:
        return None


def _dataset(registry: "Registry", digest: str) -> Dataset | None:
    try:
        return registry.dataset(digest)
    except ZooError:
        return None


def tree(found: Graph) -> str:
    """The graph as two indented trees for a terminal: what it comes from, what follows from it."""
    nodes = {node.digest: node for node in found.nodes}
    focus = nodes[found.focus]
    lines = [f"{focus.label} ({focus.digest[:12]})"]
    above = [edge for edge in found.edges if edge.child == found.focus]
    below = [edge for edge in found.edges if edge.parent == found.focus]
    for title, edges, up in (("comes from", above, True), ("led to", below, False)):
        if edges:
            lines += ["", title, *_branches(found, nodes, found.focus, up, "", {found.focus})]
    if len(lines) == 1:
        lines.append("nothing is known of what it comes from, and nothing here was made from it")
    return "\n".join(lines)


def _branches(found: Graph, nodes: dict[str, Node], of: str, up: bool, indent: str, told: set[str]) -> Iterator[str]:
    ends: dict[str, list[Edge]] = {}
    for edge in found.edges:
        ends.setdefault(edge.child if up else edge.parent, []).append(edge)
    waiting = _rows(ends.get(of, []), indent)  # a list, not calls: a chain of checkpoints may be long
    while waiting:
        edge, last, indent = waiting.pop()
        other = nodes[edge.parent if up else edge.child]
        what = "" if other.known else ", not in this zoo"
        again = other.digest in told
        if again:
            what += ", told above"
        kind = "dataset " if other.kind == "dataset" else ""
        yield f"{indent}{'└─' if last else '├─'} {edge.relation}: {kind}{other.label} ({other.digest[:12]}{what})"
        if not again:
            told.add(other.digest)
            waiting += _rows(ends.get(other.digest, []), indent + ("   " if last else "│  "))


def _rows(edges: list[Edge], indent: str) -> list[tuple[Edge, bool, str]]:
    """What stands under one node, the first on top of the stack."""
    return [(edge, edge is edges[-1], indent) for edge in reversed(edges)]


def mermaid(found: Graph) -> str:
    """The graph as a Mermaid flowchart, as GitHub and the dashboard draw it."""
    numbers = {node.digest: f"n{number}" for number, node in enumerate(found.nodes)}
    lines = ["flowchart LR"]
    for node in found.nodes:
        label = _quoted(node.label + ("" if node.known else " (not here)"))
        lines.append(f"  {numbers[node.digest]}" + (f"[({label})]" if node.kind == "dataset" else f"[{label}]"))
    lines += [f"  {numbers[e.parent]} -->|{_quoted(e.relation)}| {numbers[e.child]}" for e in found.edges]
    lines.append(f"  style {numbers[found.focus]} stroke-width:4px")
    return "\n".join(lines)


def dot(found: Graph) -> str:
    """The graph in Graphviz's language."""
    numbers = {node.digest: f"n{number}" for number, node in enumerate(found.nodes)}
    lines = ["digraph lineage {", "  rankdir=LR;"]
    for node in found.nodes:
        shape = "cylinder" if node.kind == "dataset" else "box"
        style = "" if node.known else ", style=dashed"
        bold = ", penwidth=3" if node.digest == found.focus else ""
        lines.append(f"  {numbers[node.digest]} [label={_quoted(node.label)}, shape={shape}{style}{bold}];")
    lines += [f"  {numbers[e.parent]} -> {numbers[e.child]} [label={_quoted(e.relation)}];" for e in found.edges]
    return "\n".join([*lines, "}"])


def _quoted(label: str) -> str:
    """A label in quotes that end only where they should: records may be pulled from elsewhere."""
    plain = "".join(c if c.isprintable() and c not in '"\\<>' else "?" for c in label)
    return f'"{plain[:120]}"'
