"""The page's only entry, run by `streamlit run`: the password if there must be one, then the pages.

Read-only: the registry is opened read-only and nothing here writes.
"""

import hmac
import os
import time

import streamlit as st

from dashboard.cli import PASSWORD
from dashboard.server import PUBLIC
from dashboard.views import compare, health, leaderboard, model, playground, samples, scale, talk
from dashboard.views.style import STYLE
from zoo.errors import ZooError

WRONG_SECONDS = 1.0  # a wrong password costs this long


def let_in() -> bool:
    """Whether this session may see the pages; asks for the password where the server is public."""
    if not os.environ.get(PUBLIC) or st.session_state.get("let_in"):
        return True
    expected = os.environ.get(PASSWORD, "")
    with st.form("password"):
        given = st.text_input("Password", type="password", autocomplete="current-password")
        if not st.form_submit_button("Open the leaderboard"):
            return False
    if expected and hmac.compare_digest(given.encode(), expected.encode()):
        st.session_state["let_in"] = True
        st.rerun()
    time.sleep(WRONG_SECONDS)
    st.error("That is not the password.")
    return False


def main() -> None:
    """Draws the page that the address names."""
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
        "talk": st.Page(talk.page, title="Talk", url_path="talk"),
        "playground": st.Page(playground.page, title="Playground", url_path="playground"),
        "health": st.Page(health.page, title="Health", url_path="health"),
    }
    st.session_state["pages"] = pages
    chosen = st.navigation(list(pages.values()), position="top")
    try:
        chosen.run()
    except ZooError as error:
        st.error(str(error))


main()
