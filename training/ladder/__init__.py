"""The ladder: a set of runs that compares data and weight reuse."""
