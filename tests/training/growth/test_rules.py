"""Growth: exact methods keep the logits, the others do not; depth maps are the published ones."""

from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training import optimizer, parallel, state
from training.growth import rules
from training.growth.forward import logits as streamed
from training.growth.grow import header, shape_of
from training.growth.rules import Growth, depth_map, grow_tensor, source_tensor, tensor_shapes
from training.model import build, config
from training.recipe import Model, Optimizer, load, shape
from zoo.errors import ZooError

VOCABULARY = 40


def model(of: Model, seed: int, dtype: torch.dtype = torch.float64) -> torch.nn.Module:
    """A model whose every weight and bias matters."""
    made = build(config(of, VOCABULARY, 0, 0), seed).to(dtype).eval()
    drawn = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=drawn, dtype=dtype) * 0.2)
    return made


def grow(small: torch.nn.Module, old: Model, new: Model, growth: Growth) -> torch.nn.Module:
    """The grown model, through the same functions that the command streams with."""
    held = small.state_dict()
    fitted = msgspec.structs.replace(new, layer_norm_epsilon=rules.layer_norm_epsilon(old, new, growth))
    large = build(config(fitted, VOCABULARY, 0, 0), 1).to(next(small.parameters()).dtype).eval()
    made = {}
    for name, wanted in tensor_shapes(new, VOCABULARY).items():
        taken, factor = source_tensor(name, old, new, growth)
        made[name] = grow_tensor(name, held[taken], old, new, growth, 0.02) * factor
        assert tuple(made[name].shape) == wanted
    large.load_state_dict(made)
    return large


def apart(one: torch.nn.Module, other: torch.nn.Module) -> float:
    tokens = torch.randint(0, VOCABULARY, (2, 11), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return float((one(tokens).logits - other(tokens).logits).abs().max())


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Model, Model, Growth]:
    """A legal small and large shape for an exact method."""
    method = draw(st.sampled_from(rules.EXACT))
    heads, size, rotary = draw(st.integers(1, 3)), draw(st.sampled_from([8, 12, 16])), draw(st.sampled_from([4, 8]))
    layers = draw(st.integers(1, 3))
    old = Model(layers=layers, width=heads * size, heads=heads, mlp=draw(st.integers(8, 40)), rotary_dim=rotary)
    deeper = layers + draw(st.integers(0, 3))
    if method == "tile-exact":
        n = draw(st.integers(1, 3))
        new = msgspec.structs.replace(old, layers=deeper, width=old.width * n, heads=heads * n, mlp=old.mlp * n)
    else:
        wider, more = size + draw(st.sampled_from([0, 4, 8])), heads + draw(st.integers(0, 2))
        mlp = old.mlp + draw(st.integers(0, 20))
        new = msgspec.structs.replace(old, layers=deeper, width=more * wider, heads=more, mlp=mlp)
    rounding = draw(st.sampled_from(["half-even", "half-up", "floor"]))
    noise, split = draw(st.sampled_from([0.0, 0.1])), draw(st.sampled_from([0.0, 0.4]))
    return old, new, Growth(method=method, rounding=rounding, noise=noise, split=split, seed=draw(st.integers(0, 9)))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pairs())
def test_exact_methods_keep_the_logits(pair: tuple[Model, Model, Growth]) -> None:
    old, new, growth = pair
    assert rules.preserves_function(old, new, growth)
    rules.check_growth(old, new, growth)
    small = model(old, 0)
    assert apart(small, grow(small, old, new, growth)) <= 1e-10
    single = model(old, 0, torch.float32)
    assert apart(single, grow(single, old, new, growth)) <= 1e-5 * max(1.0, size(single))


