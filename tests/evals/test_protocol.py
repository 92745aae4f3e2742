"""A protocol's name: each form that a run can have renders back byte for byte, since it is in the fingerprint."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.protocol import sampled_task
from evals.protocol_name import ProtocolName
from evals.tasks import every, task
from zoo.errors import ZooError

SUBSETS = ("", "-quick", "-quick2", "-part-40")
RESCORED = ("", ">evalplus", ">lm-eval")
CHATS = ("", ", chat", ", turns", ", chat, turns, system 0a1b2c3d, thinking off, budget 512")
SAMPLED = ("", " t=0.2 p=0.95", " t=0.8 p=1", " t=1e-05 p=0.5", " t=0 p=1")
CHECKS = ("", " check raw", " check healed", " check stripped newline")
IMPORTED = ("", " elsewhere")


def test_every_form_of_every_protocol_comes_back() -> None:
    bases = {one.protocol for one in every()} | {"lm-eval 0.4.13", "evalplus 0.3", "some tool 1.0-rc1"}
    for base, *forms in itertools.product(sorted(bases), SUBSETS, RESCORED, CHATS, SAMPLED, CHECKS, IMPORTED):
        text = base + "".join(forms)
        name = ProtocolName.parse(text)
        assert name.render() == text
        assert name.base == base, text
        assert name.subset == forms[0][1:]
        assert name.rescored_as == forms[1][1:]
        assert (name.chat, name.turns) == ("chat" in forms[2], "turns" in forms[2])
        assert (name.system, name.thinking, name.budget) == (
            ("0a1b2c3d", "off", 512) if "system" in forms[2] else ("", "", None)
        )
        assert (name.temperature is not None) == bool(forms[3])
        assert (name.boundary, name.newline) == (forms[4].split()[1] if forms[4] else "", "newline" in forms[4])
        assert name.imported == bool(forms[5])


def test_no_task_has_a_protocol_whose_own_name_reads_as_a_form() -> None:
    assert all(ProtocolName.parse(one.protocol) == ProtocolName(base=one.protocol) for one in every())


@given(st.text(min_size=1) | st.from_regex(r"[a-z>]+(-quick2)?( t=[0-9.e+-]+ p=[0-9.]+)?( elsewhere)?", fullmatch=True))
def test_any_text_comes_back_byte_for_byte(text: str) -> None:
    assert ProtocolName.parse(text).render() == text


@given(
    st.builds(
        ProtocolName,
        base=st.sampled_from(["openai", "lm-eval", "lm-eval-25", "phizoo", "lm-eval 0.4.13"]),
        subset=st.sampled_from(["", "quick", "quick2", "part-7"]),
        rescored_as=st.sampled_from(["", "evalplus", "lm-eval"]),
        chat=st.booleans(),
        turns=st.booleans(),
        system=st.sampled_from(["", "00000000", "a1b2c3d4"]),
        thinking=st.sampled_from(["", "on", "off"]),
        budget=st.none() | st.integers(0, 10**6),
        boundary=st.sampled_from(["", "raw", "healed"]),
        imported=st.booleans(),
    ),
    st.none() | st.tuples(st.sampled_from([0.0, 0.2, 0.25, 1.5, 1e-5]), st.sampled_from([0.1, 0.95, 1.0])),
)
def test_any_record_comes_back(name: ProtocolName, sampling: tuple[float, float] | None) -> None:
    if sampling:
        name = name.replace(temperature=sampling[0], top_p=sampling[1])
    assert ProtocolName.parse(name.render()) == name


def test_the_name_of_another_sampling_and_of_none() -> None:
    changed = sampled_task(task("humaneval@openai-quick"), 0.2, None)
    assert changed.protocol == "openai-quick t=0.2 p=0.95"
    assert (changed.decoding.temperature, changed.decoding.top_p) == (0.2, 0.95)
    assert sampled_task(task("humaneval"), 0.0, 0.5).protocol == "openai t=0 p=1"
    assert sampled_task(task("humaneval"), None, 0.5) is task("humaneval")
    assert sampled_task(task("piqa"), 0.7, None) is task("piqa")


@pytest.mark.parametrize(
    "spec", ["humaneval@openai>evalplus", "humaneval@openai t=0.2 p=0.95", "humaneval@openai-part-4"]
)
def test_only_a_protocol_and_its_quick_forms_are_asked_by_name(spec: str) -> None:
    with pytest.raises(ZooError, match="has no protocol"):
        task(spec)
