"""A thought that is written here: closed at its budget, its marks kept, its tokens counted, no stop string in it."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from evals.engines import Engine, connect
from evals.engines.local.generate import Text
from evals.engines.tokens import Prompt, Tokens, folder_tokens
from evals.records import Decoding, GenerateRequest, Generation
from evals.scoring.thought import THINK, ThoughtPlan, ThoughtTags, find_tags
from tests.evals.engines import tokenizers_of_kinds
from tests.gguf_files import tiny_llama

PROMPT = "Question: What is the answer to the first"
LLAMA = pytest.param("llama_cpp", marks=pytest.mark.skipif(find_spec("llama_cpp") is None, reason="an extra"))


@pytest.fixture(scope="module", params=["transformers", LLAMA])
def opened(request: pytest.FixtureRequest, tiny_phi: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """(engine, its tokens, a greedy continuation of token ids by the plain forward pass)."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tiny_phi
    model: Any
    if request.param == "llama_cpp":
        folder = tmp_path_factory.mktemp("thinking-gguf")
        model = tiny_llama(folder / "tiny.gguf", tiny_phi)
    else:
        model = AutoModelForCausalLM.from_pretrained(tiny_phi)
    engine, tokens = connect(request.param, folder), folder_tokens(folder)

    def go_on(ids: list[int], count: int) -> list[int]:
        made: list[int] = []
        with torch.inference_mode():
            while len(made) < count:
                row = model(torch.tensor([[*ids, *made]])).logits[0, -1, : tokens.size]
                if (token := int(row.argmax())) in tokens.ends:
                    break
                made.append(token)
        return made

    yield engine, tokens, go_on
    engine.close()


def ask(engine: Engine, plan: ThoughtPlan, **how: Any) -> Generation:
    requests = [
        GenerateRequest(sample=f"s{n}", draw=0, prompt=PROMPT, decoding=Decoding(**how), seed=n, thought=plan)
        for n in range(3)
    ]
    first, *others = sorted(engine.generate(requests), key=lambda text: text.sample)
    assert all(other.text == first.text and other.thought == first.thought for other in others)
    return first


@pytest.mark.parametrize("budget", [0, 1, 7])
def test_a_thought_is_closed_at_its_budget_and_the_model_goes_on(opened: Any, budget: int) -> None:
    engine, tokens, go_on = opened
    text = ask(engine, ThoughtPlan((THINK,), THINK, budget), max_tokens=24)
    prompt = list(tokens.prompt(PROMPT, Decoding(max_tokens=24), 100).tokens)
    thought, closing = go_on(prompt, budget), tokens.encode(THINK.closing, special=False)
    answer = go_on([*prompt, *thought, *closing], 24 - budget)
    assert text.thought == tokens.text(thought).strip()
    assert text.text == tokens.text(answer).lstrip()
    assert text.tokens == len(thought) + len(closing) + len(answer) and not text.unfinished
    assert len(thought) < text.thought_tokens <= len(thought) + len(closing)


def test_a_thought_without_a_budget_is_unfinished(opened: Any) -> None:
    text = ask(opened[0], ThoughtPlan((THINK,), THINK), max_tokens=12)
    assert (text.text, text.unfinished, text.thought_tokens) == ("", True, text.tokens) and text.thought


def test_a_text_outside_of_a_thought_is_as_without_a_plan(opened: Any) -> None:
    text = ask(opened[0], ThoughtPlan((THINK,), None, 4), max_tokens=12)
    (plain,) = opened[0].generate(
        [GenerateRequest(sample="s", draw=0, prompt=PROMPT, decoding=Decoding(max_tokens=12), seed=0)]
    )
    assert text.text == plain.text and not text.thought and not text.thought_tokens


def write(tokens: Tokens, plan: ThoughtPlan, pieces: list[int], **how: Any) -> Generation:
    """A text of these tokens, or of the forced ones in their place."""
    decoding = Decoding(**{"max_tokens": 100, **how})
    request = GenerateRequest(sample="s", draw=0, prompt="", decoding=decoding, seed=0, thought=plan)
    text = Text(request, Prompt(tokens=(1,)), tokens, 4096)
    for token in pieces:
        text.add_forced()
        text.add(token)
    return text.generation()


KINDS = [tokenizers_of_kinds.byte_level, tokenizers_of_kinds.byte_fallback, tokenizers_of_kinds.suffixes]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_special_tokens_that_are_tags_have_their_text(kind: Any) -> None:
    tokenizer = kind()
    tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]", "[OTHER]"]})
    tokens = Tokens(tokenizer)
    begin, end, other = tokenizer.convert_tokens_to_ids(["[THINK]", "[/THINK]", "[OTHER]"])
    words = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in ("def", "de")]
    made = [begin, *words[0], other, end, *words[1]]
    plan = ThoughtPlan(find_tags("[THINK]"))
    text = write(tokens, plan, made)
    assert (text.thought.strip(), text.text.strip()) == ("def", "de")
    assert text.thought_tokens == len(words[0]) + 3 and text.tokens == len(made)
    assert "[THINK]" not in write(tokens, ThoughtPlan((THINK,)), made).text


def test_stop_strings_end_an_answer_and_no_thought(tiny_phi: Path) -> None:
    tokens = folder_tokens(tiny_phi)
    pieces = tokens.encode("<think>so\nstop it</think>\nIt is.stop here")
    text = write(tokens, ThoughtPlan((THINK,)), pieces, stop=("stop",))
    assert (text.thought, text.text, text.finish) == ("so\nstop it", "It is.", "stop")
    unplanned = Text(
        GenerateRequest(sample="s", draw=0, prompt="", decoding=Decoding(stop=("stop",)), seed=0),
        Prompt(tokens=(1,)), tokens, 4096,
    )  # fmt: skip
    for token in pieces:
        unplanned.add(token)
    assert unplanned.generation().text == "<think>so\n"


@pytest.mark.parametrize("budget", range(12))
def test_the_budget_counts_from_where_the_thought_begins(tiny_phi: Path, budget: int) -> None:
    tokens = folder_tokens(tiny_phi)
    begin, thought = tokens.encode("<think>"), tokens.encode("add the first and the last of the items to the answer")
    made = write(tokens, ThoughtPlan((THINK,), None, budget), [*begin, *thought[: budget + 1]])
    assert made.thought == tokens.text(thought[:budget]).strip() and not made.unfinished
    assert made.text == tokens.text(thought[budget : budget + 1]).lstrip()


def test_the_tags_of_another_form_close_a_thought_in_theirs(tiny_phi: Path) -> None:
    tokens = folder_tokens(tiny_phi)
    tags = ThoughtTags("<|thinking|>", "<|/thinking|>", close="<|/thinking|>So:")
    made = write(tokens, ThoughtPlan((tags, THINK), tags, 2), tokens.encode("add the first and"))
    assert made.text.startswith("So:") and made.thought
