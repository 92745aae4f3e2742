"""The paths that one loaded model takes: the plain one, or a fast one up to the length for which it was proven."""

from zoo.records import Record

PLAIN, TREE, SIDE_BY_SIDE = "plain", "tree", "side by side"
SLOTS, CACHE = "slots", "cache"


class Paths(Record, frozen=True, kw_only=True):
    """How one loaded model reads choices and writes texts.

    choices       "side by side" (a Phi or a Llama on a CPU), "tree" (choices share their question), or "plain"
    texts         "side by side", "slots" (texts of any length in one batch), "cache" (plain, with the model's own
                  cache), or "plain" (each token reads the whole text)
    limit         the longest text that a fast path takes; longer ones take the plain path
    longer_texts  how those are written: "cache" or "plain"
    """

    choices: str = PLAIN
    texts: str = PLAIN
    limit: int = 0
    longer_texts: str = PLAIN

    @property
    def is_fast(self) -> bool:
        """Whether any text takes a fast path."""
        return self.choices in (SIDE_BY_SIDE, TREE) or self.texts in (SIDE_BY_SIDE, SLOTS)

    def describe(self, context_tokens: int) -> str:
        """The paths in words, for people and for a run's header.

        >>> Paths(choices="tree", texts="slots", limit=512).describe(2048)
        'choices: tree, texts: slots; beyond 512 tokens: plain'
        """
        words = f"choices: {self.choices}, texts: {self.texts}"
        return f"{words}; beyond {self.limit} tokens: plain" if self.is_fast and self.limit < context_tokens else words