def size(of: torch.nn.Module) -> float:
    """The largest logit: fp32 rounding is relative to it."""
    tokens = torch.randint(0, VOCABULARY, (2, 11), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return float(of(tokens).logits.abs().max())


SMALL = Model(layers=3, width=32, heads=2, mlp=128, rotary_dim=8)
DOUBLE = Model(layers=3, width=64, heads=4, mlp=256, rotary_dim=8)
DEEPER = Model(layers=5, width=64, heads=4, mlp=256, rotary_dim=8)
WIDER_HEADS = Model(layers=3, width=48, heads=2, mlp=160, rotary_dim=8)


@pytest.mark.parametrize(
    ("new", "growth"),
    [
        (DOUBLE, Growth(method="tile")),
        (DOUBLE, Growth(method="corner")),
        (DOUBLE, Growth(method="scratch")),
        (WIDER_HEADS, Growth(method="structured-tile")),
        (DEEPER, Growth(method="tile-exact", depth="copy")),
        (DEEPER, Growth(method="tile-exact", depth="half")),
    ],
    ids=lambda value: getattr(value, "method", ""),
)
def test_the_other_methods_do_not(new: Model, growth: Growth) -> None:
    assert not rules.preserves_function(SMALL, new, growth)
    small = model(SMALL, 0)
    assert apart(small, grow(small, SMALL, new, growth)) > 0.1


def test_depth_maps_are_the_published_ones() -> None:
    assert depth_map(24, 20) == [0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12, 12, 13, 14, 15, 16, 17, 18, 18, 19]
    half_up = [0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12, 13, 13, 14, 15, 16, 17, 18, 18, 19]
    assert depth_map(24, 20, "half-up") == half_up
    assert doubled(depth_map(24, 20, "floor")) == [0, 5, 10, 15]
    assert depth_map(32, 24) == [
        0, 1, 2, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10, 10, 11, 12, 13, 14, 14, 15, 16, 16, 17, 18, 19, 20, 20, 21, 22, 22, 23,
    ]  # fmt: skip
    assert doubled(depth_map(32, 24, "half-up")) == [2, 5, 8, 11, 14, 17, 20, 23]
    assert doubled(depth_map(32, 24, "floor")) == [0, 3, 6, 9, 12, 15, 18, 21]


def doubled(layers: list[int]) -> list[int]:
    return sorted({layer for layer in layers if layers.count(layer) > 1})


@given(new=st.integers(1, 60), old=st.integers(1, 40), rounding=st.sampled_from(["half-even", "half-up", "floor"]))
def test_a_depth_map_is_monotone_and_within(new: int, old: int, rounding: rules.Rounding) -> None:
    found = depth_map(new, old, rounding)
    assert found == sorted(found)
    assert len(found) == new
    assert set(found) <= set(range(old))
    if new >= old:
        assert set(found) == set(range(old))
    if rounding == "half-even":
        assert found == [min(round(place * old / new), old - 1) for place in range(new)]


def gradients(growth: Growth) -> torch.Tensor:
    """Gradient of the first fc1 of a doubled model, as its 2 x 2 blocks."""
    small = model(SMALL, 0)
    large = grow(small, SMALL, DOUBLE, growth).train()
    tokens = torch.randint(0, VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(4))
    large(tokens, labels=tokens).loss.backward()
    gradient = large.model.layers[0].mlp.fc1.weight.grad  # type: ignore[union-attr, index]
    return gradient.reshape(2, 128, 2, 32).permute(0, 2, 1, 3).reshape(4, 128, 32)


def test_copies_get_equal_gradients_until_the_symmetry_is_broken() -> None:
    blocks = gradients(Growth(method="tile-exact"))
    assert torch.allclose(blocks, blocks[:1].expand(4, -1, -1), rtol=1e-9, atol=1e-12)
    for broken in (Growth(method="tile-exact", noise=0.1), Growth(method="tile-exact", split=0.4)):
        blocks = gradients(broken)
        assert float((blocks[0] - blocks[2]).abs().max()) > 1e-4 * float(blocks.abs().max())


def test_adamw_at_one_nth_of_the_rate_follows_the_small_model() -> None:
    small = model(SMALL, 0)
    large = grow(small, SMALL, DOUBLE, Growth(method="tile-exact")).train()
    small.train()

    def optimizer(of: torch.nn.Module, n: int) -> torch.optim.Optimizer:
        inner = [p for name, p in of.named_parameters() if p.dim() == 2 and "embed" not in name]
        rest = [p for name, p in of.named_parameters() if p.dim() < 2 or "embed" in name]
        matrices = {"params": inner, "lr": 1e-3 / n, "weight_decay": 0.1 * n}
        return torch.optim.AdamW([matrices, {"params": rest, "lr": 1e-3, "weight_decay": 0.1}], eps=1e-30)

    one, other = optimizer(small, 1), optimizer(large, 2)
    tokens = torch.randint(0, VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(5))
    for _ in range(10):
        for of, steps in ((small, one), (large, other)):
            steps.zero_grad()
            of(tokens, labels=tokens).loss.backward()
            steps.step()
    assert apart(small.eval(), large.eval()) < 1e-5
    assert apart(small, model(SMALL, 0)) > 1e-2  # they did move


@pytest.mark.parametrize("limit", [0.0, 2.0])
def test_the_recipes_rule_and_grown_moments_follow_the_small_model(limit: float) -> None:
    """Five steps of the small model, then both go on: the grown one with lr/n, n times the decay, and grown moments.

    limit: the norm to which gradients are clipped. It acts in some steps and not in others, and on both alike.
    """
    settings = Optimizer(weight_decay=0.1, epsilon=1e-30)
    norms: dict[int, list[float]] = {}
    tokens = torch.randint(0, VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(5))

    def steps(of: torch.nn.Module, made: list[torch.optim.Optimizer], count: int) -> None:
        for _ in range(count):
            of(tokens, labels=tokens).loss.backward()
            tiled = msgspec.structs.replace(settings, tiled_copies=1 if of is small else 2)
            norm = parallel.clip(of, limit, optimizer.norm_scales(of, tiled))
            norms.setdefault(1 if of is small else 2, []).append(norm)
            for one in made:
                one.step()
                one.zero_grad()

    small = model(SMALL, 0).train()
    ours = optimizer.build(small, settings, 1e-3)
    optimizer.set_rate(ours, 1e-3)
    steps(small, ours, 5)
    growth = Growth(method="tile-exact")
    large = grow(small, SMALL, DOUBLE, growth).train()
    theirs = optimizer.build(large, msgspec.structs.replace(settings, tiled_copies=2), 1e-3)
    optimizer.set_rate(theirs, 1e-3)
    held, moments = state.optimizer_tensors(small, ours), {}
    for name in tensor_shapes(DOUBLE, VOCABULARY):
        for key in ("step", "exp_avg", "exp_avg_sq"):
            moments[f"0.{name}.{key}"] = rules.grow_moment(name, key, held[f"0.{name}.{key}"], SMALL, DOUBLE, growth)
    state.load_optimizer(large, theirs, moments)
    before = apart(small.eval(), large.eval())
    steps(small.train(), ours, 10)
    steps(large.train(), theirs, 10)
    assert norms[2] == pytest.approx(norms[1][5:], rel=1e-6)
    assert not limit or min(norms[2]) < limit < max(norms[2])
    assert before < 1e-10
    assert apart(small.eval(), large.eval()) < 1e-5
    assert apart(small, model(SMALL, 0)) > 1e-2


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pairs())
def test_grown_moments_are_those_of_the_grown_gradient(pair: tuple[Model, Model, Growth]) -> None:
    """m of a first step is the gradient itself: grown from the small one it equals the large one's, where both have one."""
    old, new, growth = pair
    growth = msgspec.structs.replace(growth, noise=0.0, split=0.0)
    new = msgspec.structs.replace(new, layers=old.layers)  # a silenced layer has other gradients
    small = model(old, 0)
    large = grow(small, old, new, growth)
    tokens = torch.randint(0, VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(4))
    gradients = []
    for one in (small, large):
        one(tokens, labels=tokens).loss.backward()
        gradients.append({name: parameter.grad for name, parameter in one.named_parameters()})
    for name, found in gradients[1].items():
        made = rules.grow_moment(name, "exp_avg", gradients[0][name], old, new, growth)
        squared = rules.grow_moment(name, "exp_avg_sq", gradients[0][name].square(), old, new, growth)
        assert made.shape == squared.shape == found.shape
        if growth.method == "tile-exact":
            torch.testing.assert_close(made, found, rtol=1e-6, atol=1e-12)
            torch.testing.assert_close(squared, found.square(), rtol=1e-6, atol=1e-12)
        else:  # the stream's new coordinates share in the old ones' gradient: equal where neither axis has any
            part = rules.role(name)
            if "stream" not in rules.AXES[part] and old.width // old.heads == new.width // new.heads:
                kept = (
                    rules._kept_coordinates(old, new)[rules.AXES[part][0]]
                    if rules.AXES[part][0] != "token"
                    else slice(None)
                )
                torch.testing.assert_close(made[kept], found[kept], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "growth", "words"),
    [
        (DOUBLE, SMALL, Growth(method="tile-exact"), "cannot shrink"),
        (SMALL, msgspec.structs.replace(DOUBLE, rotary_dim=4), Growth(method="tile-exact"), "rotary size differs"),
        (SMALL, WIDER_HEADS, Growth(method="tile-exact"), "pad-exact"),
        (
            SMALL,
            msgspec.structs.replace(SMALL, width=48, heads=6),
            Growth(method="pad-exact"),
            "no method shrinks a head",
        ),
        (SMALL, WIDER_HEADS, Growth(method="corner"), "head size"),
    ],
)
def test_what_cannot_be_grown_is_refused_with_a_reason(old: Model, new: Model, growth: Growth, words: str) -> None:
    with pytest.raises(ZooError, match=words):
        rules.check_growth(old, new, growth)


