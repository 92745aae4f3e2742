"""Conversations as tokens: answers are marked, nothing else is predicted, and the template goes into the checkpoint."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training import run as running
from training.data.build import folder_of
from training.data.tokens.chats import TEMPLATE, pack_chats, segments
from training.data.tokens.loader import ANSWER, END, IGNORED, Loader, open_tokens
from training.recipe import Data, DataSource
from zoo.admission.chat_template import ChatTemplate
from zoo.cli.root import run as phizoo
from zoo.errors import ZooError
from zoo.registry import open_registry

EOS = "<|endoftext|>"
TALK = [
    {"role": "user", "content": "Add 1 to value."},
    {"role": "assistant", "content": "value + 1"},
    {"role": "user", "content": "And 2?"},
    {"role": "assistant", "content": "value + 2"},
]
CHATML = (
    "{% for m in messages %}<|endoftext|>{{ m.role }}\n{{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|endoftext|>assistant\n{% endif %}"
)


@pytest.fixture
def coder(registered_tokens: Any) -> Path:
    """The folder of a byte-level tokenizer whose only mark is EOS."""
    return folder_of(registered_tokens("tiny-tokens")) / "tokenizer"


def write(folder: Path, rows: list[Any], name: str = "talks.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def opened(name: str) -> tuple[Any, Any]:
    """A made dataset, opened, and its tokenizer."""
    from tokenizers import Tokenizer

    with open_registry() as registry:
        dataset = registry.dataset(name)
    folder = folder_of(dataset)
    return open_tokens(folder, name, dataset.digest), Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))


def test_a_conversation_is_its_template_and_its_marked_parts_are_the_answers(coder: Path, tmp_path: Path) -> None:
    pack_chats([write(tmp_path, [{"messages": TALK}])], str(coder), "talks")
    tokens, tokenizer = opened("talks")
    ids = tokens.train.read(0, len(tokens.train))
    marks = tokens.answers[0].read(0, len(ids))
    text = tokenizer.decode(ids.tolist(), skip_special_tokens=False)
    assert text == f"Instruct: Add 1 to value.\nOutput: value + 1{EOS}Instruct: And 2?\nOutput: value + 2{EOS}"
    answers = tokenizer.decode(ids[marks & ANSWER > 0].tolist(), skip_special_tokens=False)
    assert answers == f" value + 1{EOS} value + 2{EOS}"  # the EOS too: a model must learn to stop
    assert np.flatnonzero(marks & END).tolist() == [len(ids) - 1]  # the first turn's EOS ends no conversation


def test_only_answers_are_predicted_and_each_conversation_is_whole(coder: Path, tmp_path: Path) -> None:
    rows = [{"messages": [{**turn, "content": f"{n} {turn['content']}"} for turn in TALK]} for n in range(30)]
    pack_chats([write(tmp_path, rows)], str(coder), "talks")
    tokens, tokenizer = opened("talks")
    data = Data(
        sources=(DataSource(name="talks"),), sequence_tokens=200, packing="documents", document_mask=True,
        loss="answers",
    )  # fmt: skip
    loader = Loader(data, [tokens], 1, 0)
    predicted = []
    for step in range(loader.sizes[0]):
        batch = loader.batch_at(step)
        assert batch.positions_BT is not None
        assert tokenizer.decode(batch.inputs_BT[0, :4].tolist()).startswith("Inst")
        predicted.append(batch.targets_BT[batch.targets_BT != IGNORED])
    marks = tokens.answers[0].read(0, len(tokens.train))
    expected = tokens.train.read(0, len(tokens.train))[marks & ANSWER > 0]
    assert sorted(np.concatenate(predicted).tolist()) == sorted(expected.tolist())


def test_another_template_and_the_same_question_as_when_asked(coder: Path, tmp_path: Path) -> None:
    """The tokens before an answer are those of the prompt that an engine renders, so training and asking agree."""
    from transformers import AutoTokenizer

    file = tmp_path / "chatml.jinja"
    file.write_text(CHATML)
    pack_chats([write(tmp_path, [{"messages": TALK[:2]}])], str(coder), "talks", file)
    tokens, _ = opened("talks")
    ids = tokens.train.read(0, len(tokens.train))
    marks = tokens.answers[0].read(0, len(ids))
    hf = AutoTokenizer.from_pretrained(tokens.folder / "tokenizer")
    asked = hf.apply_chat_template(TALK[:1], add_generation_prompt=True, tokenize=True, return_dict=False)
    assert ids[: int(np.flatnonzero(marks & ANSWER)[0])].tolist() == list(asked)


def test_every_conversation_is_counted(coder: Path, tmp_path: Path) -> None:
    rows = [
        {"messages": TALK},
        {"messages": TALK[:1]},
        {"messages": [{"role": "user", "content": f"say {EOS}"}, TALK[1]]},
        {"messages": [{"role": "tool", "content": "x"}, TALK[1]]},
    ]
    made = pack_chats([write(tmp_path, rows)], str(coder), "talks").dataset
    (stage,) = made.stages
    assert (stage.entered, stage.kept) == (4, 1)
    assert stage.dropped == {"no answer": 1, "refused by the template": 1, "spells a mark of the tokenizer": 1}


@pytest.mark.parametrize(
    "row",
    [
        {"text": "x"},
        {"messages": []},
        {"messages": [{"role": "user"}]},
        {"messages": "x"},
        {"messages": 5},
        [1],
        "x",
        None,
    ],
)
def test_a_line_that_is_no_conversation_is_refused_with_its_number(coder: Path, tmp_path: Path, row: Any) -> None:
    with pytest.raises(ZooError, match=r"talks.jsonl:2 is no conversation; a line is \{\"messages\""):
        pack_chats([write(tmp_path, [{"messages": TALK}, row])], str(coder), "talks")


def test_a_template_that_rewrites_earlier_turns_is_not_guessed_at() -> None:
    text = "{% for m in messages %}{{ loop.length }} {{ m.content }}{% endfor %}"
    with pytest.raises(ValueError, match="does not render turn after turn"):
        segments(ChatTemplate(text, "t"), TALK)
    assert segments(ChatTemplate(TEMPLATE.read_text(), "t", {"eos_token": EOS}), TALK[:1]) == []


def test_a_model_learns_to_answer_and_its_checkpoint_has_the_template(
    coder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    rows = [{"messages": [{"role": "user", "content": f"Say {w}."}, {"role": "assistant", "content": w}]}
            for w in ("yes", "no", "up", "down") for _ in range(8)]  # fmt: skip
    file = write(tmp_path, rows)
    assert phizoo(["data", "chats", file, "--tokenizer", str(coder), "--name", "talk-tokens"]) == 0
    assert "32 entered" in capsys.readouterr().out
    settings = (
        'data.sources=[{name="talk-tokens"}]', "data.packing=documents", "data.document_mask=true", "data.loss=answers",
        "training.steps=60", "validation.every_steps=0",
    )  # fmt: skip
    made = running.run("phi-1-small-tiny", settings, name="talker", say=lambda _: None)
    assert made is not None
    assert made.prompt_style == "chat"
    assert made.chat_template
    with open_registry() as registry:
        folder = registry.path(made)
    tokenizer, phi = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    for word in ("yes", "no", "up", "down"):
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": f"Say {word}."}], add_generation_prompt=True, return_tensors="pt",
            return_dict=True,
        )  # fmt: skip
        answer = phi.generate(**asked, max_new_tokens=8, do_sample=False)[0, asked["input_ids"].shape[1] :]
        assert tokenizer.decode(answer, skip_special_tokens=False) == f" {word}{EOS}"


def test_loss_on_answers_needs_marked_answers(coder: Path) -> None:
    with pytest.raises(ZooError, match="needs answers that are marked, and tiny-tokens has none"):
        running.run("phi-1-small-tiny", ("data.loss=answers", "data.packing=documents"), say=lambda _: None)
    with pytest.raises(ZooError, match=r"data.loss answers needs data.packing documents"):
        running.run("phi-1-small-tiny", ("data.loss=answers",), say=lambda _: None)
