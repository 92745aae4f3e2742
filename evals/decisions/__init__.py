"""From scores to decisions: averages, recipes and all pairs compared, gates, cost, early stopping, items."""
