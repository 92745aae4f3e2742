"""Statistics of scores: intervals, paired differences, ranks, power. Formulas with sources: docs/statistics.md."""
