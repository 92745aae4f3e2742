"""The script that `streamlit run` runs: asks for the password on a public server, then draws the page.

The registry is opened read-only, and nothing here writes.
"""

import hmac
import os
import time

import streamlit as st

from dashboard.cli import PASSWORD
from dashboard.server import PUBLIC
from dashboard.views import calibration, compare, health, leaderboard, model, playground, samples, scale, talk
from dashboard.views.style import STYLE, watch_server
from zoo.errors import ZooError

WRONG_SECONDS = 1.0  # delay after a wrong password


def let_in() -> bool:
    """Whether this session may see the pages; asks for the password if the server is public."""
    if not os.environ.get(PUBLIC) or st.session_state.get("let_in"):
        return True
    expected = os.environ.get(PASSWORD, "")
    with st.form("password"):
        password = st.text_input("Password", type="password", autocomplete="current-password")
        if not st.form_submit_button("Open the leaderboard"):
            return False
    if expected and hmac.compare_digest(password.encode(), expected.encode()):
        st.session_state["let_in"] = True
        st.rerun()
    time.sleep(WRONG_SECONDS)
    st.error("Wrong password.")
    return False


def main() -> None:
    """Draws the page at the current address."""
    st.set_page_config(page_title="phi-zoo", page_icon="🦓", layout="wide", initial_sidebar_state="collapsed")
    st.html(f"<style>{STYLE}</style>")
    if not let_in():
        return
    pages = {
        "leaderboard": st.Page(leaderboard.page, title="Leaderboard", url_path="leaderboard", default=True),
        "compare": st.Page(compare.page, title="Compare", url_path="compare"),
        "model": st.Page(model.page, title="Model", url_path="model"),
        "samples": st.Page(samples.page, title="Samples", url_path="samples"),
        "scale": st.Page(scale.page, title="Scale", url_path="scale"),
        "calibration": st.Page(calibration.page, title="Calibration", url_path="calibration"),
        "talk": st.Page(talk.page, title="Talk", url_path="talk"),
        "playground": st.Page(playground.page, title="Try", url_path="try"),
        "health": st.Page(health.page, title="Health", url_path="health"),
    }
    st.session_state["pages"] = pages
    current = st.navigation(list(pages.values()), position="top")
    st.set_page_config(page_title=f"{getattr(current, 'title', '')} · phi-zoo")  # a bare import has no page
    watch_server()
    try:
        current.run()
    except ZooError as error:
        st.error(str(error))


main()
