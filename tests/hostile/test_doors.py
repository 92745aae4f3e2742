"""The doors, each with a reader and a valid input: whatever is changed in it, the reader ends with a record or with a
refusal of its own on one line, within bounds of time and memory. Arguments, homes and variables: `test_commands`.

A change puts a hostile value in the place of any part of the input, drops a part, or damages its bytes.
"""

import copy
import json
import resource
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evals.engines.http.endpoint import EndpointError, Limits, Refused
from evals.engines.http.openai import connect as connect_http
from evals.engines.transformers_local import connect as connect_local
from evals.records import ChoiceRequest, Decoding, GenerateRequest
from evals.results import import_formats
from evals.serving.request import BadRequest, read_chat, read_completion
from tests import gguf_files
from tests.hostile.texts import DEEP, STEERING
from tests.zoo.admission.test_tokenizer_files import BYTES, sentencepiece
from zoo.admission.chat_template import check_template
from zoo.admission.config import check_config, check_json
from zoo.admission.gguf import inspect_gguf
from zoo.admission.records import check_entry, decode_entry
from zoo.admission.safetensors_header import read_header
from zoo.admission.tokenizer_files import read_byte_pairs, read_sentencepiece
from zoo.admission.tokenizer_steps import find_fault, find_patterns, growth_letters
from zoo.errors import ZooError
from zoo.exchange import adapter
from zoo.exchange.adapter_tokenizer import read_vocabulary as read_adapter_vocabulary
from zoo.exchange.zoo_remote import push
from zoo.registry import open_registry

SECONDS, MEMORY_KB = 5.0, 600_000  # of one reading; beyond what the process had
SHORT, LONG = 60, 3000  # changes tried at each door

