"""The chat protocols: no stop is sent, thoughts and prose do not matter, the right answer of each kind is read."""

from pathlib import Path

import pytest

from evals.tasks import every, task

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data" / "evals"
CHATS = [one for one in every() if one.chat]
NAMES = {
    "mini_exercises",
    "unconventional",
    "mbpp_sanitized",
    "humaneval",
    "humaneval_plus",
    "mbpp",
    "mbpp_plus",
    "gsm8k",
    "math_500",
    "mmlu",
    "bbh",
}


def test_each_benchmark_of_programs_and_four_more_are_asked_by_chat() -> None:
    asked = {one.name for one in CHATS if one.protocol == "chat"}
    assert asked >= NAMES
    assert asked >= {one.name for one in every() if one.kind == "code"}


@pytest.mark.parametrize("spec", [f"{one.name}@{one.protocol}" for one in CHATS])
def test_a_chat_has_no_stop_and_no_shots(spec: str) -> None:
    one = task(spec)
    assert one.decoding.stop == () and one.shots == 0 and one.decoding.temperature == 0.0


@pytest.fixture
def _data(monkeypatch: pytest.MonkeyPatch) -> None:
    if not SHARED.is_dir():
        pytest.skip("the shared data folder is not beside the repository")
    monkeypatch.setenv("PHIZOO_DATA", str(SHARED))


# subtask -> a shape of its answer beside the gold one; @ is the target
BBH = {
    "boolean_expressions": "not ( x ) = @", "causal_judgement": "@, most people would say so.",
    "date_understanding": "**@**", "disambiguation_qa": "Option @ is the correct answer.", "navigate": "@",
    "formal_fallacies": "Therefore the argument is @.", "web_of_lies": "The final answer is: @",
    "object_counting": "That makes **@** objects.", "multistep_arithmetic_two": "A - B = @", "word_sorting": "Sorted: @",
    "dyck_languages": "We need @", "sports_understanding": "@, it is.", "snarks": "\\boxed{@}",
}  # fmt: skip


@pytest.mark.usefixtures("_data")
@pytest.mark.parametrize("subtask", BBH)
def test_each_kind_of_answer_of_bbh_is_read(subtask: str) -> None:
    bbh = task("bbh@chat")
    assert bbh.extract is not None and bbh.score is not None
    samples = [sample for sample in bbh.samples() if sample.cluster == subtask]
    targets = {sample.target: sample for sample in samples}
    for target, sample in targets.items():
        other = next(one for one in targets if one != target)
        answer = bbh.extract(
            sample,
            BBH[subtask].replace("@", target),
        )
        assert answer is not None and bbh.score(sample, answer).metrics == {"exact_match": 1.0}, target
        answer = bbh.extract(sample, f"So the answer is {other}.")
        assert answer is None or bbh.score(sample, answer).metrics == {"exact_match": 0.0}, other


@pytest.mark.usefixtures("_data")
def test_a_mathematical_answer_is_the_last_box_else_the_last_statement() -> None:
    math = task("math_500@chat")
    assert math.extract is not None
    sample = next(iter(math.samples()))
    assert math.extract(sample, "First \\boxed{1}, then \\boxed{\\frac{1}{2}}.") == "\\frac{1}{2}"
    assert math.extract(sample, "Final Answer: The final answer is $3$. I hope it is correct.") == "3"
    assert math.extract(sample, "I cannot solve it with 3 steps.") is None
