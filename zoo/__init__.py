"""The registry: which checkpoints exist, where their bytes are, what they came from, what was measured."""
