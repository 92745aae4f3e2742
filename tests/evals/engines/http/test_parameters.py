"""A parameter that a server refuses: read from every form of error, left out only where the reading does without."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evals.engines.http.endpoint import EndpointError
from evals.engines.http.parameters import refused_parameter, why_needed
from evals.records import Decoding, Result, Run, Sample, Scored
from evals.run import FinishedRun, RunOptions, evaluate
from evals.task import Task
from tests.evals.engines.http.test_openai import Handler, connected, serving

SENT = {"model": "m", "messages": [], "max_tokens": 8, "temperature": 0, "top_p": 1, "seed": 1, "stop": ["\n"]}
# server -> (parameter, its error), as its documents or its source give it
ERRORS: dict[str, tuple[str, Any]] = {
    "OpenAI, a value": ("temperature", {"error": {
        "message": "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is "
                   "supported.", "type": "invalid_request_error", "param": "temperature", "code": "unsupported_value"}}),
    "OpenAI, a parameter": ("stop", {"error": {
        "message": "Unsupported parameter: 'stop' is not supported with this model.", "type": "invalid_request_error",
        "param": "stop", "code": "unsupported_parameter"}}),
    "OpenAI, another name": ("max_tokens", {"error": {
        "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
                   "instead.", "type": "invalid_request_error", "param": "max_tokens", "code": "unsupported_parameter"}}),
    "vLLM": ("seed", {"error": {
        "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are not permitted', "
                   "'input': 1}]", "type": "BadRequestError", "param": None, "code": 400}}),
    "vLLM, older": ("top_p", {"object": "error", "message": "top_p is not supported", "type": "BadRequestError",
                              "param": None, "code": 400}),
    "FastAPI": ("seed", {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"],
                                     "msg": "Extra inputs are not permitted", "input": {"temperature": 0}}]}),
    "llama-server": ("stop", {"error": {"code": 400, "message": "Unsupported param: stop",
                                        "type": "invalid_request_error"}}),
    "Ollama": ("seed", {"error": "unknown field: seed"}),
    "Ollama, OpenAI's form": ("temperature", {"error": {"message": "temperature is not supported by this model",
                                                        "type": "api_error", "param": None, "code": None}}),
    "Google": ("seed", [{"error": {"code": 400, "message": 'Invalid JSON payload received. Unknown name "seed": Cannot '
                                   'find field.', "status": "INVALID_ARGUMENT"}}]),
    "a text": ("temperature", "This model does not support the temperature parameter"),
    "an error cut short": ("stop", '{"error": {"message": "unsupported", "param": "stop", "inp'),
    "another fault": ("", {"error": {"message": "This model's maximum context length is 128 tokens; stop earlier"}}),
    "a value too large": ("", {"error": {"message": "max_tokens is too large: 9000", "param": "max_tokens"}}),
    "no model": ("", {"error": {"message": "model m is not supported", "param": "model"}}),
    "a parameter that was not sent": ("", {"error": {"message": "Unsupported parameter: 'logit_bias'",
                                                     "param": "logit_bias"}}),
}  # fmt: skip


@pytest.mark.parametrize("server", ERRORS)
def test_the_refused_parameter_is_read_from_every_servers_error(server: str) -> None:
    parameter, body = ERRORS[server]
    assert refused_parameter(body, SENT) == parameter


@pytest.mark.parametrize("body", [None, 5, [], {}, [[]], {"error": None}, {"error": [1]}, {"detail": [{"loc": 5}]}])
def test_an_error_of_another_form_names_no_parameter(body: Any) -> None:
    assert refused_parameter(body, SENT) == ""


def test_only_what_the_reading_does_without_is_left_out() -> None:
    def needed(name: str, several: bool = False, greedy_only: bool = False, **how: float) -> bool:
        decoding = Decoding(max_tokens=8, **how)
        return bool(why_needed(name, decoding, several=several, greedy_only=greedy_only))

    assert not needed("stop") and not needed("seed") and needed("seed", several=True, temperature=1.0)
    assert not needed("temperature") and not needed("temperature", temperature=1.0)
    assert needed("temperature", greedy_only=True) and needed("temperature", temperature=0.2)
    assert not needed("top_p") and needed("top_p", temperature=0.2, top_p=0.95)
    assert needed("max_tokens") and needed("logit_bias")


def samples() -> list[Sample]:
    return [Sample(id=f"s{n}", question=f"q{n}\n", target="4") for n in range(3)]


TASK = Task(
    name="sums", version=1, kind="generate", about="", samples=samples, protocol="own",
    prompt=lambda sample: sample.question, score=lambda sample, answer: Scored(metrics={"accuracy": float("4" in answer)}),
    decoding=Decoding(max_tokens=16, stop=("\nQ",)),
)  # fmt: skip


def refusing(*names: str, thought: str = "") -> Any:
    """A chat endpoint that refuses these parameters in OpenAI's form, one at a time."""

    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        for name in names:
            if name in body:
                handler.reply(400, {"error": {"message": f"Unsupported parameter: '{name}'", "param": name}})
                return
        message = {"role": "assistant", "content": "4", **({"reasoning_content": thought} if thought else {})}
        usage = {"prompt_tokens": 3, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 8}}
        handler.reply(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                            "usage": usage if thought else {}})  # fmt: skip

    return script


