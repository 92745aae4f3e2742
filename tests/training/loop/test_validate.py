"""Validation by source: means over the tokens that are predicted, and bits over the bytes of their text."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from training import metrics, trainer
from training.data.tokens.loader import TokenBatch
from training.loop.validate import by_source, byte_counter, lines_of, validation_numbers
from training.parallel import World

TEXT = "def add(value):\n    return value + 1  # é, 漢字\n"
SOURCES: Any = [SimpleNamespace(name="code"), SimpleNamespace(name="web")]


def batch(source: int, targets: list[int]) -> TokenBatch:
    row = np.array([targets])
    return TokenBatch(row, row, None, source)


def test_each_source_has_its_own_mean() -> None:
    batches = [batch(0, [1, 2, -100]), batch(0, [3, 4, 5]), batch(1, [6, -100, -100])]
    losses = {id(batches[0]): 4.0, id(batches[1]): 6.0, id(batches[2]): 8.0}
    numbers = validation_numbers(batches, SOURCES, lambda one: losses[id(one)], lambda ids: 2 * len(ids))
    assert numbers["validation_loss"] == 18 / 6
    assert numbers["validation_loss/code"] == 10 / 5
    assert numbers["validation_loss/web"] == 8.0
    assert numbers["validation_bits_per_byte/code"] == pytest.approx(10 / math.log(2) / 10)
    assert numbers["validation_bits_per_byte"] == pytest.approx(18 / math.log(2) / 12)
    assert by_source(numbers)[1] == ("code", 2.0, pytest.approx(10 / math.log(2) / 10))
    said = lines_of([{"step": 7, **numbers}, {"step": 8, "loss": 1.0}])
    assert said[0] == "validation after step 7:"
    assert said[3].startswith("  web: 8.0000 nats a token, ")


def test_without_data_or_bytes_nothing_is_claimed() -> None:
    assert validation_numbers([], SOURCES, lambda _: 0.0, None) == {}
    assert lines_of([{"step": 1, "loss": 2.0}]) == []
    numbers = validation_numbers([batch(0, [1])], SOURCES, lambda _: 2.0, None)
    assert numbers == {"validation_loss": 2.0, "validation_loss/code": 2.0}  # no token of the other source


def test_bytes_are_those_of_the_text(registered_tokens: Any, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models

    from training.data.build import folder_of

    folder = folder_of(registered_tokens("tiny-tokens")) / "tokenizer"
    count = byte_counter(folder)
    assert count is not None
    coder = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = np.array([*coder.encode(TEXT).ids, coder.token_to_id("<|endoftext|>")])
    assert count(ids) == len(TEXT.encode())  # EOS stands for no text
    for cut in range(len(ids)):  # any part, even half of a letter
        assert count(ids[:cut]) + count(ids[cut:]) == count(ids)
    plain = Tokenizer(models.WordLevel({"ab": 0, "c": 1, "[EOS]": 2}, unk_token="c"))
    plain.add_special_tokens(["[EOS]"])
    plain.decoder = decoders.Fuse()
    (tmp_path / "words").mkdir()
    plain.save(str(tmp_path / "words" / "tokenizer.json"))
    words = byte_counter(tmp_path / "words")
    assert words is not None
    assert words(np.array([0, 1, 2])) == len("abc")
    assert byte_counter(tmp_path) is None


def test_a_run_records_each_source(small_job: Any) -> None:
    job = small_job(
        data={"sources": [{"name": "a"}, {"name": "b"}], "sequence_tokens": 16}, validation={"every_steps": 6}
    )
    trainer.train(job, World(0, 1, "cpu"))
    lines = [line for line in metrics.read(job.folder / "metrics.jsonl") if "validation_loss" in line]
    assert [line["step"] for line in lines] == [6, 12]
    assert {"validation_loss/a", "validation_loss/b"} <= lines[0].keys()
    assert json.loads(metrics.curves(lines).splitlines()[0])["validation_loss/b"] == lines[0]["validation_loss/b"]
