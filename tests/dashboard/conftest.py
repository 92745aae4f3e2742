"""Made-up records for the dashboard's tests: small, written by hand, with every state a cell can have."""

from types import SimpleNamespace

import pytest

from zoo.checkpoint import Checkpoint, File, ProtocolRecord, Reported, Score


def checkpoint(name: str = "mini", number: int = 1, **told: object) -> Checkpoint:
    facts: dict[str, object] = {
        "name": name,
        "version": 1,
        "digest": f"{number:02x}" * 32,
        "files": (File(path="model.safetensors", sha256=f"{number:064x}", bytes=4_000_000),),
        "architecture": {"model_type": "phi"},
        "parameters": 950_000 + number,
        "context_tokens": 512,
        "prompt_style": "completion",
        "training_tokens": 1_000_000,
        "recipe_digest": None,
        "parents": (),
        "datasets": (),
        "licence": "apache-2.0",
        "created": f"2026-09-{number % 28 + 1:02d}T10:00:00+00:00",
        "source": "",
    }
    return Checkpoint(**{**facts, **told})  # type: ignore[arg-type]


def protocol(task: str = "humaneval", name: str = "openai", **told: object) -> ProtocolRecord:
    facts: dict[str, object] = {
        "task": task,
        "task_version": 1,
        "name": name,
        "metric": "pass@1",
        "shots": 0,
        "prompt": "def f():\n",
        "prompts_sha256": "ab" * 32,
        "samples": 164,
        "decoding": {"temperature": 0.0, "max_tokens": 512},
    }
    return ProtocolRecord(**{**facts, **told})  # type: ignore[arg-type]


def score(of: Checkpoint, under: ProtocolRecord, value: float = 0.0, **told: object) -> Score:
    facts: dict[str, object] = {
        "checkpoint": of.digest,
        "run": f"run-{of.name}-{under.fingerprint[:6]}",
        "task": under.task,
        "protocol": under.fingerprint,
        "metric": under.metric,
        "value": value,
        "low": max(0.0, value - 0.07),
        "high": min(1.0, value + 0.07),
        "n": 164,
        "clusters": 164,
        "unscored": 0,
        "created": "2026-09-01T10:00:00+00:00",
    }
    return Score(**{**facts, **told})  # type: ignore[arg-type]


def reported(model: str = "Elsewhere-1B", value: float = 51.2, **told: object) -> Reported:
    facts: dict[str, object] = {
        "model": model,
        "parameters": 1e9,
        "training_tokens": 7e9,
        "date": "2023-06",
        "benchmark": "humaneval",
        "subset": "",
        "protocol": "pass@1",
        "shots": 0,
        "op": "=",
        "value": value,
        "n": 164,
        "source": "a paper, Table 1",
    }
    return Reported(**{**facts, **told})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def made() -> SimpleNamespace:
    """The makers of made-up records, by name."""
    return SimpleNamespace(checkpoint=checkpoint, protocol=protocol, score=score, reported=reported)
