"""Small made-up records for the dashboard's tests, with every state that a cell can have."""

import json
import math
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from evals.protocol import prompts_sha256
from evals.records import Facts, Result, Run
from evals.stats.summary import summarise
from evals.tasks import task as find_task
from zoo.digest import digest
from zoo.records import About, Checkpoint, Dataset, File, Parent, ProtocolRecord, Reported, Score, Stage, TrainedOn
from zoo.registry import open_registry


@pytest.fixture(autouse=True)
def _own_main() -> Iterator[None]:
    """Streamlit's AppTest replaces `__main__` by its script, which a worker process of a later test would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


def checkpoint(name: str = "mini", number: int = 1, **changes: object) -> Checkpoint:
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
    return Checkpoint(**{**facts, **changes})  # type: ignore[arg-type]


def protocol(task: str = "humaneval", name: str = "openai", **changes: object) -> ProtocolRecord:
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
    return ProtocolRecord(**{**facts, **changes})  # type: ignore[arg-type]


def score(of: Checkpoint, under: ProtocolRecord, value: float = 0.0, **changes: object) -> Score:
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
    return Score(**{**facts, **changes})  # type: ignore[arg-type]


def reported(model: str = "Elsewhere-1B", value: float = 51.2, **changes: object) -> Reported:
    facts: dict[str, object] = {
        "model": model,
        "parameters": 1e9,
        "unique_tokens": 7e9,
        "training_tokens": 5.1e10,
        "date": "2023-06",
        "benchmark": "humaneval",
        "subset": "",
        "protocol": "pass@1",
        "shots": 0,
        "op": "=",
        "value": value,
        "n": 164,
        "source": "a paper, Table 1",
        "address": "https://arxiv.org/abs/2306.11644v2",
        "accessed": "2026-11-24",
    }
    return Reported(**{**facts, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def made() -> SimpleNamespace:
    """The makers of made-up records, by name."""
    return SimpleNamespace(
        checkpoint=checkpoint,
        protocol=protocol,
        score=score,
        reported=reported,
        result=result,
        add_run=add_run,
        weights=weights,
        fill=fill,
    )


WIDTH, VOCABULARY = 8, 16
CONFIG = {
    "model_type": "phi", "architectures": ["PhiForCausalLM"], "hidden_size": WIDTH, "intermediate_size": 4 * WIDTH,
    "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "vocab_size": VOCABULARY,
    "max_position_embeddings": 512, "partial_rotary_factor": 0.5, "tie_word_embeddings": False, "hidden_act": "gelu_new",
}  # fmt: skip


def weights(folder: Path, number: int) -> Path:
    """A folder with the smallest Phi there is (one layer, width 8), different for each number."""
    folder.mkdir(parents=True)
    layer = "model.layers.0."
    square = {f"{layer}self_attn.{name}": (WIDTH, WIDTH) for name in ("q_proj", "k_proj", "v_proj", "dense")}
    shapes = {
        **square, f"{layer}mlp.fc1": (4 * WIDTH, WIDTH), f"{layer}mlp.fc2": (WIDTH, 4 * WIDTH),
        f"{layer}input_layernorm": (WIDTH,), "model.final_layernorm": (WIDTH,), "lm_head": (VOCABULARY, WIDTH),
    }  # fmt: skip
    tensors = {"model.embed_tokens.weight": (VOCABULARY, WIDTH)}
    for name, shape in shapes.items():
        tensors |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    header: dict[str, Any] = {}
    at = 0
    for name, shape in tensors.items():
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    values = struct.pack("<f", float(number)) * (at // 4)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(encoded)) + encoded + values)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def result(number: int, passed: bool, task: str = "humaneval", **changes: object) -> Result:
    """One result line of a made-up run."""
    facts: dict[str, object] = {
        "sample": f"{task}/{number}",
        "draw": 0,
        "score": float(passed),
        "metrics": {"pass@1": float(passed)},
        "answer": f"    return {number}",
        "text": f"    return {number}\n\n\nclass Next:",
        "verdict": "passed" if passed else "failed",
        "detail": "" if passed else "AssertionError",
        "finish": "stop",
        "prompt_tokens": 90,
        "tokens": 12,
        "seconds": 0.4,
    }
    return Result(**{**facts, **changes})  # type: ignore[arg-type]


def add_run(registry: Any, folder: Path, of: Checkpoint, under: ProtocolRecord, results: list[Result]) -> str:
    """Adds a run of these results and its score to the registry; gives back its id."""
    run = digest([of.digest, under.fingerprint])[:32]
    path = folder / f"{run}.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in results))
    summary = summarise(results, under.metric, "clusters")
    tier = "namespaces" if under.metric == "pass@1" else ""
    facts = Facts(engine="transformers", version="5.0", dtype="float32", device="cpu", context_tokens=512)
    header = Run(
        id=run, checkpoint=of.digest, checkpoint_label=of.label, task=under.task, protocol=msgspec.to_builtins(under),
        fingerprint=under.fingerprint, backend=facts, seed=0, draws=1, limit=None, samples=len(results),
        hardware={"cpu": "2 cores"}, versions={"torch": "2.9"}, commit="abc1234", sandbox=tier,
        started="2026-09-01T10:00:00Z", command=f"phizoo eval run {of.label} --task {under.task}",
    )  # fmt: skip
    made = score(
        of, under, summary.value, run=run, low=summary.low, high=summary.high, n=summary.n, clusters=summary.clusters,
        unscored=summary.unscored, results="00" * 32,
    )  # fmt: skip
    registry.add_scores(msgspec.to_builtins(header), under, [made], path)
    return run


LIFT = (("phi-1-small-mini-unfiltered", 4), ("phi-1-small-mini-base", 61), ("phi-1-small-mini", 203))


def fill(folder: Path) -> None:
    """Fills a zoo as the quickstart does: three checkpoints, three tasks, every result."""
    code = protocol(prompt='def add(a, b):\n    """Sum."""\n')
    task = find_task("mini_exercises")  # its own prompts, so that the pages can show a question
    prompts = prompts_sha256(task, list(task.samples()))
    mini = protocol("mini_exercises", "phizoo", task_version=task.version, samples=320, prompts_sha256=prompts)
    arc = protocol("arc_easy", "lm-eval", metric="acc", decoding={}, prompt="Question: Why?\nAnswer:")
    with open_registry(f"sqlite:///{folder / 'zoo.db'}", str(folder / "store")) as registry:
        data = Dataset(name="base-tokens", digest="ab" * 32, kind="tokens", documents=900, tokens=1_000_000,
                       stages=(Stage(name="filter", entered=3000, kept=900, dropped={"low value": 2100}),))  # fmt: skip
        registry.add_dataset(data)
        before: Checkpoint | None = None
        for number, (name, solved) in enumerate(LIFT):
            about = About(
                family="phi", training_tokens=1_500_000, licence="apache-2.0", recipe={"model": {"layers": 5}},
                datasets=(TrainedOn(digest=data.digest, tokens=1_500_000),),
                parents=(Parent(digest=before.digest, relation="finetune"),) if before and number == 2 else (),
            )  # fmt: skip
            before = registry.add(weights(folder / name, number), name, about)
            add_run(registry, folder, before, code, [result(n, False) for n in range(164)])
            solves = [result(n, n < solved, "mini_exercises", sample=f"mini_exercises/{n:03d}") for n in range(320)]
            if number == 1:
                solves[300] = result(
                    300, False, "mini_exercises", score=None, verdict="unscored", detail="sandbox fault"
                )
            add_run(registry, folder, before, mini, solves)
            graded = [
                result(n, n % 4 == number, "arc_easy", metrics={"acc": float(n % 4 == number)}) for n in range(400)
            ]
            add_run(registry, folder, before, arc, graded)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a made-up zoo; read it, do not write to it."""
    folder = tmp_path_factory.mktemp("made-up-zoo")
    fill(folder)
    return folder


@pytest.fixture
def zoo(filled: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The made-up zoo as the environment's zoo."""
    monkeypatch.setenv("PHIZOO_DB", f"sqlite:///{filled / 'zoo.db'}")
    monkeypatch.setenv("PHIZOO_STORE", str(filled / "store"))
    return filled


@pytest.fixture(scope="module")
def address(filled: Path) -> Iterator[str]:
    """The address of a server over the made-up zoo."""
    from tests.dashboard.browser import serving

    with serving(filled) as opened:
        yield opened


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from tests.dashboard.browser import CHROMIUM, FLAGS, playwright

    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page that fails the test for console errors and for requests that leave the machine."""
    from tests.dashboard.browser import SLOW_MS, watch

    context = chromium.new_context(viewport={"width": 1440, "height": 1000})
    opened = context.new_page()
    opened.set_default_timeout(SLOW_MS)
    faults: list[str] = []
    watch(opened, faults)
    yield opened
    context.close()
    assert faults == []
