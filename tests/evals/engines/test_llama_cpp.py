"""The llama_cpp engine is held to the contract on a GGUF in F32: the plain forward's texts and log-probabilities.

The transformers engine is held to the same on the same file, and to the model that the file was written from.
"""

import random
import struct
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from evals.engines import Engine, connect
from evals.engines.tokens import folder_tokens
from evals.records import ChoiceRequest, Decoding, GenerateRequest
from evals.serving.server import make_server
from tests.gguf_files import tiny_llama
from zoo.errors import ZooError
from zoo.exchange.huggingface import export
from zoo.registry import open_registry

pytestmark = [
    pytest.mark.skipif(find_spec("gguf") is None, reason="an extra: pip install 'phi-zoo[gguf]'"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
PROMPTS = ["def add(a, b):\n", "def last(items):\n    ", "Question: What is the answer", "x" * 300, ""]
HOW = {
    "greedy": Decoding(max_tokens=20), "stripped": Decoding(max_tokens=20, boundary="stripped"),
    "healed": Decoding(max_tokens=20, boundary="healed"), "stop": Decoding(max_tokens=20, stop=("e", "the")),
    "drawn": Decoding(max_tokens=20, temperature=0.8, top_p=0.95),
}  # fmt: skip
LONG = "Question: What is the answer to the first of the questions? " * 12
SHOTS = "Question: What is the sum?\nAnswer: a + b\n\nQuestion: What is the last of the items?\nAnswer: items\n\n" * 2
OTHER_SHOTS = f"{SHOTS[: len(SHOTS) * 2 // 3]} and add the first to the last of the items, or the last to the first:"
QUESTIONS = [
    ChoiceRequest(sample="letters", pairs=tuple(("Question: which?\nAnswer:", f" {one}") for one in "ABCD")),
    ChoiceRequest(
        sample="texts", pairs=(("def add(a, b):\n    return", " a + b"), ("def add(a, b):\n    return", " None"))
    ),
    ChoiceRequest(sample="contexts", pairs=(("add the first ", "and the last"), ("add b", " and the last"))),
    ChoiceRequest(sample="empty", pairs=(("", "def add"), ("", "Question"))),
    ChoiceRequest(sample="long", pairs=((LONG, " a b"), (LONG, " None of the items"))),
    *(
        ChoiceRequest(sample=f"shots/{question}", pairs=tuple((f"{SHOTS}{question}\nAnswer:", text) for text in texts))
        for question, texts in {
            "first?": (" the first", " None"),
            "which of the items?": (" a", " b", " c"),
            "": (" add a b", " add b a"),
        }.items()
    ),
    ChoiceRequest(sample="other shots", pairs=((OTHER_SHOTS, " a"), (OTHER_SHOTS, " b"))),
]


def asked(kind: str) -> list[GenerateRequest]:
    return [
        GenerateRequest(sample=f"{kind}/{number}", draw=0, prompt=prompt, decoding=HOW[kind], seed=11 + number)
        for number, prompt in enumerate(PROMPTS)
    ]


@pytest.fixture(scope="module")
def made(tiny_phi: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("gguf")
    return folder, tiny_llama(folder / "tiny.gguf", tiny_phi)


@pytest.fixture(scope="module", params=["llama_cpp", "transformers"])
def engine(request: pytest.FixtureRequest, made: tuple[Path, Any]) -> Iterator[Engine]:
    if request.param == "llama_cpp" and find_spec("llama_cpp") is None:
        pytest.skip("llama-cpp-python is an extra: pip install 'phi-zoo[llama-cpp]'")
    loaded = connect(request.param, made[0])
    yield loaded
    loaded.close()


def plain_logprobs(model: Any, ids: list[int]) -> Any:
    import torch

    with torch.inference_mode():
        return torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)


def plain_greedy(made: tuple[Path, Any], request: GenerateRequest) -> str:
    folder, model = made
    tokens = folder_tokens(folder)
    prompt = tokens.prompt(request.prompt, request.decoding, 128 - request.decoding.max_tokens)
    heal, ids, text = prompt.heal, list(prompt.tokens), b""
    for _ in range(request.decoding.max_tokens):
        pieces, row = tokens.bytes_of, plain_logprobs(model, ids)[-1]
        allowed = [n for n, p in enumerate(pieces) if not heal or (p and (p.startswith(heal) or heal.startswith(p)))]
        token = max(allowed, key=lambda n: float(row[n]))
        if token in tokens.ends:
            break
        ids.append(token)
        cut = min(len(heal), len(pieces[token]))
        heal, text = heal[cut:], text + pieces[token][cut:]
        ends = [text.find(stop.encode()) for stop in request.decoding.stop if stop.encode() in text]
        if ends:
            text = text[: min(ends)]
            break
    return text.decode("utf-8", "replace")


@pytest.mark.parametrize("kind", ["greedy", "stripped", "healed", "stop"])
def test_greedy_text_is_the_plain_one(engine: Engine, made: tuple[Path, Any], kind: str) -> None:
    answers = {one.sample: one for one in engine.generate(asked(kind))}
    assert {name: one.text for name, one in answers.items()} == {
        one.sample: plain_greedy(made, one) for one in asked(kind)
    }
    assert answers[f"{kind}/3"].truncated > 0
    assert any(one.text for one in answers.values())


def test_draws_do_not_depend_on_the_other_texts(engine: Engine) -> None:
    requests = asked("drawn")
    whole = {one.sample: one.text for one in engine.generate(requests)}
    assert {one.sample: one.text for request in requests for one in engine.generate([request])} == whole
    assert len(set(whole.values())) > 1


def test_choices_are_within_a_thousandth(engine: Engine, made: tuple[Path, Any]) -> None:
    folder, model = made
    tokens, answers = folder_tokens(folder), {one.sample: one for one in engine.choose(QUESTIONS)}
    for question in QUESTIONS:
        read = answers[question.sample]
        for choice, (before, after) in zip(read.choices, question.pairs, strict=True):
            pair = tokens.pair(before, after, 128)
            logprobs = plain_logprobs(model, list(pair.tokens[:-1]))[pair.start - 1 :]
            expected = sum(float(row[token]) for row, token in zip(logprobs, pair.tokens[pair.start :], strict=True))
            assert choice.logprob == pytest.approx(expected, abs=1e-3)
            assert choice.tokens == len(pair.tokens) - pair.start
            best = [int(row.argmax()) for row in logprobs]
            assert choice.greedy == (best == list(pair.tokens[pair.start :]))
    assert answers["long"].truncated > 0


def test_a_question_does_not_depend_on_the_other_questions(
    made: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal to the last bit, by the same calls: a quantised file rounds to 8 bits, which makes a last bit much more."""
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is an extra: pip install 'phi-zoo[llama-cpp]'")
    from evals.engines.llama_session import LlamaSession

    calls: list[str] = []
    decode = LlamaSession._decode
    monkeypatch.setattr(
        LlamaSession, "_decode", lambda session, places: (calls.append(repr(places)), decode(session, places))
    )
    engine = connect("llama_cpp", made[0])
    alone = {scores.sample: scores for question in QUESTIONS for scores in engine.choose([question])}
    calls_alone = set(calls)
    assert len(calls_alone) < len(calls)  # some blocks are shared
    for seed in range(4):
        calls.clear()
        questions = random.Random(seed).sample(QUESTIONS, len(QUESTIONS) - seed)
        scores_of = {scores.sample: scores for scores in engine.choose(questions)}
        assert scores_of == {question.sample: alone[question.sample] for question in questions}
        assert set(calls) <= calls_alone
    engine.close()


@pytest.mark.parametrize("reason", ["a recurrent state", "more choices than sequences"])
def test_choices_that_cannot_share_tokens_are_read_by_themselves(
    made: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    llama_cpp = pytest.importorskip(
        "llama_cpp", reason="llama-cpp-python is an extra: pip install 'phi-zoo[llama-cpp]'"
    )
    if reason == "a recurrent state":
        monkeypatch.setattr(llama_cpp, "llama_model_is_recurrent", lambda _model: True)
        monkeypatch.delattr("evals.engines.llama_session.LlamaSession.share")  # so that a call of it fails
    else:
        monkeypatch.setattr("evals.engines.llama_cpp.MOST_SEQUENCES", 3)
    engine = connect("llama_cpp", made[0])
    test_choices_are_within_a_thousandth(engine, made)
    engine.close()


def test_a_question_read_by_itself_has_the_room_of_the_one_before(
    tiny_phi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is an extra: pip install 'phi-zoo[llama-cpp]'")
    tiny_llama(tmp_path / "tiny.gguf", tiny_phi, **{"llama.context_length": (4, 512)})
    engine = connect("llama_cpp", tmp_path)
    shared = ChoiceRequest(sample="shared", pairs=((LONG, " a b"), (LONG, " None of the items")))
    other = " ".join(reversed(LONG.split()))
    many = ChoiceRequest(sample="many", pairs=tuple((other, f" {letter}") for letter in "ABCD"))
    (alone,) = engine.choose([many])
    monkeypatch.setattr("evals.engines.llama_cpp.MOST_SEQUENCES", 3)
    _, behind = engine.choose([shared, many])
    assert [choice.logprob for choice in behind.choices] == pytest.approx(
        [choice.logprob for choice in alone.choices], abs=1e-3
    )
    engine.close()


def test_a_logit_that_is_not_finite_is_no_answer(tiny_phi: Path, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is an extra: pip install 'phi-zoo[llama-cpp]'")
    tiny_llama(tmp_path / "tiny.gguf", tiny_phi)
    data = (tmp_path / "tiny.gguf").read_bytes()
    (tmp_path / "tiny.gguf").write_bytes(data[:-256] + struct.pack("<f", float("nan")) * 64)  # the last norm
    engine = connect("llama_cpp", tmp_path)
    texts = list(engine.generate(asked("greedy")[:2]))
    assert all(one.finish == "fault" and "not finite" in one.fault and not one.text for one in texts)
    assert all(choice.logprob != choice.logprob for choice in next(engine.choose(QUESTIONS[:1])).choices)
    engine.close()


@pytest.mark.parametrize(("key", "value", "reason"), [
    ("llama.rope.scaling.type", (8, "linear"), "ignores llama.rope.scaling"),
    ("llama.final_logit_softcapping", (6, 30.0), "ignores llama.final_logit_softcapping"),
    ("llama.attention.sliding_window", (4, 16), "ignores llama.attention.sliding_window"),
    ("llama.attention.key_length", (4, 32), "ignores llama.attention.key_length"),
    ("llama.residual_scale", (6, 0.5), "ignores llama.residual_scale"),
    ("tokenizer.ggml.pre", (8, "made-up"), "pre-tokenizer 'made-up'"),
])  # fmt: skip
def test_a_key_that_transformers_does_not_read_is_refused(
    tiny_phi: Path, tmp_path: Path, key: str, value: Any, reason: str
) -> None:
    tiny_llama(tmp_path / "tiny.gguf", tiny_phi, **{key: value})
    with pytest.raises(ZooError, match=reason):
        list(connect("transformers", tmp_path).choose(QUESTIONS[:1]))


def test_an_exported_file_is_loaded_by_transformers_and_by_the_engine(made: tuple[Path, Any], tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    with open_registry() as registry:
        registry.add(made[0] / "tiny.gguf", "tiny")
        folder = export(registry, "tiny", tmp_path / "out")
    theirs = AutoModelForCausalLM.from_pretrained(folder, gguf_file="tiny.gguf").eval()
    ids = torch.arange(1, 60)[None] % 300
    with torch.inference_mode():
        assert torch.allclose(theirs(ids).logits, made[1](ids).logits, atol=1e-4)
    engine = connect("transformers", folder)  # with the model card beside it
    test_choices_are_within_a_thousandth(engine, made)
    engine.close()


LLAMA_3 = {
    "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}  # fmt: skip


def test_llama_3s_frequencies_are_read_by_llama_cpp_and_refused_by_transformers(tiny_phi: Path, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is an extra: pip install 'phi-zoo[llama-cpp]'")
    made = tmp_path, tiny_llama(tmp_path / "tiny.gguf", tiny_phi, LLAMA_3)
    with pytest.raises(
        ZooError, match=r"ignores rope_freqs\.weight, so positions would be wrong; take --engine llama_cpp"
    ):
        list(connect("transformers", tmp_path).choose(QUESTIONS[:1]))
    engine = connect("llama_cpp", tmp_path)
    test_choices_are_within_a_thousandth(engine, made)
    test_greedy_text_is_the_plain_one(engine, made, "greedy")
    engine.close()


def test_a_tensor_of_another_shape_is_refused_and_never_filled_at_random(tiny_phi: Path, tmp_path: Path) -> None:
    tiny_llama(tmp_path / "tiny.gguf", tiny_phi)
    name, data = b"blk.0.ffn_down.weight", (tmp_path / "tiny.gguf").read_bytes()
    stored, turned = (name + struct.pack("<IQQ", 2, *shape) for shape in ((128, 64), (64, 128)))
    assert data.count(stored) == 1
    (tmp_path / "tiny.gguf").write_bytes(data.replace(stored, turned))
    with pytest.raises(ZooError, match=r"mlp\.down_proj\.weight"):
        list(connect("transformers", tmp_path).choose(QUESTIONS[:1]))


def test_a_folder_of_safetensors_is_refused_with_the_next_command(tiny_phi: Path) -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is an extra: pip install 'phi-zoo[llama-cpp]'")
    with pytest.raises(ZooError, match=r"phizoo models add FILE\.gguf"):
        connect("llama_cpp", tiny_phi)


@pytest.mark.skipif(find_spec("llama_cpp") is None, reason="an extra: pip install 'phi-zoo[llama-cpp]'")
def test_a_served_file_answers_as_the_engine_does(made: tuple[Path, Any]) -> None:
    import openai

    engine: Any = connect("llama_cpp", made[0])
    request = GenerateRequest(sample="s", draw=0, prompt=PROMPTS[0], decoding=Decoding(max_tokens=20), seed=0)
    (expected,) = engine.generate([request])
    server = make_server(engine, "tiny", "127.0.0.1", 0, None)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    how: dict[str, Any] = {"model": "tiny", "prompt": PROMPTS[0], "max_tokens": 20, "temperature": 0}
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        texts = [
            choice.text for choice in client.completions.create(**how | {"prompt": [PROMPTS[0], PROMPTS[1]]}).choices
        ]
        streamed = "".join(event.choices[0].text for event in client.completions.create(stream=True, **how))
        scored = client.completions.create(**how | {"echo": True, "logprobs": 1, "max_tokens": 1}).choices[0].logprobs
        with pytest.raises(openai.BadRequestError, match="maximum context length"):
            client.completions.create(**how | {"prompt": LONG * 9})
    server.shutdown()
    server.server_close()
    thread.join()
    ids = engine.tokens.encode(PROMPTS[0])
    rows = plain_logprobs(made[1], ids)
    assert texts[0] == streamed == expected.text
    assert scored is not None and scored.token_logprobs is not None
    plain = [float(rows[place][token]) for place, token in enumerate(ids[1:])] + [float(rows[-1].max())]
    assert scored.token_logprobs[1:] == pytest.approx(plain, abs=1e-3)
    engine.close()
