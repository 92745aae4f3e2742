"""The model card contains every recorded fact in a form that the hub reads, and escapes all text."""

import json
from pathlib import Path
from types import SimpleNamespace

from zoo.exchange.card import model_card
from zoo.records import About, Dataset, Search, SearchedBy, SearchedSet, Split, Stage, TrainedOn
from zoo.registry import open_registry


def front_matter(text: str) -> dict[str, object]:
    """The metadata; each value is JSON, which is YAML too."""
    lines = text.split("---\n")[1].splitlines()
    return {key: json.loads(value) for key, _, value in (line.partition(": ") for line in lines)}


def test_a_card_says_what_was_recorded(tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry() as registry:
        data = registry.add_dataset(
            Dataset(
                name="code",
                digest="b" * 64,
                kind="tokens",
                documents=70,
                tokens=1000,
                licence="psf",
                stages=(Stage(name="filter", entered=100, kept=70, dropped={"too short": 20, "duplicate": 10}),),
            )
        )
        about = About(
            datasets=(TrainedOn(digest=data.digest, tokens=2500), TrainedOn(digest="c" * 64, tokens=7)),
            recipe={"rate": 0.1},
            licence="MIT",
            tags=("keep",),
            training_tokens=2507,
        )
        found = registry.add(made.phi(tmp_path / "a", 1), "one", about)
        whole = made.score(found.digest, "run-1", 0.512)
        clean = made.score(found.digest, "run-1", 0.4, subset="clean", unscored=2)
        registry.add_scores({"id": "run-1", "checkpoint": found.digest}, made.protocol(), [whole])
        registry.add_search(
            Search(
                checkpoint=found.digest,
                task="humaneval",
                datasets=(SearchedSet(digest="b" * 64),),
                methods=(SearchedBy(method="ast", threshold=0.95),),
                samples=("humaneval/0", "humaneval/1"),
                flagged=("humaneval/0",),
            )
        )
        registry.write_split(Split(run="run-1", samples=166, overlapping=1), [clean])
        text = model_card(registry, "one")
    told = front_matter(text)
    assert told["license"] == "mit"
    (index,) = told["model-index"]  # type: ignore[misc]
    assert index["name"] == "one"
    assert [result["metrics"][0]["value"] for result in index["results"]] == [51.2, 40.0]
    for line in (
        "70 documents, 1,000 tokens, of which 2,500 were seen (2.50 times). Licence: psf.",
        "| filter | 100 | 70 | duplicate 10, too short 20 |",
        "7 tokens seen; its record is not in this zoo.",
        '"rate": 0.1',
        "| humaneval [phizoo] pass@1 | all | 51.2 [41.2–61.2] | 164 | 0 | `run-1` |",
        "| humaneval [phizoo] pass@1 | clean | 40.0 [30.0–50.0] | 164 | 2 | `run-1` |",
        "`clean` and `overlapping` are the samples",
        "pass@1, run `run-1`: 1 of 166 in training data; without them 40.0 [30.0–50.0] n=164",
        "flowchart LR",
        "| Parameters | 1,059 |",
        "| Unique tokens | unknown |",  # the record of one of its datasets is not here
        "| Tokens seen | 2,507 |",
    ):
        assert line in text, line


def test_what_is_not_known_is_said_to_be_unknown(tmp_path: Path, made: SimpleNamespace) -> None:
    with open_registry() as registry:
        found = registry.add(made.phi(tmp_path / "a", 1), "one")
        text = model_card(registry, "one")
        score = made.score(found.digest, "run-1", 0.512)
        registry.add_scores({"id": "run-1", "checkpoint": found.digest}, made.protocol(), [score])
        assert "No search for these samples in the training data is recorded" in model_card(registry, "one")
    for part in ("Training data\n\nUnknown", "Recipe\n\nUnknown", "Scores\n\nNone was measured", "Licence\n\nUnknown"):
        assert part in text
    assert front_matter(text)["license"] == "unknown"


def test_a_hostile_record_stays_text(tmp_path: Path, made: SimpleNamespace) -> None:
    evil = "<script>alert(1)</script>\n---\nlicense: evil\n# Head | a"
    with open_registry() as registry:
        about = About(licence=evil, source=evil, notes=evil, tags=(evil,), recipe={"a": "```\n# out"}, family=evil)
        registry.add(made.phi(tmp_path / "a", 1), "one", about)
        text = model_card(registry, "one")
    assert "<script" not in text.split("---\n", 2)[2]
    assert "\n# Head" not in text
    assert "\n# out" not in text
    assert front_matter(text)["license"] == evil.lower()
    assert text.count("```") == 4
