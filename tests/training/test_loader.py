"""The loader: every slice once an epoch, sources by weight, and nothing but (seed, step) decides."""

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.tokens.loader import IGNORED, PERIOD, Loader, _shares, mix, open_tokens, permute
from training.recipe import Data, DataSource
from zoo.errors import ZooError


def data(packing: str = "slices", length: int = 8, mask: bool = False, **weights: float) -> Data:
    sources = tuple(DataSource(name=name, weight=weight) for name, weight in (weights or {"a": 1.0}).items())
    return Data(sources=sources, sequence_tokens=length, packing=packing, document_mask=mask)  # type: ignore[arg-type]


@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
@settings(max_examples=40, deadline=None)
def test_a_permutation_takes_each_place_once(size: int, key: int) -> None:
    assert sorted(permute(index, size, key) for index in range(size)) == list(range(size))


def test_keys_give_other_orders() -> None:
    orders = {tuple(permute(index, 100, key) for index in range(100)) for key in range(50)}
    assert len(orders) == 50
    moved = np.mean([[permute(i, 100, key) for i in range(100)] for key in range(300)], axis=0)
    assert abs(moved - 49.5).max() < 9  # each index goes everywhere: the mean of 300 uniform draws has deviation 1.7


@pytest.mark.parametrize("packing", ["slices", "shifted", "documents"])
def test_an_epoch_reads_every_sequence_once_before_any_again(token_folder: Any, packing: str) -> None:
    loader = Loader(data(packing), [token_folder("a", documents=60)], 3, seed=5)
    size = loader.sizes[0]
    for epoch in range(3):
        places = [loader.place(sequence) for sequence in range(epoch * size, (epoch + 1) * size)]
        assert {place[1] for place in places} == {epoch}
        assert sorted(place[2] for place in places) == list(range(size))
    orders = [[loader.place(epoch * size + i)[2] for i in range(size)] for epoch in range(3)]
    assert orders[0] != orders[1] != orders[2]


def test_slices_are_the_whole_array_in_order(token_folder: Any) -> None:
    tokens = token_folder("a", documents=60)
    loader = Loader(data(), [tokens], 1, seed=0)
    rows = {loader.place(i)[2]: loader.row(i)[0] for i in range(loader.sizes[0])}
    joined = np.concatenate([rows[i][:-1] for i in range(loader.sizes[0])])
    whole = tokens.train.read(0, len(tokens.train))
    assert joined.tolist() == whole[: len(joined)].tolist()
    assert len(whole) - len(joined) <= 8
    assert all(rows[i][-1] == rows[i + 1][0] for i in range(loader.sizes[0] - 1))  # the target of a slice's last token


def test_shards_read_as_one_array(token_folder: Any) -> None:
    one, many = token_folder("one", documents=60), token_folder("many", documents=60, shards=7)
    whole = one.train.read(0, len(one.train)).tolist()
    assert many.train.read(0, len(many.train)).tolist() == whole
    for start in range(0, len(whole) - 40, 7):
        assert many.train.read(start, 40).tolist() == whole[start : start + 40]


def test_a_shifted_epoch_cuts_at_another_place(token_folder: Any) -> None:
    loader = Loader(data("shifted"), [token_folder("a", documents=60)], 1, seed=0)
    firsts = []
    for epoch in range(8):
        rows = [loader.row(epoch * loader.sizes[0] + i)[0] for i in range(loader.sizes[0])]
        firsts.append(frozenset(tuple(row) for row in rows))
    assert len(set(firsts)) > 3


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=9))
def test_shares_are_exact_over_a_period(weights: list[float]) -> None:
    shares = _shares(weights)
    assert sum(shares) == PERIOD
    assert min(shares) >= 1
    exact = [weight / sum(weights) * PERIOD for weight in weights]
    assert all(abs(share - value) <= len(weights) for share, value in zip(shares, exact, strict=True))


