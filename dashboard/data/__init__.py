"""The data of the pages, without Streamlit: one module per page."""
