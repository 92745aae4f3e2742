"""Splits a chat model's text into its thought and its answer, and finds the tags between them in a chat template.

A thought stands between two tags: `<think>…</think>`, `[THINK]…[/THINK]`, the channels of gpt-oss. Only an answer is
read and scored; a thought that is not closed leaves no answer. Tags in code blocks or in quotes are text, not tags.
Plain prompts are not split at all: there a model continues a text, and tags in it are part of that text.

Source: the parsers of vLLM 0.32 (`vllm/reasoning`) for the forms that several families share. As in
lm-evaluation-harness 0.4.13 (`think_end_token`), white space between a thought and its answer belongs to neither.
"""

import re
from collections.abc import Sequence

from zoo.records import Record

QUOTES = "`'\"“”‘’«»"
FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})(.*)")


class ThoughtTags(Record, frozen=True):
    """The tags of one form of thought.

    wraps  pairs of marks around an answer, which are no part of it
    close  the text that ends a thought early; "" for the end tag between newlines
    """

    begin: str
    end: str
    wraps: tuple[tuple[str, str], ...] = ()
    close: str = ""

    @property
    def closing(self) -> str:
        """The text that ends a thought when its budget is used up."""
        return self.close or f"\n{self.end}\n\n"


class ThoughtPlan(Record, frozen=True):
    """How the thought of one text is found.

    opened  the prompt ends inside a thought with these tags, so the text begins in it
    budget  tokens after which the thought is closed; None: never
    switch  the template's own switch of thinking, which an endpoint is sent; None: as the template has it
    """

    tags: tuple[ThoughtTags, ...]
    opened: ThoughtTags | None = None
    budget: int | None = None
    switch: bool | None = None


class SplitText(Record, frozen=True):
    """A text in its parts. unfinished: a thought was begun and not closed, so the answer is none.

    begins  where the text goes on behind its last tag, in characters; 0 without a thought
    """

    thought: str
    answer: str
    unfinished: bool = False
    begins: int = 0


ANSWERS = (("<answer>", "</answer>"), ("<response>", "</response>"))
THINK = ThoughtTags("<think>", "</think>", ANSWERS)
# The channels of gpt-oss: all before the final one is thought.
HARMONY = ThoughtTags(
    "<|channel|>analysis<|message|>", "<|channel|>final<|message|>", (("", "<|return|>"),),
    close="<|end|><|start|>assistant<|channel|>final<|message|>",
)  # fmt: skip
HARMONY_MARKS = re.compile(r"<\|(?:end|return|call|message)\|>|<\|start\|>assistant|<\|channel\|>\w+")
# The forms that follow no convention of names: gpt-oss, Gemma 4, Command A, Kimi K3, Apertus, Granite 3.
SPECIAL = (
    HARMONY,
    ThoughtTags("<|channel>thought", "<channel|>"),
    ThoughtTags("<|START_THINKING|>", "<|END_THINKING|>", (("<|START_RESPONSE|>", "<|END_RESPONSE|>"),)),
    ThoughtTags(
        "<|open|>think<|sep|>", "<|close|>think<|sep|>", (("<|open|>response<|sep|>", "<|close|>response<|sep|>"),)
    ),
    ThoughtTags("<|inner_prefix|>", "<|inner_suffix|>"),
    ThoughtTags("Here is my thought process:", "Here is my response:"),
    ThoughtTags("Here's my thought process:", "Here's my response:"),
)
# A tag of either kind whose name says thought, and the begin and end tags that follow from its name.
NAME = r"([\w:.-]{0,40}?(?:think|thought|reason)[\w:.-]{0,40}?)"
FORMS = tuple(
    (re.compile(pattern.replace("NAME", NAME), re.IGNORECASE), begin, end)
    for pattern, begin, end in (
        (r"<\|(?:begin|end)_of_NAME\|>", "<|begin_of_{}|>", "<|end_of_{}|>"),
        (r"<\|(?:begin|end)_NAME\|>", "<|begin_{}|>", "<|end_{}|>"),
        (r"<\|start_NAME\|>", "<|start_{}|>", "<|end_{}|>"),
        (r"<\|NAME_(?:start|end)\|>", "<|{}_start|>", "<|{}_end|>"),
        (r"<\|NAME_begin\|>", "<|{}_begin|>", "<|{}_end|>"),
        (r"<\|/?NAME\|>", "<|{}|>", "<|/{}|>"),
        (r"</?NAME>", "<{}>", "</{}>"),
        (r"</?(\w{1,20}\|[\w.-]{0,40}think[\w.-]{0,40})>", "<{}>", "</{}>"),
        (r"\[/?NAME\]", "[{}]", "[/{}]"),
        (r"◁/?NAME▷", "◁{}▷", "◁/{}▷"),
    )
)
SOLUTION = (("<|begin_of_solution|>", "<|end_of_solution|>"),)