def run(url: str, home: Path, task: Task = TASK, **more: Any) -> FinishedRun:
    engine = connected(url, chat=True)
    try:
        return evaluate(engine, task, ("0" * 64, "endpoint:m"), home, RunOptions(engine="openai_http", **more))
    finally:
        engine.close()


def test_a_run_goes_on_without_what_it_does_not_need_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(refusing("temperature", "seed", "max_tokens", "top_p")) as (url, seen):
        finished = run(url, tmp_path)
        answered = [body for body in seen.asked if "temperature" not in body and "seed" not in body]
        assert {frozenset(body) >= {"max_completion_tokens"} for body in seen.asked[-3:]} == {True}
        before = len(seen.asked)
        again = run(url, tmp_path)
        assert all({"temperature", "seed", "top_p"} & set(body) for body in seen.asked[before:])  # refused ones only
    assert [result.score for result in finished.results] == [1.0] * 3 and answered
    assert not any("stop" in body for body in seen.asked)  # a completion's stop strings would cut a chat
    assert finished.header.backend.identity["without"] == ["seed", "temperature", "top_p"]
    assert again.header.id == finished.header.id
    assert [path.name for path in tmp_path.iterdir()] == [finished.header.id]  # no folders of runs that were not asked
    lines = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert len(lines) == 6 and "temperature" in "".join(lines) and "own temperature" in "".join(lines)


def test_a_run_that_all_is_taken_of_has_the_identity_that_it_had(tmp_path: Path) -> None:
    with serving(refusing()) as (url, _):
        assert "without" not in run(url, tmp_path).header.backend.identity


@pytest.mark.parametrize(
    ("name", "how", "advice"),
    [
        ("temperature", {"temperature": 0.2}, "--temperature 1"),
        ("top_p", {"temperature": 0.2, "top_p": 0.9}, "--top-p 1"),
        ("max_completion_tokens", {}, "needs a limit"),
    ],
)
def test_a_needed_parameter_ends_the_run_in_one_line(tmp_path: Path, name: str, how: Any, advice: str) -> None:
    task = msgspec.structs.replace(TASK, decoding=Decoding(max_tokens=16, **how))
    refused = (name, "max_tokens") if name.startswith("max") else (name,)
    with serving(refusing(*refused)) as (url, _), pytest.raises(EndpointError) as fault:
        run(url, tmp_path, task)
    assert f"refuses {name}" in str(fault.value) and advice in str(fault.value) and "\n" not in str(fault.value)


def test_several_draws_need_their_seeds(tmp_path: Path) -> None:
    task = msgspec.structs.replace(TASK, decoding=Decoding(max_tokens=16, temperature=1.0))
    with serving(refusing("seed")) as (url, _):
        assert run(url, tmp_path, task).results[0].score == 1.0
        with pytest.raises(EndpointError, match="--draws 1"):
            run(url, tmp_path, task, draws=3)