LEAVES: list[Any] = [
    None, True, False, 0, -1, 1 << 53, -(1 << 63), 10**40, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "a", "-0", "NaN",
    "x" * 10_000, "../../x", "a\0b", "\ud835", "\udc00\ud800", "１", "1e999", "\u2028", [], {}, [[]], [None], {"": None}, [1] * 5000,
    {"__class__": "x"}, *STEERING.values(),
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to every part of plain data."""
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


def change(value: Any, path: tuple[Any, ...], new: Any, *, drop: bool) -> Any:
    """The data with one part replaced or dropped."""
    if not path:
        return new
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    if drop:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return value


def changed(valid: Any) -> st.SearchStrategy[Any]:
    """Valid data with one or two hostile changes."""

    @st.composite
    def build(draw: st.DrawFn) -> Any:
        value = valid
        for _ in range(draw(st.integers(1, 2))):
            path = draw(st.sampled_from(list(places(value))))
            value = change(value, path, draw(st.sampled_from(LEAVES)), drop=draw(st.booleans()) and bool(path))
        return value

    return build()


def damaged(valid: bytes) -> st.SearchStrategy[bytes]:
    """Bytes with some of them changed, cut off or put in."""

    @st.composite
    def build(draw: st.DrawFn) -> bytes:
        data = bytearray(valid)
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, max(0, len(data) - 1)))
            new = draw(
                st.sampled_from([b"", b"\0", b"\xff" * 8, b"{", b"[" * 50, b"-0", b"\x7f\xff\xff\xff", b"\xed\xa0\xb5"])
            )
            data[at : at + draw(st.integers(0, 8))] = new
        return bytes(data)

    return build()


def text_of(value: Any) -> bytes:
    """JSON as a careless or hostile writer makes it: NaN and halves of pairs stay."""
    return json.dumps(value).encode()


REFUSALS = (ZooError, BadRequest)


def hold(read: Callable[[], Any]) -> bool:
    """Reads once; whether it was refused. Fails for another exception, several lines, or too much time or memory."""
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    refused = ""
    try:
        read()
    except REFUSALS as fault:
        refused = str(fault)
    assert "\n" not in refused
    assert time.monotonic() - begin < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY_KB
    return bool(refused)


def try_door(valid: Any, read: Callable[[Any], Any], count: int) -> None:
    """Reads the valid input, then so many changes of it."""
    assert not hold(lambda: read(valid)), "the valid input is refused"
    seen = [0, 0]

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(damaged(valid) if isinstance(valid, bytes) else changed(valid))
    def every(value: Any) -> None:
        seen[hold(lambda: read(value))] += 1

    every()
    assert seen[1], "no change was refused"
    print(f"tried {sum(seen)}")  # for tests/hostile/count.py


# --- the doors: name -> (valid input, reader) --------------------------------------------------------------------------

CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 330, "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 128, "rms_norm_eps": 1e-6, "torch_dtype": "float32",
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 64},
    "eos_token_id": [1, 2], "tie_word_embeddings": False, "hidden_act": "silu",
}  # fmt: skip
GENERATION = {
    "temperature": 0.7,
    "top_p": 0.9,
    "top_k": 50,
    "eos_token_id": [1, 2],
    "max_length": 128,
    "do_sample": True,
}
TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
TOKENIZER = {
    "version": "1.0", "added_tokens": [{"id": 2, "content": "<s>", "special": True}],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
    "pre_tokenizer": {"type": "Split", "pattern": {"Regex": r"\p{L}+|\s+"}, "behavior": "Isolated", "invert": False},
    "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}], "special_tokens": {"a": {"ids": [1]}}},
    "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
    "padding": {"strategy": {"Fixed": 5}, "pad_to_multiple_of": 8},
}  # fmt: skip
LINE = {
    "doc_id": 0, "doc": {"question": "1+1?"}, "target": "2", "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": {"until": ["\n"]}}},
    "resps": [["2"]], "filtered_resps": ["2"], "filter": "strict-match", "metrics": ["exact_match"], "exact_match": 1.0,
    "doc_hash": "a" * 64, "prompt_hash": "b" * 64, "target_hash": "c" * 64,
}  # fmt: skip
EVALPLUS = {
    "date": "2026-01-01 10:00", "hash": "x",
    "eval": {"HumanEval/0": [{"task_id": "HumanEval/0", "solution": "s", "base_status": "pass", "plus_status": "fail"}]},
}  # fmt: skip
ADAPTER = {
    "peft_type": "LORA",
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj"],
    "bias": "none",
    "lora_dropout": 0.1,
}


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def safetensors(header: Any) -> bytes:
    text = text_of(header)
    return struct.pack("<Q", len(text)) + text + bytes(8)


def file_doors(folder: Path) -> dict[str, tuple[Any, Callable[[Any], Any]]]:
    """The doors of files, which need no zoo."""
    samples = folder / "samples_gsm8k_2026-01-01T10-00-00.000000.jsonl"
    return {
        "folder: config.json": (CONFIG, lambda value: check_config(write(folder / "config.json", text_of(value)))),
        "folder: config.json, bytes": (text_of(CONFIG), lambda data: check_config(write(folder / "config.json", data))),
        "folder: generation_config.json": (
            GENERATION, lambda value: check_json(write(folder / "generation_config.json", text_of(value)))
        ),
        "folder: tokenizer.json": (
            TOKENIZER, lambda value: refuse(find_fault(value)) or growth_letters(find_patterns(value))
        ),
        "folder: tokenizer.model": (
            sentencepiece(before=BYTES[:3]), lambda data: read_vocabulary(lambda: read_sentencepiece(data, 512))
        ),
        "folder: tokenizer in vocab.json": (
            {"a": 0, "b": 1, "ab": 2},
            lambda value: read_vocabulary(lambda: read_byte_pairs(text_of(value), b"a b\n", 512)),
        ),
        "folder: safetensors": (
            {"a": TENSOR, "__metadata__": {"format": "pt"}},
            lambda value: read_header(write(folder / "x.safetensors", safetensors(value))),
        ),
        "folder: safetensors, bytes": (
            safetensors({"a": TENSOR}),
            lambda data: read_header(write(folder / "x.safetensors", data)),
        ),
        "GGUF": (
            gguf_files.gguf_bytes(*gguf_files.small()), lambda data: inspect_gguf(write(folder / "x.gguf", data))
        ),
        "adapter": (ADAPTER, lambda value: adapter._check_settings(folder / "adapter_config.json", adapter.check_settings(
            write(folder / "adapter_config.json", text_of(value))))),
        "adapter: tokenizer.json": (
            TOKENIZER, lambda value: read_adapter_vocabulary(write(folder / "tokenizer.json", text_of(value)))
        ),
        "result file: lm_eval": (LINE, lambda value: import_formats.read(write(samples, text_of(value) + b"\n"))),
        "result file: lm_eval, bytes": (text_of(LINE), lambda data: import_formats.read(write(samples, data + b"\n"))),
        "result file: EvalPlus": (
            EVALPLUS, lambda value: import_formats.read(write(folder / "x_eval_results.json", text_of(value)))
        ),
    }  # fmt: skip


def read_vocabulary(read: Callable[[], Any]) -> None:
    """Reads a vocabulary as the child does: each fault is one line."""
    try:
        read()
    except (ValueError, RecursionError) as fault:
        refuse(" ".join(str(fault).split()))


def refuse(fault: str) -> None:
    if fault:
        raise ZooError(fault)


FILE_DOORS = tuple(file_doors(Path()))


@pytest.mark.parametrize("door", FILE_DOORS)
def test_files(door: str, tmp_path: Path) -> None:
    try_door(*file_doors(tmp_path)[door], SHORT)


@pytest.mark.long
@pytest.mark.parametrize("door", FILE_DOORS)
def test_files_at_length(door: str, tmp_path: Path) -> None:
    try_door(*file_doors(tmp_path)[door], LONG)


@pytest.fixture
def entry(tmp_path: Path, made: SimpleNamespace) -> Any:
    """The entry of a checkpoint with a score, as another zoo holds it."""
    with open_registry() as registry:
        checkpoint = registry.add(made.phi(tmp_path / "a", 1), "one")
        protocol = made.protocol()
        header = {"id": "run-1", "checkpoint": checkpoint.digest, "task": protocol.task, "checkpoint_label": "one:1"}
        registry.add_scores(header, protocol, [made.score(checkpoint.digest, "run-1")])
        push(registry, "one:1", str(tmp_path / "remote"))
    (path,) = (tmp_path / "remote" / "entries").rglob("*.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize("count", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
def test_remote_zoo(count: int, entry: Any) -> None:
    try_door(entry, lambda value: check_entry(decode_entry(text_of(value), "x"), "one:1"), count)
    try_door(text_of(entry), lambda data: check_entry(decode_entry(data, "x"), "one:1"), count)


MODELS = {
    "object": "list",
    "data": [{"id": "m", "object": "model", "owned_by": "vllm", "max_model_len": 4096, "root": "r"}],
}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
WRITTEN = {"choices": [{"index": 0, "text": "a b", "finish_reason": "stop", "logprobs": None}], "usage": USAGE}
LOGPROBS = {
    "tokens": ["a", " b", "c"], "token_logprobs": [None, -0.5, -1.0], "top_logprobs": [None, {" b": -0.5}, {"c": -1.0}],
    "text_offset": [0, 1, 3],
}  # fmt: skip
READ = {"choices": [{"index": 0, "text": "a bc", "finish_reason": "length", "logprobs": LOGPROBS}], "usage": USAGE}
SAID = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}],
    "usage": USAGE,
}


def ask_endpoint(kind: str, answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asks a model whose endpoint gives this JSON, as `phizoo eval run` does. Raises ZooError for the endpoint's faults."""
    from evals.engines.http import endpoint

    def once(_self: Any, method: str, path: str, *_: Any) -> Any:
        wanted = {"models": "/models", "chat": "/chat/completions"}.get(kind, "/completions")
        data = (
            answer
            if path == wanted and (method == "GET") == (kind == "models")
            else MODELS
            if method == "GET"
            else READ
        )
        return endpoint.parse_json(text_of(data), nonfinite=True, repair=True)

    monkeypatch.setattr(endpoint.Endpoint, "_once", once)
    engine = connect_http(
        None, url="http://127.0.0.1:9/v1", model="m", chat=kind == "chat", limits=Limits(tries=1), keys=()
    )
    request = GenerateRequest(sample="s", draw=0, prompt="a", decoding=Decoding(max_tokens=4), seed=0)
    try:
        if kind == "scores":
            (scores,) = engine.choose([ChoiceRequest(sample="s", pairs=(("a", " b"),))])
            refuse(scores.fault)
            return
        (text,) = engine.generate([request])
        assert text.tokens >= 0
        text.text.encode()  # an answer may be empty, but no half of a pair
        refuse(text.fault.replace("\n", " "))
    except (Refused, EndpointError) as fault:
        raise ZooError(str(fault)) from None


ANSWERS = {"models": MODELS, "text": WRITTEN, "scores": READ, "chat": SAID}


@pytest.mark.parametrize("count", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", ANSWERS)
def test_endpoint(kind: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    try_door(ANSWERS[kind], lambda value: ask_endpoint(kind, value, monkeypatch), count)


COMPLETION = {
    "model": "tiny", "prompt": ["a", "b"], "max_tokens": 4, "temperature": 0.5, "top_p": 0.9, "n": 2, "seed": 1, "stop": ["x"],
    "logprobs": 1, "echo": False, "stream": True, "stream_options": {"include_usage": True}, "boundary": "raw",
}  # fmt: skip
CHAT = {
    "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": [{"type": "text", "text": "b"}]}],
    "max_completion_tokens": 4, "logprobs": True, "top_logprobs": 2, "n": 1, "stop": "x",
}  # fmt: skip


@pytest.mark.parametrize("count", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
def test_served_request(count: int, tiny_phi: Path) -> None:
    engine = connect_local(tiny_phi, device="cpu")
    engine.tokens.tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"

    def served(read: Any) -> Callable[[Any], Any]:
        from evals.serving.guard import parse_json

        def ask(value: Any) -> Any:
            try:
                body = parse_json(text_of(value), repair=True)
            except ValueError as fault:
                raise BadRequest(str(fault)) from None
            if not isinstance(body, dict):
                raise BadRequest("no object")
            return read(body, engine)

        return ask

    try_door(COMPLETION, served(read_completion), count)
    try_door(CHAT, served(read_chat), count)


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP.keys())
def test_deep_json_at_every_door_of_files(text: bytes, tmp_path: Path) -> None:
    assert hold(lambda: check_config(write(tmp_path / "config.json", text)))
    assert hold(lambda: decode_entry(text, "x"))
    length = struct.pack("<Q", len(text))
    assert hold(lambda: read_header(write(tmp_path / "x.safetensors", length + text + bytes(8))))


@pytest.mark.long
@settings(max_examples=400, deadline=None, database=None)
@given(st.lists(st.sampled_from(
    ["{{", "}}", "{%", "%}", "for", "in", "messages", "if", "endif", "endfor", "range(9**9)", "|attr('x')", "x", "'a'*9", ".__class__",
     "set", "=", "~", "namespace()", "|tojson", "raise_exception(x)", "{#", "#}", "macro", "(", ")", "\n"]), max_size=24))  # fmt: skip
def test_templates_of_random_words(words: list[str]) -> None:
    hold(lambda: check_template(" ".join(words), "t"))
