"""Searching training documents for evaluation samples: what is looked for, where, and by which likeness."""
