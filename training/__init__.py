"""From raw text to a checkpoint."""
