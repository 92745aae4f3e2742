"""Lineage both ways, in all four forms, also when records are missing, circular or hostile."""

import json
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from zoo import lineage
from zoo.cli import root
from zoo.exchange.card import model_card
from zoo.lineage import Edge, Graph, Node
from zoo.records import About, Checkpoint, Dataset, Parent, Relation, TrainedOn
from zoo.registry import open_registry


def test_the_whole_way_from_raw_data_to_the_last_child(db: str, tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry(db) as registry:
        raw = registry.add_dataset(Dataset(name="raw", digest="a" * 64, kind="documents", documents=9, tokens=9))
        code = registry.add_dataset(
            Dataset(name="code", digest="b" * 64, kind="tokens", documents=1, tokens=1, parents=(raw.digest, "c" * 64))
        )
        trained = About(datasets=(TrainedOn(digest=code.digest, tokens=5),))
        base = registry.add(made.phi(tmp_path / "a", 1), "base", trained)
        tuned = registry.add(
            made.phi(tmp_path / "b", 2), "tuned", About(parents=(Parent(digest=base.digest, relation="finetune"),))
        )
        lost = Parent(digest="f" * 64, relation="convert")
        registry.add(
            made.phi(tmp_path / "c", 3), "grown", About(parents=(Parent(digest=tuned.digest, relation="grow"), lost))
        )
        found = lineage.graph(registry, "tuned")
        assert {
            (edge.relation, edge.parent[:1], edge.child[:1]) for edge in found.edges if edge.relation == "made from"
        } == {
            ("made from", "a", "b"),
            ("made from", "c", "b"),
        }
        assert lineage.tree(found).splitlines() == [
            f"tuned:1 ({tuned.digest[:12]})",
            "",
            "comes from",
            f"└─ finetune: base:1 ({base.digest[:12]})",
            f"   └─ data: dataset code ({'b' * 12})",
            f"      ├─ made from: dataset raw ({'a' * 12})",
            f"      └─ made from: dataset {'c' * 12} ({'c' * 12}, not in this zoo)",
            "",
            "led to",
            f"└─ grow: grown:1 ({registry.get('grown').digest[:12]})",
        ]
        assert json.loads(msgspec.json.encode(found))["focus"] == tuned.digest
        assert "convert" in {edge.relation for edge in lineage.graph(registry, "grown").edges}
        alone = lineage.graph(registry, registry.add(made.phi(tmp_path / "d", 4), "alone").label)
        assert "no parents are recorded" in lineage.tree(alone)


def test_the_size_of_the_data_counts_each_dataset_of_the_line_once(
    db: str, tmp_path: Path, made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PHIZOO_DB", db)
    monkeypatch.setenv("PHIZOO_STORE", str(tmp_path / "store"))  # a shared database without one is refused
    with open_registry(db) as registry:
        books, code = (
            registry.add_dataset(Dataset(name=name, digest=letter * 64, kind="tokens", documents=1, tokens=100))
            for name, letter in (("books", "a"), ("code", "b"))
        )

        def add(name: str, *parents: tuple[Checkpoint, Relation], **tokens: int) -> Checkpoint:
            read = tuple(
                TrainedOn(digest={"books": books, "code": code}[k].digest, tokens=n) for k, n in tokens.items()
            )
            line = tuple(Parent(digest=parent.digest, relation=relation) for parent, relation in parents)
            return registry.add(made.phi(tmp_path / name, len(name)), name, About(parents=line, datasets=read))

        base = add("base", books=800)
        tuned = add("tuned", (base, "finetune"), code=30, books=50)
        grown = add("grown-", (tuned, "grow"), code=30, books=50)
        add("further", (grown, "resume"), code=60)
        add("unsaid-data", (base, "finetune"))
        add("from-nowhere", *[(tuned, "finetune")], code=1)
        registry.add(made.phi(tmp_path / "x", 40), "imported", About(training_tokens=7))
        lost = About(parents=(Parent(digest="f" * 64, relation="grow"),), datasets=tuned.datasets)
        registry.add(made.phi(tmp_path / "y", 41), "orphan", lost)
        sizes = lineage.unique_tokens(registry)
        assert {c.name: sizes[c.digest] for c in registry.list()} == {
            "base": 100, "tuned": 130, "grown-": 130, "further": 190, "unsaid-data": None, "from-nowhere": 131,
            "imported": None, "orphan": None,
        }  # fmt: skip
        assert "| Unique tokens | 130 |" in model_card(registry, "tuned")
    assert root.run(["models", "show", "tuned"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "unique tokens 130 tokens seen unknown" in shown
    assert root.run(["models", "show", "tuned", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unique_tokens"] == 130


def test_a_circle_and_a_shared_ancestor_end_the_walk() -> None:
    nodes = tuple(Node(digest=letter * 64, kind="checkpoint", label=letter) for letter in "abcd")
    pairs = [("a", "b"), ("b", "a"), ("b", "c"), ("a", "c"), ("c", "d"), ("d", "c")]
    edges = tuple(Edge(parent=p * 64, child=c * 64, relation="grow") for p, c in pairs)
    text = lineage.tree(Graph(focus="c" * 64, nodes=nodes, edges=edges))
    assert text.count("see above") >= 2
    assert len(text.splitlines()) < 20


def test_a_hostile_label_stays_a_label() -> None:
    label = 'x"] --> y\n click n0 "javascript:alert(1)" <script>\\'
    found = Graph(focus="a" * 64, nodes=(Node(digest="a" * 64, kind="dataset", label=label),), edges=())
    assert lineage.mermaid(found).count("\n") == 2
    assert lineage.mermaid(found).count('"') == 2
    assert lineage.dot(found).count('"') == 2
    assert "<script" not in lineage.mermaid(found)


def test_a_long_chain_is_shown_to_its_end() -> None:
    count = 3000
    nodes = tuple(Node(digest=f"{n:064x}", kind="checkpoint", label=f"m{n}") for n in range(count))
    edges = tuple(Edge(parent=f"{n:064x}", child=f"{n + 1:064x}", relation="finetune") for n in range(count - 1))
    told = lineage.tree(Graph(focus=nodes[0].digest, nodes=nodes, edges=edges)).splitlines()
    assert len(told) == count + 2
    assert "m2999" in told[-1]
