"""An endpoint that is slow, full, dear, wrong or dying: every answer kept, one clear line, no key anywhere."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from evals.engines.http.endpoint import Endpoint, EndpointError, Limits, check_url
from evals.engines.http.openai import OpenAIHttp, connect
from evals.records import ChoiceRequest, Decoding, GenerateRequest
from zoo.errors import ZooError


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Any
    asked: list[dict[str, Any]]
    seen: list[dict[str, str]]
    lock: threading.Lock

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.seen.append(dict(self.headers))
        self.reply(200, {"data": [{"id": "m", "owned_by": "test", "max_model_len": 128}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.lock:
            self.asked.append({"path": self.path, **body})
            self.seen.append(dict(self.headers))
            number = len(self.asked)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            type(self).script(self, body, number)

    def reply(self, status: int, body: Any, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)


def text(prompt: str) -> dict[str, Any]:
    """A completions answer that writes the prompt back."""
    choice = {"index": 0, "text": f"<{prompt}>", "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 50}}


@contextlib.contextmanager
def serving(script: Any) -> Iterator[tuple[str, type[Handler]]]:
    """(base URL, the handler with what it was asked) of a running endpoint."""
    handler = type("Scripted", (Handler,), {"script": script, "asked": [], "seen": [], "lock": threading.Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


QUICK = Limits(timeout_seconds=5.0, tries=3, wait_seconds=0.01)


def requests(count: int, **how: Any) -> list[GenerateRequest]:
    decoding = Decoding(max_tokens=8, **how)
    return [GenerateRequest(sample=f"s{n}", draw=0, prompt=f"p{n}", decoding=decoding, seed=n) for n in range(count)]


def connected(url: str, limits: Limits = QUICK, **more: Any) -> OpenAIHttp:
    return connect(None, url=url, limits=limits, **more)


def until_fault(answers: Iterator[Any]) -> tuple[list[Any], str]:
    """What came before the endpoint's fault, and what the fault says."""
    came: list[Any] = []
    try:
        came.extend(answers)
    except EndpointError as error:
        return came, str(error)
    return came, ""


def well(handler: Handler, body: dict[str, Any], number: int) -> None:
    handler.reply(200, text(body["prompt"]))


def test_every_request_is_answered_once_from_several_threads() -> None:
    with serving(well) as (url, seen):
        made = list(connected(url, concurrency=4).generate(requests(20)))
    assert sorted(one.sample for one in made) == sorted(f"s{n}" for n in range(20))
    assert all(one.text == f"<p{one.sample[1:]}>" for one in made)
    assert sorted(body["seed"] for body in seen.asked) == list(range(20))
    assert {body["model"] for body in seen.asked} == {"m"}


def once(fault: Callable[[Handler], None]) -> Callable[[Handler, dict[str, Any], int], None]:
    """An endpoint with this fault on the first request, and well from then on."""

    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        if number == 1:
            fault(handler)
        else:
            well(handler, body, number)

    return script


def half(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "500")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"text": "ha')
    handler.close_connection = True


def half_chunked(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b'10\r\n{"choices": [{"t\r\n')
    handler.close_connection = True


def hang_up(handler: Handler) -> None:
    handler.close_connection = True