def test_a_parameter_left_out_for_one_task_is_needed_by_the_next(tmp_path: Path) -> None:
    sampled = msgspec.structs.replace(TASK, decoding=Decoding(max_tokens=16, temperature=0.2))
    with serving(refusing("temperature")) as (url, _):
        engine = connected(url, chat=True)
        options = RunOptions(engine="openai_http")
        assert evaluate(engine, TASK, ("0" * 64, "endpoint:m"), tmp_path, options).complete
        with pytest.raises(EndpointError, match="refuses temperature"):
            evaluate(engine, sampled, ("0" * 64, "endpoint:m"), tmp_path, options)


def test_stop_strings_that_a_completion_server_refuses_are_applied_here(tmp_path: Path) -> None:
    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        if "stop" in body:
            handler.reply(422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "stop"], "msg": "forbidden"}]})
            return
        handler.reply(200, {"choices": [{"index": 0, "text": "4\nQ: and then", "finish_reason": "length"}]})

    with serving(script) as (url, _):
        engine = connected(url)
        finished = evaluate(engine, TASK, ("0" * 64, "endpoint:m"), tmp_path, RunOptions(engine="openai_http"))
    assert finished.header.backend.identity["without"] == ["stop"]
    assert [(result.text, result.finish) for result in finished.results] == [("4", "stop")] * 3


def test_a_refused_temperature_does_not_change_a_score_of_choices() -> None:
    from evals.records import ChoiceRequest

    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        if "temperature" in body:
            handler.reply(400, {"error": {"message": "temperature is not supported", "param": None}})
            return
        read = {"token_logprobs": [None, -1.0, -0.5, -9.0], "text_offset": [0, 2, 4, 5],
                "top_logprobs": [None, {"x": -0.2}, {"d": -0.5}, {"y": -9.0}]}  # fmt: skip
        handler.reply(
            200, {"choices": [{"index": n, "text": "", "logprobs": read} for n in range(len(body["prompt"]))]}
        )

    with serving(script) as (url, _):
        engine = connected(url)
        assert engine.facts.can_score_choices
        (scores,) = engine.choose([ChoiceRequest(sample="s", pairs=(("ab", " cd"),))])
    assert scores.choices[0].logprob == -1.5 and "without" not in engine.facts.identity


def test_a_thought_that_a_server_sends_apart_is_kept_with_its_tokens(tmp_path: Path) -> None:
    with serving(refusing(thought="2 and 2 is 4.")) as (url, _):
        finished = run(url, tmp_path)
    result = finished.results[0]
    assert (result.thought, result.text, result.tokens, result.thought_tokens) == ("2 and 2 is 4.", "4", 9, 8)


@pytest.mark.parametrize(
    ("message", "finish", "unfinished", "thought"),
    [
        ({"content": "<think>2 and 2 is", "role": "assistant"}, "length", True, "2 and 2 is"),
        ({"content": None, "reasoning_content": "2 and 2"}, "length", True, "2 and 2"),
        ({"content": "", "reasoning": "2 and 2"}, "length", True, "2 and 2"),
        ({"content": ""}, "length", True, ""),  # a hidden thought, of which only the tokens are known
        ({"content": "", "reasoning": "2 and 2"}, "stop", False, "2 and 2"),  # an empty answer, not a cut thought
        ({"content": "<think>2 and 2 is 4</think>\n\n4"}, "stop", False, "2 and 2 is 4"),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "sum"}]},
                      {"type": "text", "text": "4"}]}, "stop", False, "sum"),
    ],
)  # fmt: skip
def test_a_thought_without_an_end_is_no_answer(
    tmp_path: Path, message: dict[str, Any], finish: str, unfinished: bool, thought: str
) -> None:
    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        usage = {"prompt_tokens": 3, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 8}}
        handler.reply(200, {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage})

    with serving(script) as (url, _):
        finished = run(url, tmp_path, limit=1)
    result: Result = finished.results[0]
    assert (result.unfinished, result.thought) == (unfinished, thought)
    assert result.score == (1.0 if result.text == "4" else 0.0)
    assert not unfinished or (result.answer is None and "no end" in result.detail and result.verdict == "failed")
    header: Run = finished.header
    line = (tmp_path / header.id / "results.jsonl").read_text().splitlines()[0]
    assert json.loads(line).get("thought", "") == thought