@pytest.mark.parametrize("change", [{"tie_word_embeddings": True}, {"model_type": "llama"}, {"num_key_value_heads": 1}])
def test_models_that_growth_does_not_know_are_refused(change: dict[str, object]) -> None:
    plain = config(SMALL, VOCABULARY, 0, 0).to_dict()
    assert shape_of(plain).rotary_dim == 8
    with pytest.raises(ZooError):
        shape_of({**plain, **change})


def test_the_real_pairs_are_legal() -> None:
    one, two = shape(load("phi-1-small")), shape(load("phi-1"))
    rules.check_growth(one, two, Growth(method="tile-exact"))
    rules.check_growth(shape(load("phi-1.5")), shape(load("phi-2")), Growth(method="pad-exact"))
    names = tensor_shapes(two, 51200)
    assert sum(shape[0] * (shape[1] if len(shape) == 2 else 1) for shape in names.values()) == 1_418_270_720


def test_the_streamed_file_and_forward_are_the_models_own(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from training.export import config_json
    from zoo.digest import write_json

    single = model(SMALL, 0, torch.float32)
    save_file(single.state_dict(), tmp_path / "model.safetensors")
    write_json(tmp_path / "config.json", config_json(config(SMALL, VOCABULARY, 0, 0)))
    tokens = torch.randint(0, VOCABULARY, (2, 7), generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        whole = single.double()(tokens).logits
    assert torch.allclose(streamed(tmp_path, tokens, torch.float64), whole, rtol=0, atol=1e-9)
    shapes = {"b": (2, 3), "a": (4,)}
    data = torch.arange(10, dtype=torch.float32)
    (tmp_path / "made.safetensors").write_bytes(header(shapes) + data.numpy().tobytes())
    back = load_file(tmp_path / "made.safetensors")
    assert torch.equal(back["b"], data[:6].reshape(2, 3))
    assert torch.equal(back["a"], data[6:])
