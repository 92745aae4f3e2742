"""The data of each page, without Streamlit: one pure module a page."""
