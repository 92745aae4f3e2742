"""Synthetic textbooks and exercises, by templates or by a language model."""