FAULTS: dict[str, Callable[[Handler], None]] = {
    "429": lambda handler: handler.reply(429, {"error": {"message": "slow down"}}, Retry_After="0"),
    "503": lambda handler: handler.reply(503, b"<html>busy</html>"),
    "malformed": lambda handler: handler.reply(200, b'{"choices": [}'),
    "empty": lambda handler: handler.reply(200, b""),
    "half a body": half,
    "half a stream": half_chunked,
    "hangs up": hang_up,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_is_tried_again(fault: str) -> None:
    with serving(once(FAULTS[fault])) as (url, seen):
        made = list(connected(url, concurrency=1).generate(requests(3)))
    assert sorted(one.text for one in made) == ["<p0>", "<p1>", "<p2>"]
    assert len(seen.asked) == 4


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lasting_fault_ends_in_one_line_with_the_answers_kept(fault: str) -> None:
    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        if number <= 2:
            well(handler, body, number)
        else:
            FAULTS[fault](handler)

    with serving(script) as (url, seen):
        made, error = until_fault(connected(url, concurrency=1).generate(requests(5)))
    assert [one.sample for one in made] == ["s0", "s1"]
    assert len(seen.asked) == 2 + QUICK.tries
    assert "kept; the same command continues" in error
    assert "\n" not in error


def test_an_endpoint_that_hangs_or_drips_meets_the_deadline() -> None:
    def drip(handler: Handler, body: dict[str, Any], number: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "500")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)

    limits = Limits(timeout_seconds=0.3, tries=1)
    began = time.monotonic()
    with serving(drip) as (url, _), pytest.raises(EndpointError, match=r"no answer within 0\.3 s"):
        list(connected(url, limits).generate(requests(1)))
    with serving(lambda handler, body, number: time.sleep(1.0)) as (url, _), pytest.raises(EndpointError):
        list(connected(url, limits).generate(requests(1)))
    assert time.monotonic() - began < 4.0  # a hundredth of what dripping to the end would take at 500 bytes


def test_a_dead_endpoint_says_so() -> None:
    with serving(well) as (url, _):
        pass
    with pytest.raises(EndpointError, match="no answer in 3 tries"):
        list(connected(url).generate(requests(1)))


def test_a_refused_request_is_unscored_and_the_others_go_on() -> None:
    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        if body["prompt"] == "p1":
            handler.reply(400, {"error": {"message": "too long"}})
        else:
            well(handler, body, number)

    with serving(script) as (url, seen):
        made = {one.sample: one for one in connected(url).generate(requests(3))}
    assert (made["s1"].finish, made["s1"].fault) == ("fault", "HTTP 400: too long")
    assert made["s2"].text == "<p2>"
    assert len(seen.asked) == 3


def test_the_key_is_sent_and_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-" + "secret" * 4
    monkeypatch.setenv("PHIZOO_API_KEY", key)
    with serving(lambda handler, body, number: handler.reply(401, {"error": {"message": f"bad key {key}"}})) as (
        url,
        seen,
    ):
        with pytest.raises(EndpointError, match=r"bad key \[key\]") as caught:
            list(connected(url).generate(requests(1)))
        assert seen.seen[-1]["Authorization"] == f"Bearer {key}"
        assert key not in str(caught.value)
        assert key not in repr(connected(url, chat=True).facts)


def test_a_redirect_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    with serving(well) as (other, reached):
        moved = lambda handler, body, number: handler.reply(302, b"", Location=f"{other}/completions")  # noqa: E731
        with serving(moved) as (url, _), pytest.raises(EndpointError, match="no such address"):
            list(connected(url).generate(requests(1)))
    assert not reached.seen


@pytest.mark.parametrize(
    "url", ["ftp://h/v1", "host/v1", "http://key@h/v1", "http://h/v1?key=x", "file:///etc/passwd", ""]
)
def test_addresses_that_are_none_or_carry_a_secret_are_refused(url: str) -> None:
    with pytest.raises(ZooError, match="--url"):
        connect(None, url=url)
    assert check_url("http://h/v1/") == "http://h/v1"


def test_the_request_budget_is_never_passed() -> None:
    with serving(well) as (url, seen):
        made, error = until_fault(connected(url, Limits(requests=4)).generate(requests(10)))
    assert "4 requests" in error
    assert len(made) == len(seen.asked) == 4


def test_the_money_budget_is_never_passed_and_the_tally_is_right() -> None:
    # a request costs 100 * 1e3/1e6 + 50 * 2e3/1e6 = 0.2; at most (3 + 1) and 8 tokens are foreseen
    limits = Limits(budget=1.05, price=(1e3, 2e3))
    with serving(well) as (url, seen):
        backend = connected(url, limits, concurrency=1)
        with pytest.raises(EndpointError, match="--budget"):
            list(backend.generate(requests(20)))
    assert backend.endpoint.spent.money == pytest.approx(0.2 * len(seen.asked))
    assert len(seen.asked) == 6
    assert backend.endpoint.spent.tokens == 300


