"""`phizoo doctor MODEL`: memory needed against memory there, engine, refusal, time; each with its remedy."""

import json
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from evals.checks import estimate, fitness, machine
from evals.checks.candidate import Candidate, find_candidate
from evals.checks.diagnosis import Diagnosis
from evals.engines import gpus
from evals.engines.gpus import Gpu
from evals.run import RunOptions
from evals.suites import find_tasks
from zoo.cli import root

CPU = Gpu(50e9, 10e9, 64e9)


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "measure_cpu", lambda: CPU)
    monkeypatch.setattr(machine, "free_memory", lambda: 8 << 30)
    monkeypatch.setattr(gpus, "count", lambda: 0)


def diagnosed(candidate: Candidate, engine: str = "", spec: str = "mini_exercises") -> dict[str, Diagnosis]:
    return {finding.name: finding for finding in fitness.diagnose(candidate, spec, find_tasks(spec), engine)}


def test_a_model_that_fits_is_ok_throughout(tiny_phi: Path) -> None:
    found = diagnosed(find_candidate(str(tiny_phi)))
    assert list(found) == ["model", "family", "engine", "memory", "asked", "mini_exercises"]
    assert {finding.state for finding in found.values()} == {"ok"}
    assert found["engine"].detail.startswith("transformers: ")
    assert "8.0 GiB of memory free" in found["memory"].detail


def test_memory_that_is_not_there_is_wrong_and_a_cache_that_does_not_fit_is_said(
    tiny_phi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = find_candidate(str(tiny_phi))
    weights, cache, dtype = fitness.needed_bytes(candidate, "transformers")
    assert (weights, dtype) == (4 * candidate.planned.parameters, "float32")
    assert fitness.needed_bytes(replace(candidate, file_bytes=99), "llama_cpp")[0] == 99
    monkeypatch.setattr(machine, "free_memory", lambda: weights + cache // 2)
    assert diagnosed(candidate)["memory"].state == "missing"
    monkeypatch.setattr(machine, "free_memory", lambda: weights - 1)
    assert diagnosed(candidate)["memory"].state == "wrong"
    assert diagnosed(candidate)["memory"].remedy


def test_a_refused_family_ends_the_findings_with_its_reason(tiny_phi: Path) -> None:
    candidate = find_candidate(str(tiny_phi))
    bert = replace(candidate, planned=replace(candidate.planned, shape=replace(candidate.planned.shape, family="bert")))
    found = diagnosed(bert)
    assert list(found) == ["model", "family"]
    assert found["family"].state == "wrong"
    assert "reads the tokens that follow" in found["family"].detail


def test_an_engine_that_is_not_installed_has_its_remedy(tiny_phi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate.importlib.util, "find_spec", lambda _name: None)
    finding = diagnosed(find_candidate(str(tiny_phi)), "llama_cpp")["engine"]
    assert (finding.state, finding.remedy) == ("wrong", "pip install 'phi-zoo[llama-cpp]'")


def test_time_is_between_prompts_read_once_and_all_prompts_read(tiny_phi: Path) -> None:
    candidate = find_candidate(str(tiny_phi))
    work = estimate.Work(requests=10, read=4_000, fresh=1_000, written=0, longest=100)
    quick, slow = estimate.estimate_cpu(candidate.planned, "float32", [work, work], CPU)
    assert slow == pytest.approx(2 * 2 * candidate.planned.parameters * 4_000 / 50e9)
    assert quick == pytest.approx(slow / 4)
    text = fitness.time_text(candidate, [work], "transformers")
    assert text.startswith("about ")
    assert text.endswith("10 requests, 4,000 tokens to read")


def test_llama_cpp_takes_its_own_time(tiny_phi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = find_candidate(str(tiny_phi))
    tokens = int(1000 * 50e9 / (2 * candidate.planned.parameters))
    work = estimate.Work(requests=10, read=tokens, fresh=tokens, written=0, longest=100)
    monkeypatch.setattr(machine, "measure_cpu", lambda: CPU)
    monkeypatch.setattr(machine, "request_seconds", lambda: 0.0)
    assert fitness.time_text(candidate, [work], "transformers").startswith("about 16:40 on")
    assert fitness.time_text(candidate, [work], "llama_cpp").startswith("about 1:00:00 on")


def test_on_a_gpu_the_time_is_by_its_data_sheet_and_memory_is_its_own(
    tiny_phi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = find_candidate(str(tiny_phi))
    work = estimate.Work(requests=10, read=4_000, fresh=1_000, written=0, longest=100)
    monkeypatch.setattr(gpus, "count", lambda: 1)
    monkeypatch.setattr(machine, "free_gpu_memory", lambda: 3 << 30)
    monkeypatch.setattr(machine, "gpu_name", lambda: "NVIDIA H100 80GB HBM3")
    assert "on this GPU" in fitness.time_text(candidate, [work], "vllm")
    assert "on this CPU" in fitness.time_text(candidate, [work], "llama_cpp")
    assert "3.0 GiB of GPU memory free" in fitness._memory(candidate, "transformers").detail
    monkeypatch.setattr(machine, "gpu_name", lambda: "NVIDIA GeForce")
    assert "no time is given" in fitness.time_text(candidate, [work], "vllm")


def test_prompts_with_one_beginning_are_counted_as_read_once() -> None:
    fresh = [estimate.measure_work(find_tasks(name)[0], RunOptions(limit=20)) for name in ("mini_exercises",)]
    assert 0 < fresh[0].fresh < fresh[0].read


def test_the_command_prints_the_findings_and_its_exit_code_says_wrong(
    tiny_phi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fitness, "SMALL", "mini_exercises")
    assert root.run(["doctor", str(tiny_phi)]) == 0
    assert "ok       memory" in capsys.readouterr().out
    bert = tmp_path / "bert"
    shutil.copytree(tiny_phi, bert)
    config = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    assert root.run(["doctor", str(bert), "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)
    assert finding["state"] == "wrong"
    assert "model_type bert is refused" in finding["detail"]
    assert root.run(["doctor", "./nothing"]) == 2
    assert "no such folder or file" in capsys.readouterr().err


def test_free_memory_is_what_the_system_and_the_container_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    proc = tmp_path / "meminfo"
    proc.write_text("MemTotal:  9000 kB\nMemAvailable:  4000 kB\n")
    assert machine.free_memory(proc, tmp_path) == 4000 * 1024
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert machine.free_memory(proc, tmp_path) == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.free_memory(proc, tmp_path) == 4000 * 1024
    assert machine.free_memory(tmp_path / "none", tmp_path) > 1 << 20


def test_a_cpu_is_measured() -> None:
    cpu = machine.measure_cpu.__wrapped__() if hasattr(machine.measure_cpu, "__wrapped__") else machine.measure_cpu()
    assert cpu.flops > 1e8
    assert cpu.bandwidth > 1e7