def find_tags(template: str) -> tuple[ThoughtTags, ...]:
    """The tags of thought that a chat template names, in the order of its text; `<think>` always among them.

    Models such as Phi-4-mini-reasoning think in `<think>` although their template does not say so. Of a pair, the
    template may name one tag only: the other follows from the form.

    >>> [tags.end for tags in find_tags("{{ '[THINK]' + message.thought + '[/THINK]' }}")]
    ['[/THINK]', '</think>']
    """
    places: dict[ThoughtTags, int] = {}
    taken: set[int] = set()
    for tags in SPECIAL:
        named = [place for tag in (tags.begin, tags.end) if (place := template.find(tag)) >= 0]
        if named:
            places[tags] = min(named)
            taken.update(named)
    for pattern, begin, end in FORMS:
        for match in pattern.finditer(template):
            name = match[1]
            # [message.reasoning_content] and the like are expressions of the template
            if match.start() in taken or (begin.startswith("[") and not name.isupper()):
                continue
            taken.add(match.start())
            places.setdefault(_make_tags(begin.format(name), end.format(name)), match.start())
    places.setdefault(THINK, len(template))
    return tuple(sorted(places, key=lambda tags: places[tags]))


def _make_tags(begin: str, end: str) -> ThoughtTags:
    if begin == THINK.begin:
        return THINK
    return ThoughtTags(begin, end, SOLUTION if begin.startswith("<|begin_of_") else ())


def find_opened(prompt: str, tags: Sequence[ThoughtTags], asked: str = "") -> ThoughtTags | None:
    """The tags of a thought that a rendered prompt has opened at its end; None if the text begins outside of one.

    asked  the last message of the user: tags in it are its own, and only what the template writes behind it counts

    >>> find_opened("<|user|>2+2?<|assistant|><think>\\n", (THINK,), "2+2?") == THINK
    True
    >>> find_opened("<|user|>2+2?<|assistant|><think>\\n\\n</think>\\n", (THINK,), "2+2?") is None
    True
    """
    place = prompt.rfind(asked) if asked else -1
    tail = prompt[place + len(asked) :] if place >= 0 else prompt
    for each in tags:
        begin = tail.rfind(each.begin)
        # a template's own text may speak of the tags; only one at the very end opens a thought
        if begin >= 0 and tail.find(each.end, begin) < 0 and not tail[begin + len(each.begin) :].strip():
            return each
    return None


