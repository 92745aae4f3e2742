"""Content-addressed storage on a disk or in a bucket."""
