"""Whose answers these are: whatever can change an answer gives another run, so no run resumes on another's."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evals.engines import replay, transformers_local
from evals.engines.http import openai
from evals.engines.http.endpoint import EndpointError
from evals.records import Facts
from evals.run import RunOptions, plan_run
from evals.task import Task
from evals.tasks import task
from zoo.registry import open_registry


def weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    name = min(tensors)
    tensors[name] = tensors[name] + 1e-3
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def tokenizer(folder: Path) -> None:
    file = folder / "tokenizer.json"
    told = json.loads(file.read_text())
    told["pre_tokenizer"]["add_prefix_space"] = not told["pre_tokenizer"]["add_prefix_space"]
    file.write_text(json.dumps(told))


def chat_template(folder: Path) -> None:
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "chat_template": "{{ messages[0].content }}"}))


def config(folder: Path) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "layer_norm_eps": 1e-4}))


@pytest.mark.parametrize("change", [weights, tokenizer, chat_template, config])
def test_a_changed_file_is_another_checkpoint_and_another_run(
    tiny_phi: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(tiny_phi, changed)
    change(changed)
    with open_registry() as registry:
        one, other = registry.add(tiny_phi, "one"), registry.add(changed, "one")
        assert one.digest != other.digest
        assert planned(one.digest, transformers(registry.path(one))) != planned(
            other.digest, transformers(registry.path(other))
        )


def transformers(path: Path, **how: Any) -> Facts:
    return transformers_local.connect(path, **{"device": "cpu", **how}).facts


def planned(digest: str, facts: Facts, wanted: Task | None = None, **asked: Any) -> str:
    return plan_run(
        facts, wanted or task("mini_exercises"), (digest, "one:1"), RunOptions(**asked), "namespaces"
    ).header.id


def decoded(**how: Any) -> Task:
    plain = task("mini_exercises")
    return msgspec.structs.replace(plain, decoding=msgspec.structs.replace(plain.decoding, **how))


def test_all_else_that_moves_an_answer_gives_another_run(tiny_phi: Path, tmp_path: Path) -> None:
    plain = task("mini_exercises")
    facts = transformers(tiny_phi)
    saved = []
    for number in range(2):
        (tmp_path / str(number)).write_text(json.dumps({"task_id": "t", "completion": str(number)}) + "\n")
        saved.append(replay.connect(generations=str(tmp_path / str(number))).facts)
    assert plain.prompt is not None
    prompt = plain.prompt
    same = planned("d" * 64, facts)
    others = {
        "prompt bytes": planned("d" * 64, facts, msgspec.structs.replace(plain, prompt=lambda s: prompt(s) + "\n")),
        "temperature": planned("d" * 64, facts, decoded(temperature=0.2)),
        "top_p": planned("d" * 64, facts, decoded(top_p=0.9)),
        "tokens": planned("d" * 64, facts, decoded(max_tokens=17)),
        "stops": planned("d" * 64, facts, decoded(stop=("x",))),
        "boundary": planned("d" * 64, facts, decoded(boundary="healed")),
        "dtype": planned("d" * 64, transformers(tiny_phi, dtype="bfloat16")),
        "engine": planned("d" * 64, msgspec.structs.replace(facts, engine="vllm")),
        "engine's version": planned("d" * 64, msgspec.structs.replace(facts, version="0")),
        "torch": planned("d" * 64, msgspec.structs.replace(facts, identity={**facts.identity, "torch": "0"})),
        "replayed file": planned("d" * 64, saved[0]),
        "another replayed file": planned("d" * 64, saved[1]),
        "seed": planned("d" * 64, facts, seed=1),
        "checkpoint": planned("e" * 64, facts),
    }
    assert len({same, *others.values()}) == 1 + len(others), others
    assert planned("d" * 64, transformers(tiny_phi, batch=3)) == same  # how many at a time moves nothing


def listed(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint's list of models says that it loaded this folder."""
    told = {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 128, "root": root}]}
    monkeypatch.setattr("evals.engines.http.endpoint.Endpoint.get", lambda self, path: told)
    monkeypatch.setattr("evals.engines.http.openai.OpenAIHttp._echoes", True)


def test_an_endpoint_with_another_checkpoint_under_the_same_name_is_refused(
    tiny_phi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_registry() as registry:
        mine = registry.path(registry.add(tiny_phi, "one"))

    def identity() -> dict[str, Any]:
        return openai.connect(mine, url="http://127.0.0.1:1/v1").facts.identity

    listed(str(mine), monkeypatch)
    own = identity()
    for root in ("f" * 64, "/models/trees/" + "f" * 64):
        listed(root, monkeypatch)
        with pytest.raises(EndpointError, match="serves checkpoint ffffffffffff as m"):
            identity()
    listed("/models/unnamed", monkeypatch)
    assert identity() != own  # what its weights are cannot be known: at least another place is another run
