"""The published numbers of other models, each with its source: files by source, and the facts of each model once."""

from zoo.published.check import problems
from zoo.published.models import MODELS, PublishedModel, read_models
from zoo.published.sources import Source, about, read_sources
from zoo.published.table import by_model, load, parse, write_rows

# tables that the talk prints, and tables that print other papers' numbers beside their own
COMPARISON = ("arXiv 2306.11644v2 Table 1", "talk slides, comparison table")
WEIGHT_REUSE = "talk slide image"
COLLECTED = (*COMPARISON, 'Microsoft Research blog "Phi-2" Table 2')
HEADLINE = ("Code Llama 34B", "phi-1", "phi-1 WR+Tile, 36K steps")
LABELS = {"phi-1": "Phi-1", "phi-1 WR+Tile, 36K steps": "Phi-1 (WR + Tile)"}

__all__ = [
    "COLLECTED", "COMPARISON", "HEADLINE", "LABELS", "MODELS", "WEIGHT_REUSE", "PublishedModel", "Source", "about",
    "by_model", "load", "parse", "problems", "read_models", "read_sources", "write_rows",
]  # fmt: skip
