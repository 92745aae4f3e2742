"""The answers of five servers in their own forms: models, a chat with a thought, an error that names a parameter.

Recorded after their documents and sources, not from a running server: Ollama 0.12 (docs/openai.md), llama.cpp's
llama-server (tools/server/README.md), SGLang 0.5 (docs/basic_usage/openai_api), LM Studio 0.3, vLLM 0.32.
llama-cpp-python's server (0.3) is recorded from a run of it.
"""

from typing import Any

import pytest

from evals.engines.http.answer import read_generation, read_stream
from evals.engines.http.parameters import refused_parameter, thinking_fields
from evals.records import Decoding, GenerateRequest
from evals.scoring.thought import THINK, ThoughtPlan
from tests.evals.engines.http.test_openai import Handler, connected, serving
from zoo.errors import ZooError

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
# server -> (entry of /models, the message of a chat)
SERVERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "Ollama": (
        {"id": "qwen3:0.6b", "object": "model", "created": 1745998171, "owned_by": "library"},
        {"role": "assistant", "content": "Four.", "reasoning": "2 and 2"},
    ),
    "llama-server": (
        {"id": "qwen3.gguf", "object": "model", "created": 1745998171, "owned_by": "llamacpp",
         "meta": {"vocab_type": 2, "n_vocab": 151936, "n_ctx_train": 40960, "n_embd": 1024, "n_params": 596049920}},
        {"role": "assistant", "reasoning_content": "2 and 2", "content": "Four."},
    ),
    "SGLang": (
        {"id": "Qwen/Qwen3-0.6B", "object": "model", "created": 1745998171, "owned_by": "sglang",
         "root": "Qwen/Qwen3-0.6B", "max_model_len": 40960},
        {"role": "assistant", "content": "Four.", "reasoning_content": "2 and 2", "tool_calls": None},
    ),
    "LM Studio": (
        {"id": "qwen3-0.6b", "object": "model", "owned_by": "organization_owner"},
        {"role": "assistant", "content": "<think>\n2 and 2\n</think>\n\nFour."},
    ),
    "vLLM": (
        {"id": "Qwen/Qwen3-0.6B", "object": "model", "created": 1745998171, "owned_by": "vllm", "parent": None,
         "root": "Qwen/Qwen3-0.6B", "max_model_len": 40960, "permission": []},
        {"role": "assistant", "content": "\n\nFour.", "refusal": None, "reasoning": "2 and 2", "tool_calls": []},
    ),
}  # fmt: skip


def request(**more: Any) -> GenerateRequest:
    return GenerateRequest(sample="s", draw=0, prompt="2+2?", decoding=Decoding(max_tokens=16), seed=0, **more)


@pytest.mark.parametrize("server", SERVERS)
def test_a_thought_comes_apart_from_every_server(server: str) -> None:
    message = SERVERS[server][1]
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE}
    text = read_generation(request(), answer, 0, chat=True, tokens=None)
    assert (text.thought, text.text, text.unfinished, text.tokens) == ("2 and 2", "Four.", False, 7)
    deltas = [{name: value} for name, value in message.items() if name in ("reasoning", "reasoning_content", "content")]
    deltas.sort(key=lambda delta: "content" in delta)
    events = [
        {"choices": [{"index": 0, "delta": delta}]} for delta in [{"role": "assistant", "content": None}, *deltas]
    ]
    pieces = "".join(read_stream(events, chat=True))
    assert pieces.startswith("<think>") and pieces.endswith("Four.") and pieces.count("</think>") == 1


@pytest.mark.parametrize("server", SERVERS)
def test_the_switch_of_thinking_is_sent_only_where_it_is_known(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, message = SERVERS[server]

    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE}
        handler.reply(200, answer)

    monkeypatch.setattr(Handler, "do_GET", lambda handler: handler.reply(200, {"object": "list", "data": [model]}))
    off = ThoughtPlan((THINK,), switch=False)
    with serving(script) as (url, seen):
        engine = connected(url, chat=True)
        assert engine.facts.identity["server"] == model["owned_by"]
        assert engine.facts.context_tokens == model.get("max_model_len", 0)
        if server in ("vLLM", "SGLang", "llama-server"):
            (text,) = engine.generate([request(thought=off)])
            assert text.text == "Four."
            assert seen.asked[0]["chat_template_kwargs"] == {"enable_thinking": False, "thinking": False}
        else:
            with pytest.raises(ZooError, match="leave out --thinking"):
                list(engine.generate([request(thought=off)]))
            assert not seen.asked


def test_a_budget_is_sent_to_vllm_and_our_server_and_refused_elsewhere() -> None:
    plan = ThoughtPlan((THINK,), budget=64)
    for server in ("vllm", "phi-zoo"):
        assert thinking_fields(plan, server) == {"thinking_token_budget": 64}
    for server in ("sglang", "llamacpp", "library", ""):
        with pytest.raises(ZooError, match="--thinking-budget"):
            thinking_fields(plan, server)


def test_validation_of_llama_cpp_pythons_server_refuses_no_parameter() -> None:
    """From a run of its server 0.3: a value of another kind ends with a 500, and names the field."""
    message = (
        "1 validation error:\n  {'type': 'float_parsing', 'loc': ('body', 'temperature'), 'msg': 'Input should be a "
        "valid number, unable to parse string as a number', 'input': 'x'}"
    )
    body = {"error": {"message": message, "type": "internal_server_error", "param": None, "code": None}}
    assert refused_parameter(body, {"temperature": "x"}) == ""
