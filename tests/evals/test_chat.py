"""Tasks asked by chat: their messages are those of lm-evaluation-harness, and their identity is their own."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evals.chat import bind, chat_task, make_messages
from evals.protocol import protocol
from evals.records import ChatShape, Generation, Message, Result, Sample, encode_line
from evals.scoring.choices import each_choice, judge
from evals.task import PromptParts, Task, bare_question
from zoo.errors import ZooError

PLAIN, TURNS = ChatShape(), ChatShape(fewshot_as_turns=True)
SAMPLES = (
    Sample(id="a/0", question="Why?", choices=("yes", " no"), target=0),
    Sample(id="a/1", question="When?", choices=("now", "then"), target=1),
)
CHOICES = Task(
    name="a", version=1, kind="choices", about="", protocol="lm-eval", samples=lambda: iter(SAMPLES),
    prompt=bare_question, pairs=each_choice(bare_question), judge=judge(("acc",)), metrics=("acc",), size=2,
)  # fmt: skip
WRITES = replace(CHOICES, kind="generate", pairs=None, judge=None)
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>\n{% endif %}"
)


def test_a_base_model_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(ZooError, match="has no chat template: it is a base model") as error:
        bind(chat_task(CHOICES, PLAIN), tmp_path)
    assert "\n" not in str(error.value)
    assert bind(CHOICES, tmp_path) is CHOICES  # asked plainly


def test_choices_begin_without_their_delimiter() -> None:
    task = chat_task(CHOICES, PLAIN)
    assert task.asked is not None
    assert [text for _, text in task.asked(SAMPLES[0])] == ["yes", " no"]
    kept = chat_task(replace(CHOICES, delimiter=""), PLAIN)
    assert kept.asked is not None
    assert [text for _, text in kept.asked(SAMPLES[0])] == [" yes", "  no"]


def test_an_answers_beginning_is_the_models_message() -> None:
    def parts(sample: Sample) -> PromptParts:
        return PromptParts(question=sample.question, prefix="The answer is")

    prompt = lambda sample: parts(sample).text()  # noqa: E731
    task = replace(CHOICES, parts=parts, prompt=prompt, pairs=each_choice(prompt))
    asked = chat_task(task, PLAIN).asked
    assert asked is not None
    messages, text = asked(SAMPLES[0])[0]
    assert (messages[-1], text) == (Message(role="assistant", content="The answer is"), " yes")


def test_stops_belong_to_completions() -> None:
    stops = replace(WRITES.decoding, stop=("\n",))
    assert chat_task(replace(WRITES, decoding=stops), PLAIN).decoding.stop == ("\n",)
    assert chat_task(replace(WRITES, decoding=stops, chat=True), PLAIN).decoding.stop == ()


@given(st.text(max_size=20), st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=3), st.text())
def test_one_message_holds_what_the_plain_prompt_holds(question: str, shots: list[tuple[str, str]], about: str) -> None:
    parts = PromptParts(question=question, shots=tuple(shots), description=about)
    system, user = "".join(m.content for m in make_messages(parts, PLAIN)[:-1]), make_messages(parts, PLAIN)[-1]
    assert (system + user.content, user.role) == (parts.text(), "user")
    turns = make_messages(parts, TURNS)
    assert [message.role for message in turns if message.role != "system"] == ["user", "assistant"] * len(shots) + [
        "user"
    ]


@given(st.text(max_size=9), st.sampled_from([PLAIN, TURNS, ChatShape(thinking=False), ChatShape(budget=9)]))
def test_every_shape_is_a_protocol_of_its_own(system: str, shape: ChatShape) -> None:
    shapes = [shape, replace(shape, system=system), replace(shape, system=system + "x")]
    records = [protocol(chat_task(WRITES, each), SAMPLES, "acc") for each in shapes]
    different = len({each.system for each in shapes})
    assert len({record.fingerprint for record in records}) == len({record.name for record in records}) == different
    assert protocol(WRITES, SAMPLES, "acc").fingerprint not in {record.fingerprint for record in records}


def test_a_template_is_in_the_fingerprint_and_columns_are_shared_by_templates() -> None:
    first, second, later = (
        protocol(chat_task(CHOICES, replace(PLAIN, template=name, date=day)), SAMPLES, "acc")
        for name, day in (("a" * 64, ""), ("b" * 64, ""), ("b" * 64, "2026-01-02"))
    )
    assert first.name == "lm-eval, chat"
    assert first.fingerprint != second.fingerprint == later.fingerprint
    assert first.column_key == second.column_key != first.fingerprint
    plain = protocol(CHOICES, SAMPLES, "acc")
    assert plain.column_key == plain.fingerprint != first.column_key


def test_lines_of_plain_runs_have_no_new_fields() -> None:
    text = Generation(sample="a", draw=0, text="t", prompt_tokens=1, tokens=1, finish="stop")
    assert b"thought" not in encode_line(text) and b'"fault":""' in encode_line(text)
    result = Result(sample="a", draw=0, score=0.0, thought="hm", unfinished=True)
    assert b'"thought":"hm","unfinished":true}\n' in encode_line(result)
