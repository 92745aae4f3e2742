"""Tokenizers, packing, and the loader of packed tokens."""
