"""The leaderboard: its cells, rows, views and exports, without Streamlit."""
