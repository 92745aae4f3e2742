"""The registry of checkpoints: their bytes, their origins and their scores."""
