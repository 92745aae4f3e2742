"""What is asked of vLLM, without vLLM: a whole task at once, few prompts with log-probabilities, single tokens read out.

The answers themselves are `test_contract.py`'s, with vLLM installed.
"""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evals.engines.tokens import Tokens
from evals.engines.vllm import offline
from evals.records import ChoiceRequest, Decoding, GenerateRequest
from zoo.errors import ZooError


class Core:
    """vLLM's engine as `vllm_local` uses it: takes requests, ends the oldest one at each step."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens, self.inside, self.most, self.asked, self.aborted = tokens, {}, 0, [], []  # type: Any, Any, int, Any, Any
        self.model_config = SimpleNamespace(get_vocab_size=lambda: tokens.size)
        self.fails_at, self.logprob = -1, -1.0

    def add_request(self, name: str, prompt: dict[str, list[int]], how: Any) -> None:
        assert name not in self.inside
        self.inside[name] = (prompt["prompt_token_ids"], how)
        self.asked.append((prompt["prompt_token_ids"], how))
        self.most = max(self.most, len(self.inside))

    def step(self) -> list[Any]:
        if len(self.asked) - len(self.inside) == self.fails_at:
            raise RuntimeError("CUDA out of memory\nand a long story")
        name = next(iter(self.inside))
        ids, how = self.inside.pop(name)
        one = SimpleNamespace(logprob=self.logprob, rank=1)
        told = [None, *({token: one} for token in ids[1:])] if getattr(how, "prompt_logprobs", None) else None
        wanted = dict.fromkeys(getattr(how, "logprob_token_ids", None) or [], one)
        out = SimpleNamespace(
            token_ids=[self.tokens.eos], logprobs=[wanted], cumulative_logprob=self.logprob if getattr(how, "logprobs", None) == 0 else None
        )  # fmt: skip
        return [SimpleNamespace(finished=True, request_id=name, outputs=[out], prompt_logprobs=told)]

    def abort_request(self, names: list[str]) -> None:
        self.aborted += names


@pytest.fixture
def core(tiny_phi: Path, monkeypatch: pytest.MonkeyPatch) -> Core:
    from transformers import AutoTokenizer

    tokens = Tokens(AutoTokenizer.from_pretrained(tiny_phi))
    made = Core(tokens)
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(SamplingParams=SimpleNamespace))
    monkeypatch.setattr(offline, "find_spec", lambda name: object())
    monkeypatch.setattr(offline, "load", lambda backend: (SimpleNamespace(llm_engine=made), tokens))
    return made


def texts(count: int, **how: Any) -> list[GenerateRequest]:
    decoding = Decoding(max_tokens=4, **how)
    return [
        GenerateRequest(sample=str(n), draw=0, prompt=f"def add{n}", decoding=decoding, seed=n) for n in range(count)
    ]


def test_a_whole_task_is_in_the_engine_at_once(core: Core, tiny_phi: Path) -> None:
    made = list(offline.connect(tiny_phi, device="cpu").generate(texts(500)))
    assert (len(made), core.most) == (500, 500)
    assert len({how.seed for _, how in core.asked}) == 500
    assert all(how.ignore_eos and how.stop_token_ids == [core.tokens.eos] for _, how in core.asked)


def test_few_prompts_with_log_probabilities_are_held_at_a_time(core: Core, tiny_phi: Path) -> None:
    asked = [
        ChoiceRequest(sample=str(n), pairs=(("def add(a, b):", " return a"), ("def add(a, b):", " None of")))
        for n in range(400)
    ]
    read = list(offline.connect(tiny_phi, device="cpu").choose(asked))
    assert (len(read), len(core.asked), core.most) == (400, 800, offline.IN_ENGINE)
    assert all(how.prompt_logprobs == 1 and how.max_tokens == 1 for _, how in core.asked)


def test_choices_of_one_token_are_one_request_without_log_probabilities_of_the_prompt(
    core: Core, tiny_phi: Path
) -> None:
    pairs = tuple(("Question: which?\nAnswer:", text) for text in ("+", "-", "="))
    (read,) = offline.connect(tiny_phi, device="cpu").choose([ChoiceRequest(sample="s", pairs=pairs)])
    ((ids, how),) = core.asked
    assert ids == core.tokens.encode("Question: which?\nAnswer:")
    assert how.logprob_token_ids == sorted(core.tokens.encode(text)[-1] for text in "+-=")
    assert not hasattr(how, "prompt_logprobs") and [one.tokens for one in read.choices] == [1, 1, 1]


def test_an_interrupt_drops_what_is_in_the_engine_and_a_failure_is_one_line(core: Core, tiny_phi: Path) -> None:
    backend = offline.connect(tiny_phi, device="cpu")
    answers = backend.generate(texts(5))
    next(answers)
    answers.close()
    assert len(core.aborted) == 4
    core.inside.clear()
    core.asked.clear()
    core.fails_at = 3
    kept: list[str] = []
    with pytest.raises(ZooError, match=r"vLLM failed: CUDA out of memory; what was answered is kept"):
        kept.extend(one.sample for one in backend.generate(texts(5)))
    assert len(kept) == 3


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_text_drawn_from_logits_that_are_not_finite_is_a_fault(core: Core, tiny_phi: Path, value: float) -> None:
    core.logprob = value
    made = list(offline.connect(tiny_phi, device="cpu").generate(texts(3)))
    assert [(text.finish, text.text) for text in made] == [("fault", "")] * 3
    assert all("not finite" in text.fault for text in made)


def test_without_vllm_one_line_says_how_to_get_it(tiny_phi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "find_spec", lambda name: None)
    with pytest.raises(ZooError, match="make setup-vllm-cpu"):
        offline.connect(tiny_phi)