def test_chat_sends_messages_and_refuses_choices() -> None:
    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        assert body["messages"] == [{"role": "user", "content": "p0"}]
        handler.reply(200, {"choices": [{"message": {"content": "a STOP b"}, "finish_reason": "stop"}]})

    with serving(script) as (url, _):
        backend = connected(url, chat=True)
        assert not backend.facts.can_score_choices
        assert [one.text for one in backend.generate(requests(1, stop=("STOP",)))] == ["a "]


def test_newer_chat_models_get_the_bound_under_the_name_they_ask_for() -> None:
    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        if "max_tokens" in body:
            handler.reply(400, {"error": {"message": "use 'max_completion_tokens' instead"}})
        else:
            assert body["max_completion_tokens"] == 8
            handler.reply(200, {"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]})

    with serving(script) as (url, seen):
        made = list(connected(url, chat=True, concurrency=1).generate(requests(3)))
    assert [one.text for one in made] == ["fine"] * 3
    assert len(seen.asked) == 4  # told once


def test_vllm_is_told_which_rows_are_padding(tiny_phi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 128}]}
    monkeypatch.setattr("evals.engines.http.endpoint.Endpoint.get", lambda self, path: told)
    with serving(lambda handler, body, number: handler.reply(200, text("x"))) as (url, seen):
        backend = connect(tiny_phi, url=url, limits=QUICK)
        list(backend.generate(requests(1)))
    assert backend.tokens is not None
    rows = range(backend.tokens.size, 352)
    assert len(rows) > 0 and seen.asked[0]["logit_bias"] == {str(row): -100.0 for row in rows}


def test_no_logprobs_no_choices_and_no_healing() -> None:
    with serving(well) as (url, _):
        backend = connected(url)
        assert not backend.facts.can_score_choices
        with pytest.raises(ZooError, match="cannot heal"):
            list(backend.generate(requests(1, boundary="healed")))


def test_a_model_that_is_not_served_is_refused() -> None:
    with serving(well) as (url, _), pytest.raises(EndpointError, match='does not serve "gpt"; it serves: m'):
        _ = connected(url, model="gpt").facts


def echoed(handler: Handler, body: dict[str, Any], number: int) -> None:
    """Log-probabilities per character-long token "ab" + " c" + "d"; the last one is generated."""
    told = {
        "token_logprobs": [None, -1.0, -0.5, -9.0],
        "text_offset": [0, 2, 4, 5],
        "top_logprobs": [None, {"x": -0.2}, {"d": -0.5}, {"y": -9.0}],
    }
    choices = [{"index": n, "text": "", "logprobs": told} for n in range(len(body["prompt"]))]
    handler.reply(200, {"choices": choices})


def test_without_a_tokenizer_choices_are_split_by_text_offsets_or_refused() -> None:
    with serving(echoed) as (url, _):
        backend = connected(url)
        assert backend.facts.can_score_choices
        asked = [ChoiceRequest(sample="s", pairs=(("ab", " cd"),)), ChoiceRequest(sample="t", pairs=(("abc", "d"),))]
        found = {one.sample: one for one in backend.choose(asked)}
    (choice,) = found["s"].choices
    assert (choice.logprob, choice.tokens, choice.greedy) == (-1.5, 2, False)
    assert "straddles" in found["t"].fault


