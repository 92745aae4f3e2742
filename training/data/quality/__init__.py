"""Labels, classifiers and the quality filter."""
