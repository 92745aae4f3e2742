"""The commands that `phizoo try` runs: which tasks by chat, which as completions."""

import pytest

from dashboard.trial.steps import asked_protocols, run_commands, suite_tasks
from evals.checks.candidate import AskedForm
from zoo.errors import ZooError


def test_a_base_model_needs_one_command_and_a_chat_model_two() -> None:
    tasks = suite_tasks("small")
    assert [task.protocol for task in tasks] == [task.protocol for task in suite_tasks("suite:small")]
    (base,) = run_commands("mine:1", tasks, AskedForm(False, ""), "transformers")
    assert base[:3] == ["eval", "run", "mine:1"]
    assert "--chat" not in base
    plain, chat = run_commands("mine:1", tasks, AskedForm(True, ""), "vllm")
    assert chat[-3:] == ["--engine", "vllm", "--chat"]
    asked = plain[plain.index("--task") + 1].split(",") + chat[chat.index("--task") + 1].split(",")
    assert sorted(asked) == sorted(base[base.index("--task") + 1].split(","))


def test_protocols_are_named_as_they_are_asked() -> None:
    tasks = suite_tasks("piqa@lm-eval-quick3,hellaswag_bpb@olmo-bpb-quick3")
    assert asked_protocols(tasks, AskedForm(False, "")) == {(task.name, task.protocol) for task in tasks}
    by_chat = dict(asked_protocols(tasks, AskedForm(True, "")))
    assert "chat" in by_chat["piqa"]
    assert by_chat["hellaswag_bpb"] == "olmo-bpb-quick3"


def test_an_unknown_suite_is_refused() -> None:
    with pytest.raises(ZooError, match="smal"):
        suite_tasks("suite:smal")
