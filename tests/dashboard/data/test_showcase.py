"""The showcase's rows, and its section of the Playground: what a model wrote stays text."""

import os
import warnings
from pathlib import Path

import pytest

pytest.importorskip("streamlit", reason="the [dashboard] extra is not installed")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # Streamlit's own imports
    from streamlit.testing.v1 import AppTest

from dashboard.data import showcase
from evals.records import Facts, Result, Run
from evals.run_folder import open_run

HOSTILE = "<script>window.hacked=1</script> **b** [a](javascript:x) \x1b[2J"


def keep(label: str, started: str, **texts: str) -> None:
    facts = Facts(engine="llama_cpp", version="1", dtype="Q4_1", device="cpu", context_tokens=99)
    header = Run(
        id=f"{label}-{started}", checkpoint="0" * 64, checkpoint_label=label, task="showcase", protocol={"name": "talk"},
        fingerprint="", backend=facts, seed=0, draws=1, limit=None, samples=4, hardware={}, versions={}, commit="",
        started=started,
    )  # fmt: skip
    with open_run(Path(os.environ["PHIZOO_HOME"]) / "showcase", header) as folder:
        for name, text in texts.items():
            result = Result(sample=f"showcase/{name}", draw=0, score=1.0, text=text, thought="first " * 3, tokens=7)
            folder.add_result(result)


def drawn() -> AppTest:
    def section() -> None:
        from dashboard.views import showcase as view

        view.show()

    return AppTest.from_function(section, default_timeout=60).run()


def test_without_answers_the_section_names_the_command() -> None:
    app = drawn()
    assert not app.exception
    assert showcase.COMMAND in app.caption[0].value


def test_answers_stand_beside_each_other_with_their_check() -> None:
    keep("b:1", "2026-01-01", skier="It is 39.6 m/s.", unicorn=HOSTILE)
    keep("a:1", "2026-01-01", skier="It is 28 m/s.")
    rows = showcase.load_rows()
    assert [(row.prompt.name, [answer.model for answer in row.answers]) for row in rows] == [
        ("skier", ["a:1", "b:1"]),
        ("unicorn", ["b:1"]),
    ]
    assert [showcase.heading(answer) for answer in rows[0].answers] == ["✓ a:1 · llama_cpp", "✗ b:1 · llama_cpp"]
    app = drawn()
    assert not app.exception
    captions = " ".join(element.value for element in app.caption)
    assert "right" in captions and "39.6" in captions
    assert app.expander[0].label == "Its thought, 3 words"


def test_an_answer_stays_text() -> None:
    keep("b:1", "2026-01-01", unicorn=HOSTILE)
    app = drawn()
    boxes = "".join(element.proto.body for element in app.get("html"))
    assert "&lt;script&gt;window.hacked=1&lt;/script&gt;" in boxes
    assert "<script" not in boxes and "\x1b" not in boxes
