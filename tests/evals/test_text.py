"""Texts read in rolling windows: the harness's arithmetic, a plain forward's numbers, resuming, the command."""

from collections.abc import Iterator, Sequence
from math import exp, log
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.records import Choice, ChoiceRequest, ChoiceScores, Facts
from evals.text import DocumentRead, figures, read_texts, rolling_windows, text_digest, texts_id, window_of
from zoo.errors import ZooError


def harness_windows(tokens: list[int], prefix: int, most: int) -> list[tuple[tuple[int, ...], int]]:
    """`get_rolling_token_windows` and `make_disjoint_window` as their documentation says, with one token of context.

    The first window predicts as many tokens as fit, each next one as many again, the last the rest; each sees the
    `most` tokens before its last. The context is what stands before the first predicted token.
    """
    windows, done = [], 0
    while done < len(tokens):
        count = min(most, len(tokens) - done)
        end = done + count
        whole = [prefix, *tokens]
        seen = whole[max(0, end - most) : end] if done else whole[:end]
        windows.append(((*seen[: len(seen) - (count - 1)], *tokens[done:end]), len(seen) - (count - 1)))
        done = end
    return windows


@given(st.lists(st.integers(0, 99), max_size=60), st.integers(1, 20))
def test_windows_are_the_harness_s(tokens: list[int], most: int) -> None:
    windows = list(rolling_windows(tokens, 7, most))
    assert windows == harness_windows(tokens, 7, most)
    assert [token for window, start in windows for token in window[start:]] == tokens  # each is read once
    for number, (window, start) in enumerate(windows):
        assert len(window) <= most + 1
        assert start >= 1  # something stands before each token that is read
        assert number or window[0] == 7


class Letters:
    """A tokenizer of one token a character."""

    prefix = 0

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]


class Even:
    """An engine for which each token costs half a nat; the first `most` windows are read, then it dies."""

    tokens = Letters()
    facts = Facts(engine="transformers", version="1", dtype="float32", device="cpu", context_tokens=4)

    def __init__(self, most: int = 10**9) -> None:
        self.most, self.read = most, 0

    def choose(self, requests: Sequence[ChoiceRequest]) -> Iterator[ChoiceScores]:
        for request in sorted(requests, key=lambda request: -len(request.windows[0][0])):
            if self.read >= self.most:
                raise KeyboardInterrupt
            self.read += 1
            window, start = request.windows[0]
            count = len(window) - start
            yield ChoiceScores(
                sample=request.sample, choices=(Choice(logprob=-0.5 * count, tokens=count, greedy=False),)
            )

    def close(self) -> None:
        pass


TEXTS = ["abcdefghij", "", "añb c", "xy", "hello  world\n"]


def read(engine: Even, folder: Path, window: int | None = None) -> tuple[list[DocumentRead], int]:
    return read_texts(engine, "m", TEXTS, folder, name="t", total=len(TEXTS), window=window)  # type: ignore[arg-type]


def test_every_token_of_every_document_counts_once(tmp_path: Path) -> None:
    reads, empty = read(Even(), tmp_path)
    assert empty == 1
    assert [one.number for one in reads] == [0, 2, 3, 4]
    assert [one.tokens for one in reads] == [len(text) for text in TEXTS if text]
    assert [one.bytes for one in reads] == [len(text.encode()) for text in TEXTS if text]
    assert [one.words for one in reads] == [1, 2, 1, 3]  # as the harness: white space at the end begins another
    assert [one.nats for one in reads] == [0.5 * len(text) for text in TEXTS if text]


def test_a_killed_start_goes_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        read(Even(most=5), tmp_path)
    kept = (tmp_path / "documents.jsonl").read_bytes()
    (tmp_path / "documents.jsonl").write_bytes(kept + b'{"number": 3, "na')  # cut short by the kill
    second = Even()
    reads, _ = read(second, tmp_path)
    assert reads == read(Even(most=0), tmp_path)[0] == read(Even(), tmp_path / "fresh")[0]
    assert 0 < second.read < 9


def test_figures_are_of_all_documents_together() -> None:
    reads = [DocumentRead(number=n, nats=n * 1.0, tokens=n, bytes=2 * n, words=1) for n in (1, 2, 3, 10)]
    found = figures(reads)
    bits = found["bits_per_byte"]
    assert bits.value == pytest.approx(0.5 / log(2))
    assert found["byte_perplexity"].value == pytest.approx(exp(0.5))
    assert found["word_perplexity"].value == pytest.approx(exp(16 / 4))
    assert bits.low == pytest.approx(bits.value)  # every document has the same ratio
    words = found["word_perplexity"]
    assert words.low is not None
    assert words.high is not None
    assert words.low < words.value < words.high
    assert figures(reads[:1])["bits_per_byte"].low is None


def test_the_window_is_at_most_the_context(tmp_path: Path) -> None:
    engine = Even()
    assert window_of(engine, None) == 4  # type: ignore[arg-type]
    with pytest.raises(ZooError, match="--window 5: the model reads 1 to 4"):
        window_of(engine, 5)  # type: ignore[arg-type]
    assert texts_id(engine, "c", "t", 4) != texts_id(engine, "c", "t", 3)  # type: ignore[arg-type]
    assert text_digest(["a", "b"]) != text_digest(["ab"])
