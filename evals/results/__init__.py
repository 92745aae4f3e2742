"""Everything after a run: publish, compare, rank, rescore, reproduce, import."""
