"""The commands of the decisions: they read options, call `evals.decisions` and print."""
