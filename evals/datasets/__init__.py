"""Evaluation sets: their catalog, their row forms, and the loader."""
