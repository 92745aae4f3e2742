"""The pages, drawn with Streamlit: one module per page."""