ODD = [None, "x", -5, 1.5, 10**400, True, [], {}, ["x"], {"prompt_tokens": "x"}, {"prompt_tokens": 10**400}]


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("value", ODD, ids=lambda value: str(value)[:30])
@pytest.mark.parametrize("name", ["usage", "choices", "index", "message", "text", "finish_reason"])
def test_an_answer_of_another_form_is_a_text_or_one_line(name: str, value: Any, chat: bool) -> None:
    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        choice = {"index": 0, "text": "ok", "message": {"content": "ok"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        answer = {"choices": [{**choice, name: value}], "usage": usage}
        handler.reply(200, {**answer, name: value} if name in answer else answer)

    with serving(script) as (url, _):
        backend = connected(url, limits=Limits(budget=1e9, price=(1.0, 1.0)), chat=chat)
        made, fault = until_fault(backend.generate(requests(1)))
        assert fault or (made[0].text in ("ok", "", "x") and 0 <= made[0].tokens <= 1)
        assert backend.endpoint.spent.money >= 0


@pytest.mark.parametrize("value", ODD, ids=lambda value: str(value)[:30])
@pytest.mark.parametrize("name", ["token_logprobs", "text_offset", "top_logprobs", "logprobs"])
@pytest.mark.parametrize("part", ["all", "each"])
def test_log_probabilities_of_another_form_are_a_fault(name: str, value: Any, part: str) -> None:
    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        read: Any = {
            "token_logprobs": [None, -1.0, -0.5, -9.0], "text_offset": [0, 2, 4, 5],
            "top_logprobs": [None, {"x": -0.2}, {"d": -0.5}, {"y": -9.0}],
        }  # fmt: skip
        if number > 1:  # the first request asks whether the endpoint gives any
            odd = [value] * 4 if part == "each" else value
            read = odd if name == "logprobs" else {**read, name: odd}
        count = len(body["prompt"])
        handler.reply(200, {"choices": [{"index": n, "text": "", "logprobs": read} for n in range(count)]})

    with serving(script) as (url, _):
        backend = connected(url)
        assert backend.facts.can_score_choices
        (scores,) = backend.choose([ChoiceRequest(sample="s", pairs=(("ab", " cd"),))])
        if (name, value, part) == ("token_logprobs", -5, "each"):  # a log-probability like any other
            assert not scores.fault and scores.choices[0].logprob == -10
        else:
            assert scores.fault and not scores.choices


def test_a_list_of_models_that_is_refused_is_one_line() -> None:
    class Refusing(Handler):
        def do_GET(self) -> None:
            self.reply(400, {"error": {"message": "no such thing"}})

    with serving(well) as (url, handler):
        handler.do_GET = Refusing.do_GET  # type: ignore[method-assign]
        with pytest.raises(EndpointError, match=r"/models refuses the request \(HTTP 400: no such thing\)"):
            _ = connected(url).facts


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), True, None])
def test_a_log_probability_that_is_no_finite_number_is_a_fault(value: object) -> None:
    def script(handler: Handler, body: dict[str, Any], number: int) -> None:
        read = {
            "token_logprobs": [None, -1.0, value, -9.0], "text_offset": [0, 2, 4, 5],
            "top_logprobs": [None, {"x": -0.2}, {"d": value}, {"y": -9.0}],
        }  # fmt: skip
        handler.reply(
            200, {"choices": [{"index": n, "text": "", "logprobs": read} for n in range(len(body["prompt"]))]}
        )

    with serving(script) as (url, _):
        (scores,) = connected(url).choose([ChoiceRequest(sample="s", pairs=(("ab", " cd"),))])
    assert scores.choices == ()
    assert ("not finite" in scores.fault) is (type(value) is float)
    assert scores.fault


def test_an_interrupt_leaves_no_thread_asking() -> None:
    with serving(lambda handler, body, number: (time.sleep(0.05), well(handler, body, number))) as (url, seen):
        made = connected(url, concurrency=2).generate(requests(50))
        next(made)
        made.close()
        time.sleep(0.3)
        assert len(seen.asked) < 8


@pytest.mark.timeout(20)
def test_a_request_over_the_budget_is_refused_when_nothing_is_under_way() -> None:
    """Amounts that were held and given back leave a rest in floating point: it must not be waited for."""
    endpoint = Endpoint("http://127.0.0.1:9/v1", None, Limits(budget=1.0))
    for hold in (0.1, 0.2, 0.3):
        endpoint._take(hold)
    for hold in (0.3, 0.2, 0.1):
        endpoint._settle(hold, None, 0.0)
    with pytest.raises(EndpointError, match="--budget 1 is used up"):
        endpoint._take(2.0)
