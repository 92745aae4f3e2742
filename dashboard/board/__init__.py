"""The leaderboard's rows, cells and files, without Streamlit."""