def test_sources_are_mixed_by_weight_and_each_in_its_own_epochs(token_folder: Any) -> None:
    sources = [token_folder("a", documents=60), token_folder("b", documents=30, seed=1)]
    loader = Loader(data(a=3.0, b=1.0), sources, 4, seed=2)
    places = [loader.place(sequence) for sequence in range(2 * PERIOD + 300)]
    assert Counter(place[0] for place in places[:PERIOD]) == {0: 768, 1: 256}
    assert Counter(place[0] for place in places[PERIOD : 2 * PERIOD]) == {0: 768, 1: 256}
    for source in (0, 1):
        read = [place[1:] for place in places if place[0] == source]
        assert len(read) == len(set(read))
        assert [epoch for epoch, _ in read] == sorted(epoch for epoch, _ in read)
    steps = len(places) // 4
    counted = Counter(place[0] for place in places[: steps * 4])
    assert loader.tokens_seen(steps) == [counted[0] * 8, counted[1] * 8]


@given(step=st.integers(0, 400), world=st.sampled_from([1, 2, 4]))
@settings(max_examples=30, deadline=None)
def test_processes_together_read_the_one_batch(loaders: Any, step: int, world: int) -> None:
    whole = loaders[0].batch_at(step)
    parts = [
        loaders[rank % 2].batch_at(step, rank, world) for rank in range(world)
    ]  # two loaders: no memory between them
    assert np.concatenate([part.inputs_BT for part in parts]).tolist() == whole.inputs_BT.tolist()
    assert np.concatenate([part.targets_BT for part in parts]).tolist() == whole.targets_BT.tolist()


@pytest.fixture(scope="module")
def loaders(tmp_path_factory: pytest.TempPathFactory) -> list[Loader]:
    folder = tmp_path_factory.mktemp("mixed")
    opened = []
    for name, count in (("a", 500), ("b", 90)):
        ids = np.random.default_rng(count).integers(0, 50, count).astype("<u2")
        (folder / name).mkdir()
        ids.tofile(folder / name / "tokens-00000.bin")
        shards = f'[{{"file": "tokens-00000.bin", "tokens": {count}, "sha256": ""}}]'
        (folder / name / "shards.json").write_text(
            f'{{"eos": 0, "vocabulary": 50, "shards": {shards}, "validation": []}}'
        )
        opened.append(open_tokens(folder / name, name, name))
    return [Loader(data(a=2.0, b=1.0), opened, 4, seed=9) for _ in range(2)]


@pytest.mark.parametrize("packing", ["slices", "shifted", "documents"])
@pytest.mark.parametrize("mask", [False, True])
def test_validation_reads_as_training_does(token_folder: Any, packing: str, mask: bool) -> None:
    """The same tokens as training and as validation data give the same rows, targets and positions."""
    tokens = token_folder("a", documents=60)
    tokens = dataclasses.replace(tokens, validation=tokens.train)
    loader = Loader(data(packing, length=40, mask=mask), [tokens], 1, seed=0)
    if packing == "shifted":
        loader.seed = next(seed for seed in range(10**6) if mix(seed, 3, 0, 0) % 40 == 0)
    trained = {loader.place(i)[2]: loader.batch_at(i) for i in range(loader.sizes[0])}
    held = loader.validation(10**6)
    assert len(held) >= len(trained) > 3
    for which, batch in trained.items():
        assert batch.inputs_BT.tolist() == held[which].inputs_BT.tolist()
        assert batch.targets_BT.tolist() == held[which].targets_BT.tolist()
        assert (batch.positions_BT is None) == (held[which].positions_BT is None) == (not mask)
        if batch.positions_BT is not None and held[which].positions_BT is not None:
            assert batch.positions_BT.tolist() == held[which].positions_BT.tolist()


def test_a_batch_that_processes_do_not_divide_is_refused(token_folder: Any) -> None:
    with pytest.raises(ValueError, match="3 processes do not divide a batch of 4"):
        Loader(data(), [token_folder("a")], 4, seed=0).batch_at(0, 0, 3)


