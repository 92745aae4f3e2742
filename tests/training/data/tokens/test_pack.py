"""Tokenizer and packing: what goes in comes out, in an order that only the seed decides."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.build import Built, Counts, MadeDataset, folder_of, make, write_result
from training.data.document import make_document
from training.data.tokens import pack as module
from training.data.tokens.order import DocumentRows, gather_rows, mix_order
from training.data.tokens.pack import pack, parse_sources
from training.data.tokens.tokenizer import EOS, train_tokenizer
from zoo.errors import ZooError


def documents(name: str, count: int) -> MadeDataset:
    def build(work: Path) -> Built:
        texts = [f"def {name}_{n}(value):\n    return value * {n} + {n * 7}\n{EOS}\n" for n in range(count)]
        kept = [make_document(text, f"{name}/{n}", name, "MIT", "function") for n, text in enumerate(texts)]
        number, tokens = write_result(work / "out", kept)
        counts = Counts("all")
        counts.keep(number)
        return Built(kind="documents", documents=number, tokens=tokens, stages=(counts.stage(),), licence="MIT")

    return make(name, {"made": name, "count": count}, None, build)


@pytest.fixture
def coder() -> MadeDataset:
    documents("apples", 300)
    documents("pears", 100)
    return train_tokenizer(["apples", "pears"], "coder", 300)


def read(made: MadeDataset, stem: str = "shards") -> tuple[list[int], dict[str, object]]:
    folder = folder_of(made.dataset)
    told = json.loads((folder / "shards.json").read_text())
    flat = [np.fromfile(folder / one["file"], dtype="<u2") for one in told[stem]]
    assert [len(one) for one in flat] == [one["tokens"] for one in told[stem]]
    return [int(token) for one in flat for token in one], told


def split(tokens: list[int], eos: int) -> list[tuple[int, ...]]:
    found, here = [], []
    for token in tokens:
        if token == eos:
            found.append(tuple(here))
            here = []
        else:
            here.append(token)
    assert not here, "the last document is not ended"
    return found


def test_the_tokenizer_loads_and_gives_the_text_back(coder: MadeDataset) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder_of(coder.dataset) / "tokenizer")
    text = "def f(x):\n    for y in x:\n        if y > 12:\n            return y  # caf\u00e9 \U0001f600\n"
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert (len(tokenizer), tokenizer.eos_token) == (300, EOS)
    assert tokenizer(EOS).input_ids == [tokenizer.eos_token_id]


def test_the_prompt_is_a_prefix_of_the_whole(coder: MadeDataset) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder_of(coder.dataset) / "tokenizer" / "tokenizer.json"))
    prompt = 'def f(x):\n    """Doubles x."""'
    whole = tokenizer.encode(prompt + "\n    return x * 2\n").ids
    ids = tokenizer.encode(prompt).ids
    assert whole[: len(ids)] == ids


def test_every_document_is_packed_once(coder: MadeDataset) -> None:
    made = pack(["apples", "pears"], "coder", "fruit")
    train, told = read(made)
    held, _ = read(made, "validation")
    eos = told["eos"]
    assert isinstance(eos, int)
    kept, validation = split(train, eos), split(held, eos)
    assert len(kept) == made.dataset.documents == len(set(kept))
    assert len(kept) + len(validation) == 400
    assert not set(kept) & set(validation)
    assert made.dataset.tokens == len(train)
    (stage,) = made.dataset.stages
    assert (stage.entered, stage.kept) == (400, len(kept))
    assert stage.dropped == {module.VALIDATION: len(validation)}


def test_a_budget_is_a_prefix_of_the_whole_whatever_was_encoded(
    coder: MadeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = read(pack(["apples", "pears"], "coder", "fruit"))
    some = pack(["apples", "pears"], "coder", "some", tokens=1500)
    tokens, _ = read(some)
    assert 1500 <= len(tokens) < 1600
    assert tokens == whole[: len(tokens)]
    monkeypatch.setattr(module, "CHARACTERS_A_TOKEN", 1)  # too short a guess is repeated with a longer one
    monkeypatch.setattr(module, "VERSION", 99)
    again = pack(["apples", "pears"], "coder", "again", tokens=1500)
    assert again.fresh
    assert read(again)[0] == tokens


def test_weights_are_shares_of_the_tokens(coder: MadeDataset) -> None:
    made = pack(["apples=1", "pears=3"], "coder", "mix", tokens=20_000)
    share = made.dataset.recipe["tokens_by_source"]  # type: ignore[index]
    assert share["pears"] / (share["apples"] + share["pears"]) == pytest.approx(0.75, abs=0.01)
    assert made.dataset.tokens == pytest.approx(20_000, abs=60)
    assert made.dataset.documents < 400  # pears are repeated, and counted once


def test_the_seed_decides_the_order(coder: MadeDataset) -> None:
    first, told = read(pack(["apples"], "coder", "a", seed=1))
    second, _ = read(pack(["apples"], "coder", "b", seed=2))
    assert first != second
    assert sorted(split(first, told["eos"])) == sorted(split(second, told["eos"]))  # type: ignore[arg-type]


def made_up(sizes: list[int], sources: int = 1) -> DocumentRows:
    every = [[size for place, size in enumerate(sizes) if place % sources == one] for one in range(sources)]
    return gather_rows(
        (one, one, [f"{one:08d}{n:08d}".encode() for n in range(len(part))], part) for one, part in enumerate(every)
    )


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(0, 5), st.integers(1, 120))
def test_order_is_a_permutation_cut_at_the_budget(sizes: list[int], seed: int, budget: int) -> None:
    rows = made_up(sizes)
    every = mix_order(rows, np.arange(len(sizes)), [None], None, seed)
    assert sorted(every.tolist()) == list(range(len(sizes)))
    some = mix_order(rows, np.arange(len(sizes)), [None], budget, seed)
    assert some.tolist() == every[: len(some)].tolist()
    assert rows.sizes[some].sum() >= min(budget, sum(sizes))
    assert rows.sizes[some[:-1]].sum() < budget


@given(st.lists(st.integers(1, 9), min_size=2, max_size=30), st.integers(1, 300), st.floats(0.1, 10))
def test_a_mixture_repeats_a_source_only_when_it_is_used_up(sizes: list[int], budget: int, weight: float) -> None:
    rows = made_up(sizes, 2)
    order = mix_order(rows, np.arange(len(sizes)), [1.0, weight], budget, 0).tolist()
    for source in (0, 1):
        times = {row: order.count(row) for row in range(len(sizes)) if rows.source[row] == source}
        assert max(times.values()) - min(times.values()) <= 1


def test_a_broken_tokenizer_is_told(coder: MadeDataset, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{broken")
    with pytest.raises(ZooError, match="is not a tokenizer"):
        pack(["apples"], str(tmp_path), "tokens")


def test_wrong_sources_are_told() -> None:
    for given_, message in (
        (["a=x"], 'has no valid weight'), (["a=0"], 'has no valid weight'), (["a=1", "b"], "every source a weight or none"),
        (["a", "a"], "named twice"),
    ):  # fmt: skip
        with pytest.raises(ZooError, match=message):
            parse_sources(given_)


def test_a_vocabulary_that_cannot_be_is_told(coder: MadeDataset) -> None:
    with pytest.raises(ZooError, match="256 bytes and EOS need 257"):
        train_tokenizer(["apples"], "none", 100)
    with pytest.raises(ZooError, match=r"gives only \d+ tokens, not 60000"):
        train_tokenizer(["apples"], "none", 60_000)
