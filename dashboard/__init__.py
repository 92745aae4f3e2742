"""The leaderboard: reads the zoo and the evals, writes neither."""