def split_thought(text: str, tags: Sequence[ThoughtTags] = (THINK,), opened: ThoughtTags | None = None) -> SplitText:
    """A chat model's text as thought and answer. A text without tags is all answer, and unchanged.

    opened  the tags of the thought that the text begins in, where the prompt has opened it (`find_opened`)

    >>> split_thought("<think>2 and 2 is 4.</think>\\n\\nIt is 4.")
    SplitText(thought='2 and 2 is 4.', answer='It is 4.', unfinished=False, begins=28)
    >>> split_thought("2 and 2 is 4.</think>It is 4.", opened=THINK).answer
    'It is 4.'
    >>> split_thought("<think>2 and 2 is").unfinished
    True
    """
    inside = opened or _find_closed(text, tags)
    thoughts: list[str] = []
    outside: list[str] = []
    place = 0
    while True:
        if inside is None:
            begin = _find_tag(text, place, {each.begin: each for each in tags}, fenced=False)
            outside.append(text[place : begin[0]] if begin else text[place:])
            if begin is None:
                break
            inside, place = begin[1], begin[0] + len(begin[1].begin)
        place = _skip_repeated(text, place, inside.begin)
        ends = {inside.end: inside}
        end = _find_tag(text, place, ends, quotes="`") or _find_tag(text, place, ends, quotes="")
        thoughts.append(text[place : end[0]] if end else text[place:])
        if end is None:
            break
        place, inside = end[0] + len(inside.end), None
    if not thoughts:
        return SplitText("", text)
    answer = "".join(outside).lstrip()
    begins = len(text) if inside is not None else len(text) - len(outside[-1])
    answer = unwrap_answer(answer, tags)
    thought = "\n\n".join(part for part in (HARMONY_MARKS.sub("", each).strip() for each in thoughts) if part)
    return SplitText(thought, answer, inside is not None, begins)


def _find_tag(
    text: str, place: int, marks: dict[str, ThoughtTags], *, quotes: str = QUOTES, fenced: bool = True
) -> tuple[int, ThoughtTags] | None:
    """The place and tags of the first mark from a place on that is not in quotes.

    fenced  whether marks in fenced blocks of code count; an answer may show them there, a thought ends wherever it does
    """
    pattern = re.compile("|".join(re.escape(mark) for mark in sorted(marks, key=len, reverse=True)))
    fence, seen = "", place
    for match in pattern.finditer(text, place):
        around = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        if all(mark and mark in quotes for mark in around):
            continue
        if not fenced:
            fence, seen = read_fences(text, seen, match.start(), fence)
            if fence:
                continue
        return match.start(), marks[match[0]]
    return None


def read_fences(text: str, seen: int, end: int, fence: str) -> tuple[str, int]:
    """The fence that is open at the line of `end` ("" for none), and where that line begins; reads on from `seen`."""
    for line in text[seen:end].split("\n")[:-1]:
        seen += len(line) + 1
        match = FENCE.match(line)
        if match and not fence:
            fence = match[1]
        elif match and match[1].startswith(fence) and not match[2].strip():
            fence = ""
    return fence, seen


def _find_closed(text: str, tags: Sequence[ThoughtTags]) -> ThoughtTags | None:
    """The tags of a thought that the text closes and never began: a prompt has opened it."""
    end = _find_tag(text, 0, {each.end: each for each in tags})
    begin = _find_tag(text, 0, {each.begin: each for each in tags})
    return end[1] if end and (begin is None or end[0] < begin[0]) else None


def _skip_repeated(text: str, place: int, begin: str) -> int:
    """Behind a begin tag that the model wrote again, at the start of a thought."""
    rest = text[place:].lstrip() if text[place : place + 1].isspace() else text[place:]
    return len(text) - len(rest) + len(begin) if rest.startswith(begin) else place


def unwrap_answer(answer: str, tags: Sequence[ThoughtTags]) -> str:
    """An answer behind a thought, without the marks that its tags put around it.

    >>> unwrap_answer("<answer>4</answer>", (THINK,))
    '4'
    """
    for each in tags:
        answer = _unwrap(answer, each.wraps)
    return answer


def _unwrap(answer: str, wraps: Sequence[tuple[str, str]]) -> str:
    """An answer without the marks around it."""
    for begin, end in wraps:
        bare = answer.strip()
        if bare.startswith(begin) and (bare.endswith(end) or begin):
            return bare.removeprefix(begin).removesuffix(end).strip()
    return answer
