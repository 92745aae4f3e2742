"""A run's sample made again: the prompt under each name a protocol may have, choices without a checkpoint at hand."""

import msgspec
import pytest

from evals.checks.engine_check import change_ending
from evals.protocol import protocol
from evals.records import Facts, Run
from evals.results.sample import view_sample
from evals.results.task_of_run import task_of_run
from evals.task import Task
from evals.tasks import task


def header(found: Task, name: str) -> Run:
    record = msgspec.to_builtins(protocol(found, list(found.samples()), found.metrics[0]))
    facts = Facts(engine="transformers", version="1", dtype="float32", device="cpu", context_tokens=128)
    return Run(
        id="r", checkpoint="c" * 64, checkpoint_label="gone", task=found.name, protocol={**record, "name": name},
        fingerprint="f", backend=facts, seed=0, draws=1, limit=None, samples=1, hardware={}, versions={}, commit="",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["openai", "openai t=0.2 p=0.95", "openai>evalplus", "openai-quick"])
def test_a_prompt_is_found_under_each_name_a_run_may_have(name: str) -> None:
    found = task(f"humaneval@{'openai-quick' if 'quick' in name else 'openai'}")
    sample = next(iter(found.samples()))
    told = view_sample(header(found, name), sample.id)
    assert found.prompt is not None
    assert told.prompt == found.prompt(sample)
    assert not told.tokens
    assert "not known here" in told.why


@pytest.mark.parametrize("ending", ["", "\n"])
def test_a_boundary_checks_run_shows_the_end_that_it_had(ending: str) -> None:
    tried = change_ending(task("mini_exercises"), ending, "healed")
    again = task_of_run(header(tried, tried.protocol))
    sample = next(iter(tried.samples()))
    assert tried.prompt is not None and again.prompt is not None
    assert again.prompt(sample) == tried.prompt(sample)
    assert again.decoding == tried.decoding


def test_a_run_of_an_older_version_shows_no_prompt_of_todays() -> None:
    of = task("mini_exercises")
    run = header(of, "phizoo")
    old = msgspec.structs.replace(run, protocol={**run.protocol, "task_version": 1})
    view = view_sample(old, next(iter(of.samples())).id)
    assert view.prompt == ""
    assert "version 1 is not kept, here is version 2 of mini_exercises" in view.why
