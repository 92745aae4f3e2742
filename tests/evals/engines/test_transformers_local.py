"""The transformers engine against plain transformers calls: same log-probabilities, same greedy text."""

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PhiConfig, PhiForCausalLM

from evals.engines.local import choices, generate, phi_cpu, rows, side_by_side, write
from evals.engines.local.paths import CACHE, PLAIN, SIDE_BY_SIDE, SLOTS, TREE, Paths
from evals.engines.tokens import Tokens
from evals.engines.transformers_local import TransformersLocal, connect, load
from evals.records import ChoiceRequest, Decoding, GenerateRequest
from zoo.errors import ZooError

SHOTS = "Question: what does the function add return?\nAnswer: the sum of a and b\n\n" * 2


@pytest.fixture(scope="module")
def engine(tiny_phi: Path) -> TransformersLocal:
    return connect(tiny_phi, device="cpu")


def requests() -> list[ChoiceRequest]:
    asked = []
    for number, question in enumerate(["the first", "the last of the items", "a", "None and the number seven"]):
        context = f"{SHOTS}Question: {question}?\nAnswer:"
        texts = [" the sum", " the sum of b", " None", " a", " the number seven of the questions"]
        asked.append(ChoiceRequest(sample=f"few/{number}", pairs=tuple((context, text) for text in texts)))
    asked.append(ChoiceRequest(sample="letters", pairs=tuple(("Question: which?\nAnswer:", f" {x}") for x in "ABCD")))
    asked.append(
        ChoiceRequest(sample="contexts", pairs=(("add the first ", "and the last"), ("add b", " and the last")))
    )
    asked.append(ChoiceRequest(sample="empty", pairs=(("", "def add"), ("", "Question"))))
    asked.append(ChoiceRequest(sample="long", pairs=((TOO_LONG, " a b"), (TOO_LONG, " None of the items"))))
    return asked


TOO_LONG = "Question: What is the answer to the first of the questions? " * 12


def plain_logprob(folder: Path, context: str, continuation: str) -> tuple[float, bool]:
    """One pair by itself, in one plain forward pass, as the harness does it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    pair = Tokens(tokenizer).pair(context, continuation, 128)
    with torch.inference_mode():
        logits = model(torch.tensor([pair.tokens[:-1]])).logits[0]
    logprobs = torch.log_softmax(logits.double(), -1)
    wanted = list(pair.tokens[pair.start :])
    places = range(pair.start - 1, len(pair.tokens) - 1)
    greedy = all(int(logits[place].argmax()) == token for place, token in zip(places, wanted, strict=True))
    return sum(float(logprobs[place, token]) for place, token in zip(places, wanted, strict=True)), greedy


@pytest.mark.parametrize("budget", [8192, 40])
def test_choices_equal_one_plain_pass_a_pair(engine: TransformersLocal, tiny_phi: Path, budget: int) -> None:
    found = {r.sample: r for r in choices.choose(engine.model, engine.tokens, engine.paths, requests(), 128, budget)}
    assert set(found) == {request.sample for request in requests()}
    for request in requests():
        for pair, choice in zip(request.pairs, found[request.sample].choices, strict=True):
            logprob, greedy = plain_logprob(tiny_phi, *pair)
            assert choice.logprob == pytest.approx(logprob, abs=1e-4), (request.sample, pair)
            assert choice.greedy == greedy
    assert found["long"].truncated > 0
    assert found["few/0"].truncated == 0


@pytest.mark.parametrize("how", [Decoding(max_tokens=4), Decoding(max_tokens=4, temperature=0.8, top_p=0.9)])
@pytest.mark.parametrize("boundary", ["raw", "healed"])
def test_a_text_from_logits_that_are_not_finite_is_a_fault(overflowing_phi: Path, how: Decoding, boundary: Any) -> None:
    how = msgspec.structs.replace(how, boundary=boundary)
    request = GenerateRequest(sample="s", draw=0, prompt="def add the", decoding=how, seed=0)
    (made,) = connect(overflowing_phi, device="cpu").generate([request])
    assert (made.finish, made.text) == ("fault", "")
    assert "not finite" in made.fault


def test_a_stream_whose_logits_stop_being_finite_ends_in_an_error(tiny_phi: Path, tmp_path: Path) -> None:
    request = GenerateRequest(sample="s", draw=0, prompt="def add(a, b):", decoding=Decoding(max_tokens=12), seed=0)
    engine = connect(tiny_phi, device="cpu")
    (made,) = engine.generate([request])
    read, written = (engine.tokens.encode(text) for text in (request.prompt, made.text))
    later = next(token for token in written[2:] if token not in (*read, *written[:2]))
    broken = tmp_path / "broken"
    shutil.copytree(tiny_phi, broken)
    weights = load_file(broken / "model.safetensors")
    weights["model.embed_tokens.weight"][later] = torch.nan  # read once it was written
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    pieces: list[str] = []
    with pytest.raises(ZooError, match="not finite"):
        pieces.extend(connect(broken, device="cpu").stream(request))
    assert "".join(pieces) and made.text.startswith("".join(pieces))


def test_one_text_that_overflows_leaves_its_neighbours_alone(engine: TransformersLocal) -> None:
    """Logits of three texts of which the second's are not finite, in each way."""
    request = GenerateRequest(sample="s", draw=0, prompt="def", decoding=Decoding(max_tokens=4), seed=0)
    prompt = engine.tokens.prompt("def", request.decoding, 99)
    for value in (float("nan"), float("inf")):
        texts = [generate.Text(request, prompt, engine.tokens, 99) for _ in range(3)]
        logits = torch.randn((3, engine.tokens.size))
        logits[1, 7] = value
        drawn = generate.draw(logits, texts, engine.tokens)
        assert [text.finish for text in texts] == ["", "fault", ""]
        assert [drawn[0], drawn[2]] == logits[[0, 2]].argmax(-1).tolist()
    texts = [generate.Text(request, prompt, engine.tokens, 99)]
    generate.draw(torch.full((1, engine.tokens.size), float("-inf")), texts, engine.tokens)
    assert texts[0].finish == "fault"


