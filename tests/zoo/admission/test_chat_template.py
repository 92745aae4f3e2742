"""A chat template renders as transformers renders it, and never for long."""

import json
import time
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.admission.chat_template import ChatTemplate, TemplateFault, check_template
from zoo.admission.template_files import find_template
from zoo.errors import ZooError

CHATML = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{% generation %}{{ m['content'] | trim }}"
    "{% endgeneration %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STRANGE = (
    "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{{ m | tojson(indent=1) }}{% break %}"
    "{% endfor %}{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
    "{{ strftime_now('%d') is string }}{% if tools %}tools{% endif %}{{ eos_token }}"
)
ROLES = st.sampled_from(["system", "user", "assistant"])
TALKS = st.lists(st.fixed_dictionaries({"role": ROLES, "content": st.text()}), min_size=1, max_size=4)
MARKS = {"bos_token": "<a>", "eos_token": "<b>"}
ONE = [{"role": "user", "content": "Hello"}]
TEMPLATES = {text: ChatTemplate(text, "test", MARKS) for text in (CHATML, STRANGE)}


@given(TALKS, st.sampled_from([CHATML, STRANGE]), st.booleans(), st.sampled_from([{}, {"enable_thinking": False}]))
def test_it_renders_as_transformers_does(talk: list[dict[str, str]], text: str, asks: bool, switch: dict) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    theirs, _ = render_jinja_template([talk], chat_template=text, add_generation_prompt=asks, **MARKS, **switch)
    assert TEMPLATES[text].render(talk, asks, **switch) == theirs[0]


@given(st.text(min_size=1).filter(str.strip))
def test_an_answers_beginning_is_left_open_as_in_transformers(beginning: str) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    talk = [*ONE, {"role": "assistant", "content": beginning}]
    theirs, _ = render_jinja_template([talk], chat_template=CHATML, continue_final_message=True, **MARKS)
    assert TEMPLATES[CHATML].render(talk, False, continue_final_message=True) == theirs[0]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("{% for a in range(99999) %}{{ 'x' * 99999 }}{% endfor %}", "limits"),
        ("{{ 'x' * 99999999999 }}", "limits"),
        ("{{ ''.__class__ }}", "sandbox"),
        ("{{ raise_exception('Only users may speak!') }}", "refused"),
        ("{{ 1 / 0 }}", "broken"),
    ],
)
def test_a_fault_is_one_line_and_the_next_rendering_works(text: str, kind: str) -> None:
    template = ChatTemplate("{% if messages[0].content == 'x' %}fine{% else %}" + text + "{% endif %}", "here.jinja")
    for _ in range(2):
        with pytest.raises(TemplateFault, match=r"^here.jinja: the chat template \w+") as error:
            template.render(ONE)
        assert error.value.kind == kind and "\n" not in str(error.value)
        assert template.render([{"role": "user", "content": "x"}]) == "fine"
    template.close()


@pytest.mark.long
def test_a_loop_is_a_line_and_never_a_hang() -> None:
    template = ChatTemplate("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "t")
    began = time.monotonic()
    with pytest.raises(TemplateFault, match="needs too much time"):
        template.render(ONE)
    assert time.monotonic() - began < 20


def test_the_clock_is_an_argument() -> None:
    template = ChatTemplate("{% macro day() %}{{ strftime_now('%d %b %Y') }}{% endmacro %}{{ day() }}", "t")
    assert template.render(ONE, now=datetime(2024, 7, 26)) == "26 Jul 2024"
    assert template.writes_date and str(date.today().year) in template.render(ONE)
    template.close()


def test_the_places_of_a_template_in_their_order(tmp_path: Path) -> None:
    settings = tmp_path / "tokenizer_config.json"
    assert find_template(tmp_path) is None
    settings.write_text("{}")
    assert find_template(tmp_path) is None
    settings.write_text(json.dumps({"chat_template": "one"}))
    assert find_template(tmp_path) == ("one", str(settings))
    listed = [{"name": "tool_use", "template": "two"}, {"name": "default", "template": "three"}]
    settings.write_text(json.dumps({"chat_template": listed}))
    assert find_template(tmp_path) == ("three", str(settings))
    settings.write_text(json.dumps({"chat_template": listed[:1]}))
    with pytest.raises(ZooError, match="tool_use and none named default"):
        find_template(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("four")
    assert find_template(tmp_path) == ("four", str(tmp_path / "chat_template.jinja"))
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "rag.jinja").write_text("five")
    assert find_template(tmp_path) == ("four", str(tmp_path / "chat_template.jinja"))
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(ZooError, match="rag and none named default"):
        find_template(tmp_path)


LOOP = "{% for a in range(99999) %}{{ 'x' * 99999 }}{% endfor %}"
LATE = {
    "on long talks": "{% if messages|length > 40 %}" + LOOP + "{% endif %}",
    "on long messages": "{% if messages and messages[0].content|length > 9999 %}" + LOOP + "{% endif %}",
    "under another bos": "{% if bos_token == '<|begin|>' %}" + LOOP + "{% endif %}",
    "without a bos": "{% if not bos_token %}" + LOOP + "{% endif %}",
    "on a later day": "{% if strftime_now('%Y') > '2090' %}" + LOOP + "{% endif %}",
    "with thoughts": "{% if enable_thinking %}" + LOOP + "{% endif %}",
}


@pytest.mark.parametrize("when", LATE)
def test_a_template_that_grows_later_is_refused_at_the_door(when: str) -> None:
    with pytest.raises(ZooError, match=r"^t: the chat template needs too much time.*remove it") as error:
        check_template(LATE[when], "t")
    assert "\n" not in str(error.value)
