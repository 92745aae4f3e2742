"""The pages without a browser: their contents, their filters, and unusual states of the zoo."""

import re
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("streamlit", reason="the [dashboard] extra is not installed")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # Streamlit's own imports
    from streamlit.testing.v1 import AppTest

from dashboard.board.address import read
from dashboard.board.blocks import make_blocks
from dashboard.board.view import select
from dashboard.data.source import load_board, open_zoo
from dashboard.server import APP, PUBLIC
from tests.dashboard.conftest import fill
from zoo.records import Search, SearchedBy, SearchedSet
from zoo.registry import open_registry


@pytest.fixture(autouse=True)
def _fresh_caches() -> None:
    import streamlit as st

    st.cache_resource.clear()


def opened(**query: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def markup(app: AppTest) -> str:
    """The markup of the page's table, empty when there is none."""
    tables = [str(element.proto) for element in app.main if element.type == "bidi_component"]
    return next((table for table in tables if 'component_name: "phizoo_board"' in table), "")


def test_leaderboard_shows_own_and_published_rows(zoo: Path) -> None:
    app = opened(suite="talk")
    assert not app.exception
    assert app.title[0].value == "Leaderboard"
    table = markup(app)
    for name in ("phi-1-small-mini:1", "Code Llama 34B", "Phi-1 (WR + Tile)", "Codex-300M"):
        assert name in table


def test_lift_has_its_p_value(zoo: Path) -> None:
    app = opened(suite="talk")
    notes = " ".join(element.proto.body for element in app.get("html"))
    assert "exact McNemar test" in notes
    assert "p &lt;0.001, significant" in notes
    assert "not significant by itself (z 0.78" in notes


def test_filters_filter(zoo: Path) -> None:
    app = opened(suite="talk")
    app.text_input(key="search").set_value("codex").run()
    assert not app.exception
    assert "Codex-300M" in markup(app)
    assert "Code Llama" not in markup(app)
    app.text_input(key="search").set_value("no such model").run()
    assert "In everything: 0" in app.info[0].value


@pytest.mark.parametrize(
    "query",
    [
        {"suite": "phi-1", "weights": "closed", "kind": "base"},
        {"size": ["1B", "3B"], "suite": "phi-1.5", "sort": "Parameters", "ascending": "true"},
        {"date": ["2022", "2022"], "seen": ["any", "100B"], "suite": "all"},
        {"family": ["phi", "StarCoder"], "suite": "headline", "complete": "true"},
        {"suite": "own", "subset": "clean"},
        {"shown": "measured", "suite": "all", "every": "true"},
    ],
)
def test_address_restores_the_same_view_as_the_command_line(zoo: Path, query: dict[str, str | list[str]]) -> None:
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    with open_zoo() as registry:
        view, subset = read(
            {key: [value] if isinstance(value, str) else value for key, value in query.items()}, load_board(registry)
        )
        expected = select(load_board(registry, subset), view)
    table = markup(app).replace("\\", "")
    blocks = make_blocks(expected, view)
    drawn = [block for block in (blocks.measured, blocks.reported) if block.rows and block.columns]
    assert re.findall(r'data-row="([^"]+)"', table) == [row.key for block in drawn for row in block.rows][:100]
    assert re.findall(r'data-column="([^"]+)"', table) == [one.key for block in drawn for one in block.columns]


def test_a_corrupt_zoo_is_one_line_and_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zoo.db").write_bytes(b"this is not a database" * 100)
    monkeypatch.setenv("PHIZOO_DB", f"sqlite:///{tmp_path / 'zoo.db'}")
    app = opened()
    assert not app.exception
    assert app.error


def test_without_a_zoo_the_published_table_is_shown() -> None:
    app = opened()
    assert not app.exception
    assert "Code Llama 34B" in markup(app)


def test_one_checkpoint_without_scores(made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHIZOO_DB", f"sqlite:///{tmp_path / 'zoo.db'}")
    monkeypatch.setenv("PHIZOO_STORE", str(tmp_path / "store"))
    with open_registry() as registry:
        registry.add(made.weights(tmp_path / "one", 1), "lonely")
    app = opened()
    assert not app.exception
    assert "lonely:1" in markup(app)


def test_a_models_own_page_has_unique_tokens_beside_tokens_seen(zoo: Path) -> None:
    script = """
import streamlit as st
from dashboard.views import compare, model, playground
views = {"compare": compare, "model": model, "playground": playground}
st.session_state["pages"] = {name: st.Page(view.page, title=name, url_path=name) for name, view in views.items()}
st.navigation(list(st.session_state["pages"].values()))
model.page()
"""
    app = AppTest.from_string(script, default_timeout=60)
    app.query_params["name"] = "phi-1-small-mini-base:1"
    app.run()
    assert not app.exception
    facts = " ".join(element.proto.body for element in app.get("html"))
    assert "<dt>Unique tokens</dt><dd>1M</dd></div><div><dt>Tokens seen</dt><dd>1.5M</dd>" in facts


def test_address_of_an_unknown_cell_warns(zoo: Path) -> None:
    app = opened(cell="nobody~nothing")
    assert not app.exception
    assert "not on the board" in app.warning[0].value


def test_public_asks_for_the_password(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC, "1")
    monkeypatch.setenv("PHIZOO_PASSWORD", "correct horse")
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    app = opened()
    assert not app.title
    assert markup(app) == ""
    app.text_input[0].set_value("wrong")
    app.button[0].click().run()
    assert app.error[0].value == "Wrong password."
    assert markup(app) == ""
    app.text_input[0].set_value("correct horse")
    app.button[0].click().run()
    assert not app.exception
    assert app.title[0].value == "Leaderboard"


def test_public_without_a_password_lets_nobody_in(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC, "1")
    monkeypatch.setenv("PHIZOO_PASSWORD", "")
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    app = opened()
    app.text_input[0].set_value("")
    app.button[0].click().run()
    assert app.error
    assert not app.title


def test_the_samples_page_counts_what_a_search_flagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path)
    monkeypatch.setenv("PHIZOO_DB", f"sqlite:///{tmp_path / 'zoo.db'}")
    monkeypatch.setenv("PHIZOO_STORE", str(tmp_path / "store"))

    def page() -> None:
        from dashboard.views import samples

        samples.page()

    with open_registry() as registry:
        run = next(run for run in registry.runs() if run["task"] == "humaneval")
    for flagged, text in (((), "not searched for in training data"), (("humaneval/3", "humaneval/5"), "2 samples in")):
        if flagged:
            with open_registry() as registry:
                ids = tuple(f"humaneval/{number}" for number in range(164))
                registry.add_search(
                    Search(
                        checkpoint=run["checkpoint"],
                        task="humaneval",
                        samples=ids,
                        flagged=flagged,
                        datasets=(SearchedSet(digest="ab" * 32),),
                        methods=(SearchedBy(method="ast", threshold=0.95),),
                    )
                )
        app = AppTest.from_function(page, default_timeout=60)
        app.query_params["run"] = run["id"]
        assert text in " ".join(element.value for element in app.run().caption)


def test_a_chat_model_is_asked_by_chat_until_another_is_chosen(
    made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHIZOO_DB", f"sqlite:///{tmp_path / 'zoo.db'}")
    monkeypatch.setenv("PHIZOO_STORE", str(tmp_path / "store"))
    with open_registry() as registry:
        registry.enter(made.checkpoint("talks", 1, prompt_style="chat"))
        registry.enter(made.checkpoint("writes", 2))
    app = AppTest.from_string("from dashboard.views import playground\nplayground.page()", default_timeout=60)
    app.query_params["model"] = "talks:1"
    app.run()
    assert not app.exception and app.session_state["as"] == "Chat"
    assert app.text_area[0].label == "Message"
    app.selectbox(key="side-0").select("writes:1").run()
    assert not app.exception and app.session_state["as"] == "Completion"
    app.selectbox(key="side-0").select("talks:1").run()
    assert app.session_state["as"] == "Chat"
