"""Where a text is while it is written: in its thought or behind it, and when a thought is closed for it.

A thought is looked for at the beginning of a text only. When its budget is used up, the tokens of the end tag are
written in place of the model's own, and the model goes on with its answer behind them. Stop strings end an answer; in a
thought they are words.
"""

from bisect import bisect_left

from evals.engines.tokens import Tokens
from evals.scoring.thought import ThoughtPlan, ThoughtTags, split_thought

ESCAPE = "surrogateescape"  # keeps the bytes of a text apart that are not UTF-8, so that their places are known
UNSURE_BYTES = 64  # at a text's end, which may still change where it is decoded whole


class Thinking:
    """The thought of one text.

    inside  the tags of the thought that is being written; None behind it, or where there is none
    behind  bytes of the text up to the end of its last tag
    forced  tokens to be written next, whatever the model would write
    """

    def __init__(self, plan: ThoughtPlan, tokens: Tokens) -> None:
        self.plan, self.tokens = plan, tokens
        self.marks = tokens.marks_of(plan.tags)
        self.inside = plan.opened
        self.undecided = plan.opened is None
        self.behind = self.began = 0
        self.lengths: list[int] = []  # bytes of the text behind each token
        self.forced: list[int] = []
        self.given = 0  # tokens that were forced
        self._force()

    @property
    def closing_tokens(self) -> int:
        """The most tokens that closing the thought takes."""
        if self.plan.budget is None:
            return 0
        return max(len(self._closing(each)) for each in (*self.plan.tags, self.plan.opened) if each)

    def _closing(self, tags: ThoughtTags) -> list[int]:
        return self.tokens.encode(tags.closing, special=False)

    def _force(self) -> None:
        """Closes the thought when its budget is used up."""
        budget = self.plan.budget
        if self.inside is not None and budget is not None and len(self.lengths) - self.began >= budget:
            self.forced = self._closing(self.inside)

    def left(self) -> int | None:
        """Tokens until the next thing to decide; None: nothing is left to decide."""
        if self.plan.budget is None or not (self.inside or self.undecided):
            return None
        return 1 if self.undecided else max(1, self.plan.budget - (len(self.lengths) - self.began))

    def step(self, text: bytes) -> None:
        """Takes the text behind one more token."""
        before = self.lengths[-1] if self.lengths else 0
        self.lengths.append(len(text))
        if self.forced:
            self.forced.pop(0)
            self.given += 1
        if self.undecided:
            self._decide(text)
        elif self.inside is not None:
            end = self.inside.end.encode()
            place = text.find(end, max(self.behind, before - len(end) - UNSURE_BYTES))
            if place >= 0:
                self.behind, self.inside = place + len(end), None
        if not self.forced:
            self._force()

    def _decide(self, text: bytes) -> None:
        """Whether the text begins with a thought, once that can be seen."""
        start = text.lstrip()
        for each in self.plan.tags:
            begin = each.begin.encode()
            if start.startswith(begin):
                self.inside, self.undecided = each, False
                self.behind, self.began = len(text) - len(start) + len(begin), len(self.lengths)
                return
        self.undecided = not start or any(each.begin.encode().startswith(start) for each in self.plan.tags)

    def split(self, written: bytes) -> tuple[str, str, int, bool]:
        """(answer, thought, tokens of the thought, whether it has no end) of the whole text."""
        parts = split_thought(written.decode("utf-8", ESCAPE), self.plan.tags, self.plan.opened)
        count = len(self.lengths)
        if not parts.unfinished:
            begins = len(written.decode("utf-8", ESCAPE)[: parts.begins].encode("utf-8", ESCAPE))
            count = min(count, bisect_left(self.lengths, begins) + 1) if begins else 0
        answer, thought = (
            part.encode("utf-8", ESCAPE).decode("utf-8", "replace") for part in (parts.answer, parts.thought)
        )
        return answer, thought, count, parts.unfinished
