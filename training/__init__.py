"""Everything from raw text to a registered checkpoint."""
