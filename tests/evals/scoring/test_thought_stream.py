"""A text that comes in pieces is split as the whole text is, whatever the pieces."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.scoring.thought import HARMONY, THINK, SplitText, ThoughtTags, find_tags, split_thought
from evals.scoring.thought_stream import ThoughtStream

COMMAND = find_tags("<|START_THINKING|>")[0]
BRACKETS = ThoughtTags("[THINK]", "[/THINK]")
FORMS: list[tuple[ThoughtTags, ...]] = [(THINK,), (HARMONY, THINK), (BRACKETS, THINK), (COMMAND, THINK)]
WORDS = (
    *"`\"' \na<[é", "\n\n", "```", "```\n", "~~~\n", "<th", "ink>", "</", "<|", "|>", "<|end|>", "<|start|>assistant",
    "<|channel|>", "<|channel|>comment", "<|mes", "\u2028",
)  # fmt: skip


def split(
    pieces: Sequence[str], tags: Sequence[ThoughtTags], opened: ThoughtTags | None = None
) -> tuple[str, str, bool]:
    """(thought, answer, whether the thought has no end) of a text in pieces."""
    stream, parts = ThoughtStream(tags, opened), {"thought": "", "answer": ""}
    for number, piece in enumerate(pieces):
        for kind, part in stream.feed(piece, ended=number == len(pieces) - 1):
            assert part
            parts[kind] += part
    return parts["thought"], parts["answer"], stream.inside is not None


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, tuple[ThoughtTags, ...], ThoughtTags | None]:
    tags = draw(st.sampled_from(FORMS))
    marks = [mark for each in tags for mark in (each.begin, each.end)]
    words = draw(st.lists(st.sampled_from([*marks, *marks, *WORDS]), max_size=16))
    return "".join(words), tags, draw(st.sampled_from([None, tags[0]]))


@settings(max_examples=600)
@given(texts(), st.lists(st.integers(1, 9), max_size=60))
def test_the_parts_do_not_depend_on_the_pieces(
    text: tuple[str, tuple[ThoughtTags, ...], ThoughtTags | None], sizes: list[int]
) -> None:
    whole, tags, opened = text
    pieces, rest = [], whole
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert split([*pieces, rest], tags, opened) == split([whole], tags, opened) == split([*whole, ""], tags, opened)


@settings(max_examples=600)
@given(texts())
def test_it_is_the_split_of_a_whole_text(text: tuple[str, tuple[ThoughtTags, ...], ThoughtTags | None]) -> None:
    """Where the text begins with its thought or has none; elsewhere a part may be sent before its end is known."""
    whole, tags, opened = text
    expected = split_thought(whole, tags, opened)
    begins = opened is not None or any(whole.lstrip().startswith(each.begin) for each in tags)
    if begins or expected == SplitText("", whole):
        assert split([whole], tags, opened) == (expected.thought, expected.answer, expected.unfinished)


@pytest.mark.parametrize(
    ("pieces", "sent"),
    [
        (["<th", "ink>2", " + 2", "</thi", "nk>\n\nFo", "ur."], ["", "2", " + 2", "", "Fo", "ur."]),
        (["<", "b>"], ["", "<b>"]),
        (["  ", "a `<think>", "` b"], ["", "  a `", "<think>` b"]),
        (["<think>a `</think>` b", " c", "</think>d"], ["a `", "", "</think>` b cd"]),
        (["<think>a`</think>` b", " c"], ["a`", "` b c"]),  # only a tag in quotes ends it
        (["a</think>b"], ["a</think>b"]),  # begun nowhere: a part of the answer by now
    ],
)
def test_a_part_is_sent_as_soon_as_it_is_certain(pieces: list[str], sent: list[str]) -> None:
    stream = ThoughtStream()
    for number, (piece, expected) in enumerate(zip(pieces, sent, strict=True)):
        parts = stream.feed(piece, ended=number == len(pieces) - 1)
        assert "".join(part for _, part in parts) == expected


def test_a_long_text_of_tags_is_split_in_time() -> None:
    assert split(["<think>a</think>" * 20_000], (THINK,))[1] == ""
    assert split(["```\n" + "<think>" * 20_000], (THINK,))[0] == ""
    assert split(["<think>`</think>`" * 10_000], (THINK,))[2] is False
    assert split(["<think>", *["`</think>` "] * 5_000], (THINK,))[2] is False
