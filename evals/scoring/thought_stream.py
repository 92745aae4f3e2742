"""Splits a chat model's text into thought and answer while it is written, for a server that streams.

The rules are those of `evals.scoring.thought`, as far as a text that is sent piece by piece can follow them: an end tag
whose begin tag is missing is text, an answer that began before a thought keeps its white space, and marks around an
answer stay (`unwrap_answer` removes them). Whatever may be the beginning of a tag is held back, so the parts of a text
do not depend on how it was cut into pieces.
"""

import re
from collections.abc import Sequence
from typing import Literal

from evals.scoring.thought import HARMONY_MARKS, QUOTES, THINK, ThoughtTags, read_fences

Part = tuple[Literal["thought", "answer"], str]
# a mark of HARMONY_MARKS that is not whole yet, or that may still grow
BEGUN_MARK = re.compile(
    r"<(?:\|(?:e(?:nd?)?|r(?:e(?:t(?:u(?:rn?)?)?)?)?|c(?:a(?:ll?)?)?|m(?:e(?:s(?:s(?:a(?:ge?)?)?)?)?)?|(?:end|return|call"
    r"|message)\|)?|\|s(?:t(?:a(?:rt?)?)?)?|\|start\|(?:>a?[sitan]{0,7})?|\|c(?:h(?:a(?:n(?:n(?:el?)?)?)?)?)?"
    r"|\|channel\|(?:>\w*)?)?\Z"
)


class ThoughtStream:
    """The parts of one text that comes in pieces.

    inside  the tags of the thought that the text is in, None in an answer; at the text's end: the thought has no end

    >>> stream = ThoughtStream()
    >>> stream.feed("<thi"), stream.feed("nk>2 + 2</think>\\n\\nFour.", ended=True)
    ([], [('thought', '2 + 2'), ('answer', 'Four.')])
    """

    def __init__(self, tags: Sequence[ThoughtTags] = (THINK,), opened: ThoughtTags | None = None) -> None:
        self.inside = opened
        self._begins = {each.begin: each for each in tags}
        self._rest = self._last = ""  # the text that is not decided yet, and the character before it
        self._seen = 0  # characters of the rest in which no tag begins
        self._fresh = opened is not None  # a thought has just begun, and its begin tag may follow once more
        self._fence = self._line = ""  # the open fence in this part of an answer, and its line so far
        self._thought, self._answer = _Trimmed(), _Answer(trimmed=opened is not None)

    def feed(self, piece: str, *, ended: bool = False) -> list[Part]:
        """The parts that became certain with the next piece of the text; all that is left once it has ended."""
        self._rest += piece
        parts: list[Part] = []
        while self._step(parts, ended):
            pass
        if ended:
            self._move(parts, len(self._rest))
            parts += [("thought", self._thought.close()), ("answer", self._answer.close())]
        return [part for part in parts if part[1]]

    def _step(self, parts: list[Part], ended: bool) -> bool:
        """Reads up to the next tag and over it; False where none has come yet."""
        if self.inside is not None:
            return self._end_thought(self.inside, parts, ended)
        mark = self._find(tuple(self._begins), QUOTES, ended)
        if not mark:
            self._move(parts, self._seen)
            return False
        place = self._seen
        fence, _ = read_fences(self._line + self._rest[:place], 0, len(self._line) + place, self._fence)
        if fence:  # in a block of code a tag is text
            self._move(parts, place + len(mark))
            return True
        self._move(parts, place)
        self._drop(len(mark))
        self._answer.begin_thought()
        self.inside, self._fresh = self._begins[mark], True
        return True

    def _end_thought(self, tags: ThoughtTags, parts: list[Part], ended: bool) -> bool:
        if self._fresh:
            bare = self._rest.lstrip()
            if tags.begin != bare and tags.begin.startswith(bare) and not ended:
                return False
            if bare.startswith(tags.begin):
                self._drop(len(self._rest) - len(bare) + len(tags.begin))
            self._fresh = False
        mark = self._find((tags.end,), "`", ended)
        quoted = self._rest.find(tags.end)
        if not mark:
            # a tag in quotes ends a thought that nothing else ends, which is known at the text's end
            self._move(parts, self._seen if quoted < 0 else min(quoted, self._seen))
            if not ended or quoted < 0:
                return False
        self._move(parts, self._seen if mark else 0)
        self._drop(len(tags.end))
        self._seen = 0
        parts.append(("thought", self._thought.close()))
        self.inside, self._fence, self._line = None, "", ""
        return True

    def _find(self, marks: tuple[str, ...], quotes: str, ended: bool) -> str:
        """The next mark of the rest that is not in quotes, `_seen` then being its place; "" if none is certain."""
        text, unsure = self._rest, len(self._rest) if ended else self._find_begun(marks)
        pattern = "|".join(re.escape(mark) for mark in sorted(marks, key=len, reverse=True))
        for match in re.compile(pattern).finditer(text, self._seen):
            place, end = match.span()
            before = text[place - 1] if place else self._last
            in_quotes = bool(before) and before in quotes
            if place >= unsure or (in_quotes and end == len(text) and not ended):
                unsure = min(place, unsure)
                break
            self._seen = place
            if not (in_quotes and text[end : end + 1] and text[end] in quotes):
                return match[0]
            self._seen = end
        self._seen = max(self._seen, unsure)
        return ""

    def _find_begun(self, marks: tuple[str, ...]) -> int:
        """Where a mark may have begun that is not whole yet; the length of the rest if nowhere."""
        text = self._rest
        for place in range(max(self._seen, len(text) - max(map(len, marks)) + 1), len(text)):
            tail = text[place:]
            if any(len(mark) > len(tail) and mark.startswith(tail) for mark in marks):
                return place
        return len(text)

    def _move(self, parts: list[Part], count: int) -> None:
        """Moves characters of the rest to the thought or to the answer."""
        text = self._rest[:count]
        if self.inside is not None:
            parts.append(("thought", self._thought.add(text)))
        else:
            lines = self._line + text
            self._fence, whole = read_fences(lines, 0, len(lines), self._fence) if "\n" in text else (self._fence, 0)
            self._line = lines[whole:]
            parts.append(("answer", self._answer.add(text)))
        self._drop(count)

    def _drop(self, count: int) -> None:
        self._last = self._rest[count - 1] if count else self._last
        self._rest, self._seen = self._rest[count:], max(0, self._seen - count)


