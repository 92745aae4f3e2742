"""What scores mean: intervals, paired differences, ranks, power. Formulas with sources: docs/statistics.md."""