def test_few_shot_questions_share_their_beginning(engine: TransformersLocal) -> None:
    made = [rows.make_row(request, engine.tokens, 128) for request in requests()]
    shared = {
        member.sample: len(beginning) for beginning, members in choices.merge_single_rows(made) for member in members
    }
    assert len(shared) == len(made)
    assert all(shared[f"few/{number}"] >= choices.SHARED_TOKENS for number in range(4))
    assert shared["empty"] == 0


def test_single_token_choices_feed_no_token_of_their_own(engine: TransformersLocal) -> None:
    one = rows.make_row(ChoiceRequest(sample="x", pairs=(("a b", "+"), ("a b", "-"))), engine.tokens, 128)
    assert one.fed == len(one.stem)


def test_out_of_memory_halves_the_batch_and_goes_on(engine: TransformersLocal, monkeypatch: pytest.MonkeyPatch) -> None:
    read, sizes = choices._read, []

    def tight(model: object, batch: list[rows.ChoiceRow], *rest: object) -> object:
        sizes.append(len(batch))
        if len(batch) > 1:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return read(model, batch, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(choices, "_read", tight)
    found = list(choices.choose(engine.model, engine.tokens, engine.paths, requests(), 128, 8192))
    assert len(found) == len(requests())
    assert max(sizes) > 1


@pytest.mark.parametrize("path", [TREE, PLAIN])
def test_every_path_reads_the_same_choices(engine: TransformersLocal, path: str) -> None:
    assert engine.paths.choices == SIDE_BY_SIDE
    other = Paths(choices=path, limit=128)
    lean, found = (
        {r.sample: r.choices for r in choices.choose(engine.model, engine.tokens, paths, requests(), 128, 64)}
        for paths in (engine.paths, other)
    )
    assert lean.keys() == found.keys()
    for sample, read in lean.items():
        assert [one.greedy for one in read] == [one.greedy for one in found[sample]]
        assert [one.logprob for one in read] == pytest.approx([one.logprob for one in found[sample]], abs=1e-4)


@pytest.mark.parametrize("change", [{"qk_layernorm": True}, {"hidden_act": "gelu"}, {"num_key_value_heads": 1}])
def test_what_is_no_plain_phi_keeps_its_own_pass(change: dict[str, object]) -> None:
    small = {"vocab_size": 16, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    plain = PhiForCausalLM(PhiConfig(**small, num_attention_heads=2))
    assert phi_cpu.fits(plain)
    assert not phi_cpu.fits(PhiForCausalLM(PhiConfig(**small, num_attention_heads=2, **change)))


def prompts(decoding: Decoding) -> list[GenerateRequest]:
    texts = ["def add(a, b):\n", "def", "Question: What is the answer to the first", "x" * 200, ""]
    return [GenerateRequest(sample=str(i), draw=0, prompt=t, decoding=decoding, seed=i) for i, t in enumerate(texts)]


def plain_greedy(folder: Path, prompt: str, decoding: Decoding) -> str:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokens = Tokens(tokenizer)
    ids = list(tokens.prompt(prompt, decoding, 128 - decoding.max_tokens).tokens)
    written: list[int] = []
    with torch.inference_mode():
        while len(written) < decoding.max_tokens:
            logits = model(torch.tensor([ids + written])).logits[0, -1]
            token = int(logits[: tokens.size].argmax())
            if token == tokens.eos:
                break
            written.append(token)
    return tokens.text(written)


@pytest.mark.parametrize("path", [SIDE_BY_SIDE, SLOTS, CACHE, PLAIN])
@pytest.mark.parametrize("slots", [1, 2, 8])
def test_greedy_text_equals_one_plain_loop(engine: TransformersLocal, tiny_phi: Path, slots: int, path: str) -> None:
    decoding = Decoding(max_tokens=24)
    asked = prompts(decoding)
    asked += [GenerateRequest(sample="again", draw=0, prompt=asked[0].prompt, decoding=decoding, seed=9)]
    paths = Paths(texts=path, limit=128)
    found = {g.sample: g for g in write.generate(engine.model, engine.tokens, paths, asked, 128, slots)}
    assert set(found) == {request.sample for request in asked}
    for request in asked:
        assert found[request.sample].text == plain_greedy(tiny_phi, request.prompt, decoding)
    assert found["3"].truncated > 0


def test_out_of_memory_halves_the_slots_and_draws_the_same(
    engine: TransformersLocal, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoding = Decoding(max_tokens=16, temperature=0.9, top_p=0.95)
    free = {
        g.sample: g.text for g in write.generate(engine.model, engine.tokens, engine.paths, prompts(decoding), 128, 4)
    }
    step, sizes = side_by_side.step, []

    def tight(lean: Any, last_B: Any, *rest: Any) -> Any:
        sizes.append(len(last_B))
        if len(last_B) > 1 and len(sizes) > 5:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        return step(lean, last_B, *rest)

    monkeypatch.setattr(side_by_side, "step", tight)
    found = [
        (g.sample, g.text) for g in write.generate(engine.model, engine.tokens, engine.paths, prompts(decoding), 128, 4)
    ]
    assert dict(found) == free
    assert len(found) == len(free)
    assert max(sizes) == 4
    assert sizes[-1] == 1


def test_draws_do_not_depend_on_their_neighbours(engine: TransformersLocal) -> None:
    decoding = Decoding(max_tokens=16, temperature=0.9, top_p=0.95)
    asked = prompts(decoding)
    together = {g.sample: g.text for g in write.generate(engine.model, engine.tokens, engine.paths, asked, 128, 8)}
    alone = {
        g.sample: g.text
        for r in reversed(asked)
        for g in write.generate(engine.model, engine.tokens, engine.paths, [r], 128, 1)
    }
    assert together == alone
    other = [GenerateRequest(sample="0", draw=1, prompt=asked[0].prompt, decoding=decoding, seed=99)]
    assert next(write.generate(engine.model, engine.tokens, engine.paths, other, 128, 1)).text != together["0"]


def test_a_stop_string_ends_the_text_before_itself(engine: TransformersLocal) -> None:
    free = next(
        write.generate(engine.model, engine.tokens, engine.paths, prompts(Decoding(max_tokens=24))[:1], 128, 1)
    ).text
    stop = free[5:8]
    cut = next(
        write.generate(
            engine.model, engine.tokens, engine.paths, prompts(Decoding(max_tokens=24, stop=(stop,)))[:1], 128, 1
        )
    )
    assert cut.text == free[: free.find(stop)]
    assert cut.finish == "stop"


def test_a_healed_prompt_spells_its_last_token_again(engine: TransformersLocal) -> None:
    raw = "def add(a, b):\n"
    decoding = Decoding(max_tokens=8, boundary="healed")
    prompt = engine.tokens.prompt(raw, decoding, 128)
    assert engine.tokens.text(prompt.tokens).encode() + prompt.heal == raw.encode()
    request = GenerateRequest(sample="h", draw=0, prompt=raw, decoding=decoding, seed=0)
    made = next(write.generate(engine.model, engine.tokens, engine.paths, [request], 128, 1))
    again = engine.tokens.encode(raw + made.text)
    assert engine.tokens.text(again) == raw + made.text  # nothing of the prompt is written twice


def test_ids_beyond_the_tokenizer_are_never_drawn(engine: TransformersLocal) -> None:
    logits = torch.zeros(1, 352)
    logits[0, 351] = 9.0
    logits[0, 7] = 1.0
    request = prompts(Decoding(max_tokens=4))[0]
    text = generate.Text(request, generate.encode_prompt(request, engine.tokens, 128), engine.tokens, 128)
    assert generate.draw(logits, [text], engine.tokens) == [7]


@pytest.mark.parametrize(("top_p", "point", "token"), [(0.5, 0.99, 2), (1.0, 0.0, 2), (1.0, 0.999, 1), (0.7, 0.95, 0)])
def test_nucleus(top_p: float, point: float, token: int) -> None:
    chances = torch.tensor([0.3, 0.1, 0.6], dtype=torch.float64)
    assert generate.draw_nucleus(chances, top_p, point) == token


@pytest.mark.parametrize("top_p", [0.3, 0.9, 0.999])
def test_the_nucleus_of_many_tokens_is_the_sorted_ones(top_p: float) -> None:
    torch.manual_seed(3)
    for scale in (0.1, 2.0, 6.0):  # flat: the nucleus is wider than its head; steep: a few tokens
        logits = (torch.randn(2000) * scale).double()
        logits[100:140] = logits[7]  # equals keep their order
        chances = logits.softmax(0)
        for point in (0.0, 0.2, 0.5, 0.83, 0.9999):
            assert generate.draw_nucleus(chances, top_p, point) == generate._draw_sorted(chances, top_p, point)


def test_half_precision_on_a_cpu_is_refused(tiny_phi: Path) -> None:
    with pytest.raises(ZooError, match="NaN"):
        connect(tiny_phi, dtype="float16", device="cpu")


def test_a_folder_without_a_model_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="cannot be loaded") as caught:
        connect(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_tokenizer_is_refused(tiny_phi: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    shutil.copytree(tiny_phi, folder, ignore=shutil.ignore_patterns("tokenizer.json", "vocab.json", "merges.txt"))
    with pytest.raises(ZooError, match="has no tokenizer"):  # transformers would make up one that knows no word
        load(folder, "float32", "cpu")


def test_phi_2_heads_without_their_rotary_factor_are_refused(tmp_path: Path) -> None:
    config = {"model_type": "phi", "hidden_size": 2560, "num_attention_heads": 32, "max_position_embeddings": 2048}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ZooError, match=r"expected 0\.4"):
        connect(tmp_path)
    for right in ({"partial_rotary_factor": 0.4}, {"rope_parameters": {"partial_rotary_factor": 0.4}}):
        (tmp_path / "config.json").write_text(json.dumps({**config, **right}))
        assert connect(tmp_path).facts.context_tokens == 2048


@pytest.mark.parametrize("name", ["bos_token_id", "eos_token_id"])
def test_a_phi_with_the_class_defaults_for_its_end_of_text_is_refused(
    tiny_phi: Path, tmp_path: Path, name: str
) -> None:
    folder = Path(shutil.copytree(tiny_phi, tmp_path / "phi"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, name: 2}))
    with pytest.raises(ZooError, match=f"{name} 2, expected {config['eos_token_id']}"):
        _ = connect(folder, device="cpu").model


def test_a_continuation_merged_into_its_context_still_scores_a_token(engine: TransformersLocal) -> None:
    whole = engine.tokens.encode("def add")
    merged = next(
        at for at in range(1, 7) if len(engine.tokens.encode("def add"[:at])) == len(engine.tokens.encode("def"))
    )
    pair = engine.tokens.pair("def add"[:merged], "def add"[merged:], 128)
    assert list(pair.tokens) == whole
    assert pair.start < len(pair.tokens)