class _Trimmed:
    """Thoughts as they are kept: without marks of channels and white space around them, empty lines between them."""

    def __init__(self) -> None:
        self._rest = self._space = ""
        self._before = self._begun = False  # an earlier thought, and this one, had text

    def add(self, text: str) -> str:
        """The text that became certain."""
        self._rest += text
        begun = BEGUN_MARK.search(self._rest, max(0, self._rest.rfind("<")))
        return self._trim(begun.start() if begun else len(self._rest))

    def close(self) -> str:
        """The rest of a thought."""
        text = self._trim(len(self._rest))
        self._before, self._begun, self._space = self._before or self._begun, False, ""
        return text

    def _trim(self, count: int) -> str:
        text = self._space + HARMONY_MARKS.sub("", self._rest[:count])
        self._rest = self._rest[count:]
        text = text if self._begun else text.lstrip()
        bare = text.rstrip()
        self._space = text[len(bare) :]
        between = "\n\n" if bare and self._before and not self._begun else ""
        self._begun = self._begun or bool(bare)
        return between + bare


class _Answer:
    """An answer; behind a thought it begins with its first visible character."""

    def __init__(self, *, trimmed: bool) -> None:
        self._trimmed, self._space, self._begun = trimmed, "", False

    def begin_thought(self) -> None:
        """A thought stands before what follows, so white space before it is none of the answer."""
        self._trimmed, self._space = self._trimmed or not self._begun, ""

    def add(self, text: str) -> str:
        """The text that became certain: white space before the first character waits for it."""
        if self._begun:
            return text
        text = self._space + text
        if not text.strip():
            self._space = "" if self._trimmed else text
            return ""
        self._begun, self._space = True, ""
        return text.lstrip() if self._trimmed else text

    def close(self) -> str:
        """White space that is all of the text."""
        return self._space
