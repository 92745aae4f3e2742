"""What a run says of itself: whole lines, curves as page and picture, the same numbers for TensorBoard."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from training import metrics


def test_tensorboard_gets_the_same_numbers_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, float, int]] = []

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int) -> None:
            assert (folder, purge_step) == (str(tmp_path / "tensorboard"), 0)

        def add_scalar(self, key: str, value: float, step: int) -> None:
            told.append((key, value, step))

        def close(self) -> None:
            told.append(("closed", 0.0, 0))

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(metrics, "find_spec", lambda name: name == "tensorboard")
    lines = metrics.Metrics(tmp_path, 0)
    lines.add({"step": 1, "loss": 2.5, "learning_rate": 0.1})
    lines.close()
    assert told == [("loss", 2.5, 1), ("learning_rate", 0.1, 1), ("closed", 0.0, 0)]
    assert metrics.read(tmp_path / "metrics.jsonl") == [{"step": 1, "loss": 2.5, "learning_rate": 0.1}]


def test_speed_is_no_part_of_the_kept_curves() -> None:
    line: dict[str, Any] = {"step": 1, "loss": 2.5}
    assert metrics.curves([{**line, "seconds": 3.0, "tokens_per_second": 9.0}]) == json.dumps(line).encode() + b"\n"


def test_curves_as_a_picture_have_a_panel_for_each_quantity() -> None:
    lines = [{"step": n, "loss": 5.0 / n, "tokens_per_second": 9.0, "validation_loss": 4.0} for n in range(1, 5)]
    scored = [{**line, "eval_x": 0.5, "eval_x_low": 0.4, "eval_x_high": 0.6, "eval_x_n": 9} for line in lines]
    one, two = metrics.png("a", lines), metrics.png("a", scored)
    assert one.startswith(b"\x89PNG") and two.startswith(b"\x89PNG")
    assert [key for key, *_ in metrics.plots(scored)] == ["loss", "tokens_per_second", "eval_x"]
    height = [int.from_bytes(picture[20:24], "big") for picture in (one, two)]
    assert height[1] == pytest.approx(1.5 * height[0], rel=0.02)


def test_curves_page_draws_what_there_is(tmp_path: Path) -> None:
    lines = [{"step": n, "loss": 5.0 / n, "learning_rate": 0.1, "validation_loss": 4.0} for n in range(1, 5)]
    page = metrics.page("a <b>", lines)
    assert page.count("<svg") == 1
    assert page.count("Training loss") == page.count("Learning rate") == 1
    assert "Gradient norm" not in page
    bare = [{key: value for key, value in line.items() if key != "validation_loss"} for line in lines]
    assert page.count("<use") - metrics.page("a", bare).count("<use") == 4  # a dot for each validation
    assert "a &lt;b&gt;" in page
