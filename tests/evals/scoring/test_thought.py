"""A thought is no answer: tags of every form, opened by the prompt or the text, quoted, repeated, unclosed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.scoring.thought import HARMONY, THINK, ThoughtTags, find_opened, find_tags, split_thought

PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="<>[]|`~◁▷"), max_size=60)
FORMS = {
    "<think>": "</think>", "<thinking>": "</thinking>", "<reasoning>": "</reasoning>", "<thought>": "</thought>",
    "[THINK]": "[/THINK]", "<|thinking|>": "<|/thinking|>", "<|begin_of_thought|>": "<|end_of_thought|>",
    "<seed:think>": "</seed:think>", "◁think▷": "◁/think▷", "<|START_THINKING|>": "<|END_THINKING|>",
    "<|inner_prefix|>": "<|inner_suffix|>", "<|channel>thought": "<channel|>", "<|think_start|>": "<|think_end|>",
    "<ifm|think_fast>": "</ifm|think_fast>", "Here is my thought process:": "Here is my response:",
}  # fmt: skip


@pytest.mark.parametrize(("begin", "end"), FORMS.items())
@pytest.mark.parametrize("named", [0, 1])
def test_a_template_that_names_one_tag_of_a_pair_gives_both(begin: str, end: str, named: int) -> None:
    template = "{% for message in messages %}{{ '" + (begin, end)[named] + "' + message.content }}{% endfor %}"
    tags = find_tags(template)
    assert (tags[0].begin, tags[0].end) == (begin, end)
    assert split_thought(f"{begin}so be it{end}Yes.", tags).answer == "Yes."
    assert THINK in tags


@pytest.mark.parametrize(
    "template",
    [
        "",
        "{% if message['reasoning_content'] %}{{ message[reasoning] }}{% endif %}",
        "{% if enable_thinking is defined and not enable_thinking %}x{% endif %}",
        "{{ '<tool_call>' }}{# thinking, in words #}",
    ],
)
def test_expressions_of_a_template_are_no_tags(template: str) -> None:
    assert find_tags(template) == (THINK,)


@given(thought=PLAIN, answer=PLAIN, form=st.sampled_from(sorted(FORMS.items())), opened=st.booleans())
def test_a_closed_thought_is_split_and_an_unclosed_one_leaves_no_answer(
    thought: str, answer: str, form: tuple[str, str], opened: bool
) -> None:
    tags = ThoughtTags(*form)
    begin = "" if opened else tags.begin
    split = split_thought(begin + thought + tags.end + answer, (tags, THINK), tags if opened else None)
    assert (split.thought, split.answer, split.unfinished) == (thought.strip(), answer.lstrip(), False)
    cut = split_thought(begin + thought, (tags, THINK), tags if opened else None)
    assert (cut.thought, cut.answer, cut.unfinished) == (thought.strip(), "", True)


@given(PLAIN)
def test_a_text_without_tags_is_all_answer(text: str) -> None:
    split = split_thought(text)
    assert (split.thought, split.answer, split.unfinished, split.begins) == ("", text, False, 0)


@pytest.mark.parametrize(
    ("text", "thought", "answer", "unfinished"),
    [
        ("<think>\n\n</think>\n\nFour.", "", "Four.", False),  # the empty thought of a switched-off model
        ("two and two</think>\nFour.", "two and two", "Four.", False),  # the server's template opened it
        ("<think>\n<think>\nhm</think>Four.", "hm", "Four.", False),
        ("Sure!\n<think>hm</think>\nFour.", "hm", "Sure!\n\nFour.", False),
        ("<think>a</think>Four.<think>b</think>", "a\n\nb", "Four.", False),
        ("<think>a</think>Four.\n<think>but is it", "a\n\nbut is it", "Four.\n", True),
        ("<think>hm</think>\n<answer>Four.</answer>\n", "hm", "Four.", False),
        ("<think>hm</think>\n<answer>Four.", "hm", "Four.", False),
        ("<think>the tag `</think>` ends it</think>Four.", "the tag `</think>` ends it", "Four.", False),
        ("<think>```python\nx = 1\n</think>Four.", "```python\nx = 1", "Four.", False),  # a fence left open
        ("Write `<think>` first.", "", "Write `<think>` first.", False),
        ('tags = ["<think>"]', "", 'tags = ["<think>"]', False),
        ("```xml\n<think>a</think>\n```\n", "", "```xml\n<think>a</think>\n```\n", False),
        ("    return x\n", "", "    return x\n", False),
        ("<think>", "", "", True),
        ("", "", "", False),
    ],
)
def test_where_a_thought_ends(text: str, thought: str, answer: str, unfinished: bool) -> None:
    split = split_thought(text)
    assert (split.thought, split.answer, split.unfinished) == (thought, answer, unfinished)


def test_the_channels_of_gpt_oss_before_the_final_one_are_thought() -> None:
    text = (
        "<|channel|>analysis<|message|>Sum.<|end|><|start|>assistant<|channel|>commentary<|message|>Now.<|end|>"
        "<|start|>assistant<|channel|>final<|message|>Four.<|return|>"
    )
    split = split_thought(text, (HARMONY, THINK))
    assert (split.thought, split.answer, split.unfinished) == ("Sum.Now.", "Four.", False)
    assert split_thought(text[:60], (HARMONY, THINK)).unfinished
    assert split_thought("<|channel|>final<|message|>Four.", (HARMONY, THINK)).answer == "Four."


def test_only_the_end_of_a_prompt_opens_a_thought() -> None:
    assert find_opened("<|assistant|><think>\n", (THINK,)) == THINK
    assert find_opened("<|assistant|>", (THINK,)) is None
    assert find_opened("Explain <think><|assistant|>", (THINK,), "Explain <think>") is None
    assert find_opened("Explain <think>", (THINK,), "Explain <think>") is None
    assert find_opened("<|assistant|><think>\n\n</think>\n\n", (THINK,)) is None


def test_a_long_text_of_tags_is_split_in_time() -> None:
    assert split_thought("<think>a</think>" * 20_000).answer == ""
    assert split_thought("```\n" + "<think>" * 20_000).thought == ""
    assert find_tags("<" + "think" * 40_000) == (THINK,)
