"""The parts of the local transformers engine."""
