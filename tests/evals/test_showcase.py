"""The talk's prompts: the speed that an answer names, kept answers, and the columns of the terminal."""

import json
from pathlib import Path

import pytest

from evals import showcase
from evals.cli.showcase import side_by_side, wrap_text
from evals.records import Facts, Result, Run
from evals.run_folder import open_run
from evals.showcase import PROMPTS, ShowcaseAnswer, check_answer, last_speed, verdict_text

SKIER, STUDENT = PROMPTS[0], PROMPTS[1]


@pytest.mark.parametrize(
    "text",
    [
        "The speed is 28 m/s.",
        "v = sqrt(2gh) = sqrt(784) = **28.0 m/s**",
        r"\[ v = \sqrt{2 \times 9.8 \times 40} \approx 28 \, \text{m/s} \]",
        r"$$v \approx \boxed{28\ \mathrm{m/s}}$$ where g = 9.8 m/s^2",
        "approximately 28.01 meters per second",
        "28 metres/second, as g is 9.81 m/s²",
        "about 28.28 m/s with g = 10 m/s²",
        "first 39.6 m/s, no: with the height it is 28 m/s",
        r"v = 28 m s^{-1}",
        "28 m/sec",
        "28 m/s = 100.8 km/h",
    ],
)
def test_a_right_answer_is_read_in_every_usual_form(text: str) -> None:
    assert check_answer(SKIER, text)[0] == "right"


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("39.6 m/s", "wrong"), ("it is 28 m/s at first and 39.6 m/s at the bottom", "wrong"), ("2.8 m/s", "wrong"),
        ("28 km/h", "no speed"), ("28 m/s^2", "no speed"), ("28 m/s²", "no speed"), ("28", "no speed"), ("", "no speed"),
        ("280 m/s", "wrong"), ("0.28 m/s", "wrong"), ("28 m", "no speed"), (r"28 \text{m/s}^2", "no speed"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_never_right(text: str, check: str) -> None:
    assert check_answer(SKIER, text)[0] == check


def test_only_the_skier_is_checked() -> None:
    assert check_answer(STUDENT, "28 m/s") == ("", None)
    assert [prompt.name for prompt in PROMPTS if prompt.checked] == ["skier"]
    assert last_speed("12 m/s, then 30.5 m / s") == 30.5


def keep(place: Path, label: str, started: str, **texts: str) -> None:
    """A showcase in its folder, as a run is kept."""
    facts = Facts(engine="llama_cpp", version="1", dtype="Q4_1", device="cpu", context_tokens=99)
    header = Run(
        id=f"{label}{started}".replace(":", "-"), checkpoint="0" * 64, checkpoint_label=label, task="showcase",
        protocol={"name": "talk"}, fingerprint="", backend=facts, seed=0, draws=1, limit=None, samples=4, hardware={},
        versions={}, commit="", started=started,
    )  # fmt: skip
    with open_run(place, header) as folder:
        for name, text in texts.items():
            folder.add_result(Result(sample=f"showcase/{name}", draw=0, score=1.0, text=text, tokens=7, finish="stop"))


def test_the_newest_answer_of_each_model_is_shown(tmp_path: Path) -> None:
    keep(tmp_path, "a:1", "2026-01-02T00:00:00Z", skier="new: 28 m/s", unicorn="\\draw;")
    keep(tmp_path, "a:1", "2026-01-01T00:00:00Z", skier="old: 39.6 m/s", proof="rhyme")
    keep(tmp_path, "b:1", "2026-01-01T00:00:00Z", skier="I do not know")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "header.json").write_text("{")
    table = showcase.newest(showcase.read_showcases(tmp_path))
    assert {model: sorted(by_prompt) for model, by_prompt in table.items()} == {
        "a:1": ["proof", "skier", "unicorn"],
        "b:1": ["skier"],
    }
    assert verdict_text(table["a:1"]["skier"]) == "right: read 28 m/s · 7 tokens"
    assert verdict_text(table["b:1"]["skier"]) == "no speed in m/s found, right is 28 m/s · 7 tokens"
    assert verdict_text(table["a:1"]["unicorn"]) == "7 tokens"
    assert showcase.read_showcases(tmp_path / "none") == []


@pytest.mark.parametrize("width", [20, 80, 120, 200])
@pytest.mark.parametrize("models", [1, 2, 5])
def test_no_line_is_wider_than_the_page(width: int, models: int) -> None:
    text = "word " * 60 + "\n    indented " + "x" * 300 + "\n\n\\begin{tikzpicture}\x1b[31m\u202e"
    answers = [
        ShowcaseAnswer(model=f"model-{number}:1", prompt="skier", text=text, engine="llama_cpp", thought="so " * 9)
        for number in range(models)
    ]
    lines = side_by_side(answers, width)
    assert max(map(len, lines)) <= width
    shown = "\n".join(lines)
    assert all(f"model-{number}:1" in shown for number in range(models))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    beside = sum("model-" in line for line in lines)
    assert beside == -(-models // max(1, (width + 2) // 36))


def test_wrapping_keeps_lines_and_indentation() -> None:
    assert wrap_text("a b c\n    d e f", 8) == ["a b c", "    d e", "    f"]
    assert wrap_text("", 8) == [""]
    assert json.dumps(wrap_text("a\n\nb", 8)) == '["a", "", "b"]'
