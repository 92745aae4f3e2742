"""What a run says of itself: whole lines, curves as page and picture, the same numbers for TensorBoard."""

import json
from pathlib import Path
from typing import Any

import pytest

from training import metrics


def test_a_full_disk_is_given_back_and_not_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = metrics.Metrics(tmp_path, 0)
    assert lines.try_add({"step": 1, "loss": 2.5}) is None

    def full(_line: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lines, "add", full)
    fault = lines.try_add({"step": 2, "loss": 2.5})
    assert fault is not None and fault.errno == 28
    lines.close()
    assert [line["step"] for line in metrics.read(tmp_path / "metrics.jsonl")] == [1]


def test_the_page_and_the_picture_show_each_source() -> None:
    line = {
        "step": 2, "loss": 2.0, "validation_loss": 1.5, "validation_bits_per_byte": 0.9, "validation_loss/code": 1.0,
        "validation_bits_per_byte/code": 0.6, "validation_loss/<b>": 2.0, "validation_bits_per_byte/<b>": 1.2,
    }  # fmt: skip
    keys = [key for key, *_ in metrics.plots([line])]
    assert keys == ["loss", "validation_bits_per_byte", "validation_loss/code", "validation_bits_per_byte/code",
                    "validation_loss/<b>", "validation_bits_per_byte/<b>"]  # fmt: skip
    page = metrics.page("a", [line])
    assert "<td>all</td><td>1.5000</td><td>0.9000</td>" in page
    assert "<td>code</td><td>1.0000</td><td>0.6000</td>" in page
    assert "<td>&lt;b&gt;</td><td>2.0000</td><td>1.2000</td>" in page


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


def test_a_score_s_label_is_in_its_unit() -> None:
    line = {"step": 1} | {
        f"eval_{name}{end}": 0.5 for name in ("piqa", "gsm8k_bpb") for end in ("", "_low", "_high", "_n")
    }
    labels = {key: label for key, label, _ in metrics.plots([line])}
    assert labels["eval_piqa"] == "piqa, 0.5 samples; last 50.0% [50.0–50.0]"
    assert labels["eval_gsm8k_bpb"] == "gsm8k_bpb, 0.5 samples; last 0.500 bits per byte ↓ [0.500–0.500]"


def test_curves_page_draws_what_there_is(tmp_path: Path) -> None:
    lines = [{"step": n, "loss": 5.0 / n, "learning_rate": 0.1, "validation_loss": 4.0} for n in range(1, 5)]
    page = metrics.page("a <b>", lines)
    assert page.count("<svg") == 1
    assert page.count("Training loss") == page.count("Learning rate") == 1
    assert "Gradient norm" not in page
    bare = [{key: value for key, value in line.items() if key != "validation_loss"} for line in lines]
    assert page.count("<use") - metrics.page("a", bare).count("<use") == 4  # a dot for each validation
    assert "a &lt;b&gt;" in page
