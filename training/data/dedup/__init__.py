"""Near-duplicate detection and the stage that drops duplicates."""
