"""A zoo of checkpoints whose runs are made up: which samples each one passes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evals.records import Facts, Result, Run
from evals.results.publish import publish
from evals.run import FinishedRun
from evals.tasks import task as find_task
from zoo.digest import digest
from zoo.records import Checkpoint, ProtocolRecord
from zoo.registry import Registry, open_registry

METRICS = {
    "humaneval@openai": "pass@1", "mbpp@lm-eval": "pass@1", "arc_easy@lm-eval": "acc", "arc_easy@lm-eval-quick3": "acc",
    "piqa@lm-eval": "acc_norm", "gsm8k@lm-eval": "flexible-extract", "arc_challenge@lm-eval": "acc",
}  # fmt: skip


class MadeUpZoo:
    """A registry, and runs whose scores are given."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        self.registry, self.folder = registry, folder

    def checkpoint(self, name: str, recipe: dict[str, Any] | None = None, **facts: Any) -> Checkpoint:
        """A checkpoint without files, made by a recipe; other facts of its record as given."""
        known = [row for row in self.registry.list() if row.name == name]
        if known:
            return known[0]
        record = Checkpoint(
            name=name, version=0, digest=digest(name), files=(), architecture={}, parameters=1, context_tokens=64,
            prompt_style="completion", training_tokens=None, recipe_digest=digest(recipe) if recipe else None,
            parents=(), datasets=(), licence="unknown", created="2026-01-01T00:00:00Z", source="",
        )  # fmt: skip
        return self.registry.enter(msgspec.structs.replace(record, **facts), recipe)

    def score(
        self, name: str, scores: Sequence[float | None], spec: str = "arc_easy@lm-eval",
        recipe: dict[str, Any] | None = None, clusters: int = 1, **changes: Any,
    ) -> FinishedRun:  # fmt: skip
        """Publishes a run with these scores of the samples; None is an unscored one. clusters: samples in each."""
        checkpoint = self.checkpoint(name, recipe)
        task, metric = find_task(spec), METRICS[spec]
        record = ProtocolRecord(
            task=task.name, task_version=task.version, name=task.protocol, metric=metric, prompt="",
            shots=changes.get("shots", 0), prompts_sha256="0" * 64, samples=len(scores), decoding={},
        )  # fmt: skip
        results = tuple(
            Result(
                sample=f"{task.name}/{number}", draw=0, score=score, metrics={} if score is None else {metric: score},
                verdict="unscored" if score is None else "passed" if score == 1 else "failed",
                cluster=f"passage {number // clusters}" if clusters > 1 else "", prompt_tokens=10, tokens=5,
                **{key: value[number] for key, value in changes.get("lines", {}).items()},
            )
            for number, score in enumerate(scores)
        )  # fmt: skip
        facts = {"engine": "test", "version": "1", "dtype": "float32", "device": "cpu", "context_tokens": 64}
        header: dict[str, Any] = {
            "id": digest([checkpoint.digest, record.fingerprint, spec, msgspec.to_builtins(changes.get("header", {}))]),
            "checkpoint": checkpoint.digest, "checkpoint_label": checkpoint.label, "task": task.name,
            "protocol": msgspec.to_builtins(record), "fingerprint": record.fingerprint, "backend": Facts(**facts),
            "seed": 0, "draws": 1, "limit": None, "samples": len(scores), "hardware": {}, "versions": {}, "commit": "",
        }  # fmt: skip
        run = Run(**header | changes.get("header", {}))
        path = self.folder / f"{run.id}.jsonl"
        path.write_bytes(b"".join(msgspec.json.encode(result) + b"\n" for result in results))
        finished = FinishedRun(header=run, protocols=(record,), results=results, path=path)
        publish(self.registry, finished, max_unscored=100.0)
        return finished


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MadeUpZoo]:
    """An empty zoo; `made_up.score(name, scores)` fills it."""
    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "home"))
    folder = tmp_path / "runs"
    folder.mkdir()
    with open_registry() as registry:
        yield MadeUpZoo(registry, folder)


def right(passed: Mapping[int, float] | Sequence[int] | range, n: int) -> list[float]:
    """Scores of n samples of which these are right."""
    chosen = set(passed)
    return [float(number in chosen) for number in range(n)]
