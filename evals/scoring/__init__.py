"""From a generation or log-probabilities to an answer and a score."""
