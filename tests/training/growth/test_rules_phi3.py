"""Growth of phi-3's and phi-4-mini's block: the logits stay, by transformers' own classes."""

import json
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file

from training import model as phi
from training import optimizer, parallel
from training.export import config_json
from training.growth import grow, rules, rules_phi3
from training.growth.rules import Growth
from training.recipe import Model, Optimizer, load, shape
from training.state import weight_tensors
from zoo.errors import ZooError

VOCABULARY = 90
UNTIED = Model(layers=2, width=48, heads=4, mlp=64, rotary_dim=12, context_tokens=64, kind="phi3")
TIED = Model(layers=2, width=48, heads=6, key_heads=2, mlp=80, rotary_dim=4, context_tokens=64, kind="phi3", tied=True)


def saved(model: Model, folder: Path) -> Path:
    """A randomly initialised model as a checkpoint folder; norms differ from 1, so that their growth shows."""
    settings = phi.config(model, VOCABULARY, 0, 0)
    built = phi.build(settings, 1)
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            parameter.mul_(3.0) if parameter.dim() == 2 else parameter.uniform_(0.5, 1.5)
            assert "bias" not in name
    folder.mkdir()
    save_file(weight_tensors(built), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config_json(settings)))
    return folder


def logits(folder: Path) -> torch.Tensor:
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokens = torch.randint(0, VOCABULARY, (2, 11), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return loaded(tokens).logits  # type: ignore[no-any-return]


def target(old: Model, method: str) -> Model:
    """tile-exact: everything twice; pad-exact: wider heads, more heads, and a width that is no multiple."""
    if method == "tile-exact":
        keys = old.key_heads and 2 * old.key_heads
        return msgspec.structs.replace(
            old, layers=3, width=2 * old.width, heads=2 * old.heads, key_heads=keys, mlp=2 * old.mlp
        )
    keys = old.key_heads and 2 * old.key_heads
    heads = 2 * old.heads if keys else old.heads + 1
    return msgspec.structs.replace(old, layers=3, width=16 * heads, heads=heads, key_heads=keys, mlp=old.mlp + 24)


@pytest.mark.parametrize("old", [UNTIED, TIED], ids=["untied", "tied, shared keys"])
@pytest.mark.parametrize(
    "growth",
    [
        Growth(method="tile-exact"), Growth(method="tile-exact", noise=0.2), Growth(method="tile-exact", split=0.3),
        Growth(method="pad-exact"),
    ],
    ids=["tile", "noise", "split", "pad"],
)  # fmt: skip
def test_exact_methods_keep_the_logits(tmp_path: Path, old: Model, growth: Growth) -> None:
    new = target(old, growth.method)
    parent = saved(old, tmp_path / "parent")
    have = grow.shape_of(json.loads((parent / "config.json").read_text()))
    rules.check_growth(have, new, growth)
    rules_phi3.check_growth(have, new, growth)
    (tmp_path / "grown").mkdir()
    grow.write(parent, tmp_path / "grown", have, new, growth)
    before, after = logits(parent), logits(tmp_path / "grown")
    assert float(before.std()) > 0.3
    assert float((before - after).abs().max()) < 2e-5 * float(before.abs().max())
    proof = grow.prove(parent, tmp_path / "grown", preserves=True)
    assert proof.largest < grow.EXACT_LOGITS < 0.1 * proof.spread
    assert phi.model_of(json.loads((tmp_path / "grown" / "config.json").read_text())).width == new.width


@pytest.mark.parametrize("old", [UNTIED, TIED], ids=["untied", "tied, shared keys"])
def test_the_rule_of_tiled_copies_follows_the_small_model(tmp_path: Path, old: Model) -> None:
    """Ten steps of both, some of them clipped: the grown model with 1/n of the rate stays the small one's copy."""
    growth, new = Growth(method="tile-exact"), msgspec.structs.replace(target(old, "tile-exact"), layers=old.layers)
    parent = saved(old, tmp_path / "parent")
    (tmp_path / "grown").mkdir()
    grow.write(parent, tmp_path / "grown", msgspec.structs.replace(old, vocabulary=VOCABULARY), new, growth)
    tokens = torch.randint(0, VOCABULARY, (2, 11), generator=torch.Generator().manual_seed(0))
    ended, norms = [], []
    for folder, of, copies in ((parent, old, 1), (tmp_path / "grown", new, 2)):
        built = phi.build(phi.config(of, VOCABULARY, 0, 0), 0)
        phi.load_weights(built, load_file(folder / "model.safetensors"))
        built = built.double().train()
        settings = Optimizer(weight_decay=0.1, epsilon=1e-30, tiled_copies=copies)
        made = optimizer.build(built, settings, 1e-3)
        optimizer.set_rate(made, 1e-3)
        for _ in range(10):
            built(tokens, labels=tokens).loss.backward()
            norms.append(parallel.clip(built, 3.5, optimizer.norm_scales(built, settings)))
            made[0].step()
            made[0].zero_grad()
        ended.append(built.eval()(tokens).logits.detach())
    assert norms[10:] == pytest.approx(norms[:10], rel=1e-4)
    assert min(norms) < 3.5 < max(norms)
    assert float((ended[0] - ended[1]).abs().max()) < 1e-4 * float(ended[0].abs().max())
    assert float((ended[0] - logits(parent)).abs().max()) > 0.05  # they did move


def test_a_copied_layer_changes_the_logits(tmp_path: Path) -> None:
    parent = saved(TIED, tmp_path / "parent")
    (tmp_path / "grown").mkdir()
    have = grow.shape_of(json.loads((parent / "config.json").read_text()))
    grow.write(parent, tmp_path / "grown", have, target(TIED, "tile-exact"), Growth(method="tile-exact", depth="copy"))
    assert grow.prove(parent, tmp_path / "grown", preserves=False).largest > 0.01


def test_the_streamed_forward_is_the_models_own(tmp_path: Path) -> None:
    from training.growth.forward import logits as streamed

    for name, old in (("untied", UNTIED), ("tied", TIED)):
        folder = saved(old, tmp_path / name)
        tokens = torch.randint(0, VOCABULARY, (2, 11), generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(streamed(folder, tokens, torch.float32), logits(folder), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("old", "new", "method", "says"),
    [
        (UNTIED, target(UNTIED, "tile-exact"), "tile", "grows by tile-exact or pad-exact"),
        (TIED, msgspec.structs.replace(target(TIED, "tile-exact"), tied=False), "tile-exact", "model.tied=true"),
        (TIED, msgspec.structs.replace(target(TIED, "tile-exact"), key_heads=2), "tile-exact", "model.key_heads=4"),
    ],
)
def test_what_cannot_be_grown_is_refused(old: Model, new: Model, method: str, says: str) -> None:
    with pytest.raises(ZooError, match=says):
        rules_phi3.check_growth(old, new, Growth(method=method))  # type: ignore[arg-type]


def test_a_phi_does_not_become_a_phi_3() -> None:
    with pytest.raises(ZooError, match="the architectures differ"):
        rules.check_growth(msgspec.structs.replace(UNTIED, kind="phi"), UNTIED, Growth(method="pad-exact"))


def test_the_published_sizes() -> None:
    """3,821,079,552 and 3,836,021,760 parameters are those of the released safetensors."""
    for name, parameters in (("phi-3-mini", 3_821_079_552), ("phi-4-mini", 3_836_021_760)):
        model = shape(load(name))
        assert model.vocabulary is not None
        assert phi.parameters(model, model.vocabulary) == parameters
    for old in (UNTIED, TIED):
        built = phi.build(phi.config(old, VOCABULARY, 0, 0), 0)
        assert sum(p.numel() for p in built.parameters()) == phi.parameters(old, VOCABULARY)