def test_a_branch_reads_on_where_the_run_stopped(token_folder: Any) -> None:
    sources = [token_folder("a", documents=60), token_folder("b", documents=60, seed=1)]
    trunk = Loader(data(a=3.0, b=1.0), sources, 4, seed=2)
    same = Loader(data(a=3.0, b=1.0), sources, 4, seed=2, begin_step=10, read_before=trunk.sequences_seen(10))
    assert [same.place(i) for i in range(40, 200)] == [trunk.place(i) for i in range(40, 200)]
    other = Loader(data(a=1.0, b=1.0), sources, 4, seed=2, begin_step=10, read_before=trunk.sequences_seen(10))
    read = [trunk.place(i) for i in range(40)] + [other.place(i) for i in range(40, 100)]
    assert len(set(read)) == len(read)  # no sequence twice in an epoch, although the shares changed
    for source in (0, 1):
        assert [epoch for s, epoch, _ in read if s == source] == sorted(epoch for s, epoch, _ in read if s == source)
    assert other.sequences_seen(10) == trunk.sequences_seen(10)
    assert sum(other.tokens_seen(25)) == 100 * 8


def test_padding_and_document_edges_are_not_predicted(token_folder: Any) -> None:
    tokens = token_folder("a", documents=60)
    masked = Loader(data("documents", length=40, mask=True), [tokens], 4, seed=0).batch_at(0)
    plain = Loader(data("documents", length=40), [tokens], 4, seed=0).batch_at(0)
    assert masked.positions_BT is not None
    assert plain.positions_BT is None
    edges = masked.inputs_BT == tokens.eos
    assert (masked.targets_BT[edges] == IGNORED).all()
    kept = masked.targets_BT[~edges]
    assert (kept >= 0).all()
    assert (plain.targets_BT >= 0).sum() > (masked.targets_BT >= 0).sum()
    starts = masked.positions_BT == 0
    assert starts[:, 0].all()


def test_a_masked_document_is_read_as_if_alone(token_folder: Any) -> None:
    import torch

    from training import model
    from training.recipe import Model

    tokens = token_folder("a", documents=60)
    batch = Loader(data("documents", length=40, mask=True), [tokens], 2, seed=1).batch_at(0)
    shape = Model(layers=2, width=64, heads=2, mlp=128, rotary_dim=16, context_tokens=64)
    phi = model.build(model.config(shape, tokens.vocabulary, 0, 0), 0).eval()
    ids, positions = torch.from_numpy(batch.inputs_BT), torch.from_numpy(batch.positions_BT)
    with torch.no_grad():
        together = phi(input_ids=ids, position_ids=positions, use_cache=False).logits[0]
        begin = int((positions[0] == 0).nonzero()[1])
        length = 1
        while begin + length < 40 and positions[0, begin + length] == length:
            length += 1
        alone = phi(input_ids=ids[:1, begin : begin + length], use_cache=False).logits[0]
    assert begin > 0
    assert length > 2
    torch.testing.assert_close(together[begin : begin + length], alone, atol=1e-5, rtol=1e-5)


def test_validation_is_fixed_and_apart(token_folder: Any) -> None:
    tokens = token_folder("a", documents=60)
    loader = Loader(data(length=8), [tokens], 2, seed=0)
    first, again = loader.validation(4), loader.validation(4)
    assert [b.inputs_BT.tolist() for b in first] == [b.inputs_BT.tolist() for b in again]
    held = tokens.validation.read(0, len(tokens.validation)).tolist()
    assert first[0].inputs_BT[0].tolist() == held[:8]
    assert loader.validation(10**6)[-1].inputs_BT.shape[1] == 8


def test_too_little_data_is_told(token_folder: Any) -> None:
    with pytest.raises(ZooError, match=r"too few for one sequence of 100000; lower data.sequence_tokens"):
        Loader(data(length=100_000), [token_folder("a")], 2, seed=0)


def test_a_shard_cut_short_is_told(token_folder: Any) -> None:
    tokens = token_folder("a")
    file = tokens.folder / "tokens-00000.bin"
    file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(ZooError, match=r"tokens-00000.bin has .* tokens, expected .* phizoo data pack"):
        open_tokens(tokens.folder, "a", "0")
    file.unlink()
    with pytest.raises(ZooError, match="has 0 tokens"):
        open_tokens(tokens.folder, "a", "0")
