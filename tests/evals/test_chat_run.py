"""Runs by chat from the command line: prompts, identity, the board's columns, reproduction, refusals in one line."""

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dashboard.board.build import build_board
from evals.chat import ChatShape, bind, chat_task, folder_template
from evals.engines.tokens import folder_tokens
from evals.results.compare import compare
from evals.results.ranking import rank_columns
from evals.results.task_of_run import commands, task_of_run
from evals.run_folder import read_header
from evals.tasks import task
from zoo import settings
from zoo.cli import root
from zoo.errors import ZooError
from zoo.registry import open_registry

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:\n{% endif %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('No system role') }}{% endif %}" + TEMPLATE


def with_template(folder: Path, target: Path, template: str) -> Path:
    shutil.copytree(folder, target)
    (target / "chat_template.jinja").write_text(template)
    return target


@pytest.fixture
def zoo(tiny_phi: Path, tmp_path: Path) -> None:
    with open_registry() as registry:
        registry.add(tiny_phi, "base")
        registry.add(with_template(tiny_phi, tmp_path / "one", TEMPLATE), "chat")
        registry.add(with_template(tiny_phi, tmp_path / "two", TEMPLATE.replace("assistant", "model")), "other")
        registry.add(with_template(tiny_phi, tmp_path / "three", NO_SYSTEM), "strict")


def run(*words: str) -> int:
    return root.run(["eval", "run", *words, "--device", "cpu"])


def headers() -> dict[str, Any]:
    found = [read_header(path) for path in settings.runs_dir().iterdir()]
    return {f"{header.checkpoint_label} {header.protocol['name']}": header for header in found}


