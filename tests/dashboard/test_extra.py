"""With `pip install 'phi-zoo[dashboard]'` alone every page works, or says in one line which extra it needs.

A process of its own, in which nothing can be imported that [dashboard] does not bring, draws every page.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("streamlit", reason="the [dashboard] extra is not installed")

PAGES = ("leaderboard", "compare", "model", "samples", "scale", "talk", "playground", "health")
SCRIPT = r"""
import json, sys, warnings

HIDDEN = set(sys.argv[1].split(","))


class Hide:
    # a finder of modules that does not know the hidden ones

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)


sys.meta_path[:] = map(Hide, sys.meta_path)
warnings.simplefilter("ignore")
from streamlit.testing.v1 import AppTest

PAGE = '''
import streamlit as st
from dashboard.views import {names}
views = dict({pairs})
st.session_state["pages"] = {{name: st.Page(view.page, title=name, url_path=name) for name, view in views.items()}}
st.navigation(list(st.session_state["pages"].values()))
views["{page}"].page()
'''
names = sys.argv[2].split(",")


def show(app):
    errors = [str(one.value) for one in app.exception] + [str(one.value) for one in app.error]
    return {"exceptions": len(app.exception), "title": [one.value for one in app.title], "errors": errors}


shown = {}
for page in names:
    script = PAGE.format(names=", ".join(names), pairs=", ".join(f"{name}={name}" for name in names), page=page)
    app = AppTest.from_string(script, default_timeout=60)
    if page == "compare":
        app.query_params["with"] = ["phi-1-small-mini:1", "phi-1-small-mini-base:1"]
    shown[page] = show(app.run())
    if page == "playground":
        app.text_area(key="prompt").set_value("def add(a, b):").run()
        app.selectbox(key="side-0").select("phi-1-small-mini:1").run()
        app.selectbox(key="side-1").select("a server's address").run()
        app.text_input(key="url-1").set_value("http://127.0.0.1:9/v1").run()
        app.button[0].click().run()
        shown["playground, asked"] = show(app)
print(json.dumps(shown))
"""


def list_missing() -> set[str]:
    """The modules that are importable here and belong to no package that phi-zoo[dashboard] installs."""
    from importlib.metadata import PackageNotFoundError, distribution, packages_distributions

    from packaging.requirements import Requirement

    brought, waiting = set[str](), [Requirement("phi-zoo[dashboard]")]
    while waiting:
        wanted = waiting.pop()
        try:
            found = distribution(wanted.name)
        except PackageNotFoundError:
            continue
        fresh = {f"{wanted.name.lower()}[{extra}]" for extra in (*wanted.extras, "")} - brought
        brought |= fresh
        for line in found.requires or () if fresh else ():
            needed = Requirement(line)
            extras = wanted.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    own = {name.partition("[")[0].replace("_", "-") for name in brought}
    return {
        module
        for module, owners in packages_distributions().items()
        if not module.startswith("_") and not {owner.lower().replace("_", "-") for owner in owners} & own
    } - {"zoo", "evals", "training", "dashboard", "tests", "pkg_resources", "setuptools"}


@pytest.fixture(scope="module")
def shown(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    hidden = list_missing()
    assert {"torch", "transformers", "sklearn", "datasets", "rapidfuzz"} & hidden
    environment = {
        **os.environ, "PHIZOO_DB": f"sqlite:///{filled / 'zoo.db'}", "PHIZOO_STORE": str(filled / "store"),
        "PHIZOO_HOME": str(tmp_path_factory.mktemp("home")),
    }  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, ",".join(sorted(hidden)), ",".join(PAGES)],
        capture_output=True, text=True, timeout=240, env=environment,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    pages: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return pages


@pytest.mark.parametrize("page", PAGES)
def test_a_page_works_with_the_dashboard_extra_alone(shown: dict[str, Any], page: str) -> None:
    assert shown[page]["exceptions"] == 0, shown[page]["errors"]
    assert shown[page]["title"]
    for error in shown[page]["errors"]:
        assert "pip install 'phi-zoo[" in error and "\n" not in error


def test_the_playground_names_the_extra_that_a_checkpoint_needs(shown: dict[str, Any]) -> None:
    asked = shown["playground, asked"]
    assert asked["exceptions"] == 0
    checkpoint, server = asked["errors"]
    assert checkpoint.replace("\\", "").endswith("is not installed: pip install 'phi-zoo[eval]'")
    assert "is the server up? phizoo serve NAME" in server