def test_a_record_says_whether_there_is_a_template(zoo: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["models", "find", "--where", "chat = yes", "--json"]) == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)} == {"chat", "other", "strict"}
    assert root.run(["models", "find", "--where", "chat = no", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["base"] and "chat_template" not in rows[0]
    assert root.run(["models", "show", "chat"]) == 0
    assert "chat template   " in capsys.readouterr().out


def test_the_wrong_form_is_said_in_one_line(zoo: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("base", "--task", "piqa", "--chat", "--limit", "2") == 2
    line = capsys.readouterr().err
    assert "base:1 has no chat template: it is a base model" in line and "Leave out --chat" in line
    assert run("chat", "--task", "piqa", "--limit", "2") == 0
    assert "chat:1 has a chat template and is asked by completions; by chat: add --chat" in capsys.readouterr().err
    assert run("chat", "--task", "piqa", "--limit", "2", "--system", "Hm") == 2
    assert "--system belongs to a chat: add --chat" in capsys.readouterr().err
    assert run("chat", "--task", "piqa", "--limit", "2", "--thinking-budget", "0") == 2
    assert "--thinking-budget belongs to a chat: add --chat" in capsys.readouterr().err
    assert run("strict", "--task", "piqa", "--limit", "2", "--chat", "--system", "Hm") == 2
    lines = [each for each in capsys.readouterr().err.splitlines() if each.startswith("phizoo: ")]
    assert len(lines) == 1 and "refuses these messages: No system role. Leave out --system" in lines[0]
    # a description is left out, as in lm-evaluation-harness, and the run says so
    assert run("strict", "--task", "mmlu", "--limit", "2", "--chat") == 0
    assert "has no system role; descriptions are left out" in capsys.readouterr().err


def test_a_run_by_chat_has_its_own_identity_and_is_made_again(zoo: None, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("chat", "--task", "piqa", "--samples", "piqa/0000,piqa/0001")
    assert run(*asked) == run(*asked, "--chat") == run(*asked, "--chat", "--system", "Be brief; it's short.") == 0
    by_name = headers()
    assert len(by_name) == 3 and len({header.fingerprint for header in by_name.values()}) == 3
    shaped = next(header for name, header in by_name.items() if "system" in name)
    assert shaped.protocol["chat"]["system"] == "Be brief; it's short."
    assert shaped.protocol["prompt"].startswith("<|endoftext|>system: Be brief; it's short.\nuser: Question:")
    assert "--chat --system 'Be brief; it'\"'\"'s short.'" in commands(shaped)[0]
    for header in by_name.values():
        assert task_of_run(header).protocol == header.protocol["name"]
    by_chat = by_name["chat:1 lm-eval, chat"]
    assert by_chat.protocol["chat"]["template"] and "chat" not in by_name["chat:1 lm-eval"].protocol
    assert capsys.readouterr().out.count("piqa [lm-eval, chat]") == 2
    assert root.run(["eval", "show", shaped.id[:12]]) == 0
    shown = capsys.readouterr().out
    assert "protocol          lm-eval, chat, system " in shown and "'Be brief; it\\'s short.'" not in shown
    assert 'system            "Be brief; it\'s short."' in shown and "examples in one message" in shown
    assert root.run(["eval", "show", shaped.id[:12], "--sample", "piqa/0000"]) == 0
    assert "system: Be brief; it's short.\\nuser: Question:" in capsys.readouterr().out


def test_the_rendered_prompt_gets_no_second_mark(zoo: None) -> None:
    with open_registry() as registry:
        folder = registry.path("chat")
    tokens = folder_tokens(folder)
    bound = bind(chat_task(task("piqa"), ChatShape()), folder)
    sample = next(iter(bound.samples()))
    context, choice = bound.pairs(sample)[0] if bound.pairs else ("", "")
    assert context.endswith("assistant:\n") and choice == sample.choices[0]
    pair = tokens.pair(context, choice, 1 << 20)
    assert pair.tokens.count(tokens.prefix) == 1 and pair.tokens[0] == tokens.prefix
    # white space at the template's end moves to the answer, as there
    assert tokens.text(pair.tokens[pair.start :]) == "\n" + choice


def test_the_tasks_of_a_checkpoint_share_its_template(zoo: None) -> None:
    with open_registry() as registry:
        folder, other = registry.path("chat"), registry.path("other")
    assert folder_template(folder) is folder_template(folder) is not folder_template(other)
    (folder / "chat_template.jinja").chmod(0o644)
    (folder / "chat_template.jinja").write_text("another")
    assert (template := folder_template(folder)) and template.text == "another"


def test_a_column_of_its_own_that_chat_models_share(zoo: None, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = task("piqa").samples
    monkeypatch.setitem(__import__("evals.tasks.piqa", fromlist=["PROTOCOLS"]).PROTOCOLS, "lm-eval", small(whole))
    assert run("chat", "--task", "piqa", "--chat") == run("other", "--task", "piqa") == 0
    for second, reason in (
        ("chat", "Next: phizoo eval run chat:1 --task arc_easy, then chat:1 with --chat"),
        ("phi-2", '"phi-2" is a published model, which nobody here asks by chat; leave out --chat'),
    ):
        with open_registry() as registry, pytest.raises(ZooError) as refused:
            compare(registry, "chat", second, chat=True)
        assert reason in str(refused.value)
    with open_registry() as registry:
        with pytest.raises(ZooError, match="Next: phizoo eval run other:1 --task piqa@lm-eval --chat"):
            compare(registry, "other", "other", chat=True)
        with pytest.raises(ZooError, match='no task "pika" among their scores'):
            compare(registry, "chat", "chat", ("pika",), chat=True)
    assert run("chat", "other", "--task", "piqa") == run("chat", "other", "--task", "piqa", "--chat") == 0
    with open_registry() as registry:
        board = build_board(registry.list(), registry.scores(), registry.protocols())
        columns = {column.key: column for column in board.columns if column.metric == "acc"}
        assert sorted(column.title for column in columns.values()) == ["lm-eval v1", "lm-eval, chat v1"]
        cells = {row.name: set(row.cells) & set(columns) for row in board.rows}
        assert cells["chat"] == cells["other"] == set(columns)
        assert "each model's own template" in next(c for c in columns.values() if "chat" in c.title).protocol
        by_chat = rank_columns(registry, "piqa@lm-eval, chat")
        assert [len(column.rows) for column in by_chat] == [2]
        assert {row.column for row in compare(registry, "chat", "other").rows if row.metric == "acc"} == {
            "piqa [lm-eval] acc", "piqa [lm-eval, chat] acc",
        }  # fmt: skip
        rows = compare(registry, "chat", "chat", flips=True, chat=True).rows
        assert rows[0].column == "piqa [lm-eval] and [lm-eval, chat] acc" and rows[0].kind == "paired"
        assert [row.metric for row in rows if row.family] == ["acc"] and rows[0].p_holm is not None
    assert root.run(["eval", "reproduce", "chat/piqa@lm-eval, chat"]) == 0


def small(samples: Any) -> Any:
    from msgspec.structs import replace

    return replace(task("piqa"), samples=lambda: iter(list(samples())[:4]), size=4)


@pytest.fixture
def endpoint() -> Iterator[SimpleNamespace]:
    state = SimpleNamespace(bodies=[])

    class Chat(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.reply({"data": [{"id": "m", "owned_by": "test", "max_model_len": 4096}]})

        def do_POST(self) -> None:
            state.bodies.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            message = {"role": "assistant", "content": "The answer is 18. #### 18"}
            self.reply({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

        def reply(self, value: dict[str, Any]) -> None:
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    yield state
    server.shutdown()
    server.server_close()


def test_an_endpoint_gets_the_messages(endpoint: SimpleNamespace) -> None:
    how = ["--engine", "openai_http", "--url", endpoint.url, "--limit", "1", "--chat"]
    assert run("endpoint:m", "--task", "gsm8k@lm-eval-cot", *how, "--system", "Hm", "--fewshot-as-turns") == 0
    path, body = endpoint.bodies[0]
    assert path == "/v1/chat/completions"
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["system"] + ["user", "assistant"] * 8 + ["user"]
    assert body["messages"][-1]["content"].startswith("Q: ") and body["messages"][-1]["content"].endswith("\nA:")
    assert run("endpoint:m", "--task", "gsm8k@chat", *how[:-1]) == 0  # a protocol of chats needs no --chat
    path, body = endpoint.bodies[1]
    assert path == "/v1/chat/completions" and "stop" not in body
    assert [message["role"] for message in body["messages"]] == ["user"]
