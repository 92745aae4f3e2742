"""Each dropped document names the kept one that it repeats; what is alone stays."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.build import Built, Counts, folder_of, make, write_result
from training.data.dedup.dedup import EXACT, NEAR, SEMANTIC, dedup_dataset, semantic_duplicates
from training.data.document import make_document, read_documents


def dataset(texts: list[str], name: str) -> None:
    def build(work: Path) -> Built:
        kept = [make_document(text, f"{n}.py", "p", "MIT", "function") for n, text in enumerate(texts)]
        number, tokens = write_result(work / "out", kept)
        counts = Counts("all")
        counts.keep(number)
        return Built(kind="documents", documents=number, tokens=tokens, stages=(counts.stage(),))

    make(name, {"stage": name, "texts": texts}, None, build)


LONG = "\n".join(f"value_{n} = compute_{n}(first, second, third_{n}) + {n}" for n in range(60))


def test_exact_and_near_repeats_name_their_twin() -> None:
    other = "\n".join(f"name_{n} = load(part_{n}, whole_{n})" for n in range(40))
    dataset([LONG, other, LONG, LONG + "\nlast = 1", "", "", "x"], "all")
    made = dedup_dataset("all", "single")
    kept = {one.source: one for one in read_documents(folder_of(made.dataset))}
    lost = {one.source: one for one in read_documents(folder_of(made.dataset), "dropped")}
    assert set(kept) == {"0.py", "1.py", "4.py", "6.py"}
    assert {name: one.reason for name, one in lost.items()} == {"2.py": EXACT, "3.py": NEAR, "5.py": EXACT}
    assert lost["2.py"].facts == {"twin": kept["0.py"].id, "jaccard": 1.0}
    assert lost["3.py"].facts["twin"] == kept["0.py"].id
    assert 0.8 <= lost["3.py"].facts["jaccard"] < 1
    assert made.dataset.stages[0].dropped == {EXACT: 2, NEAR: 1}


@pytest.mark.parametrize(
    "form",
    [
        str.upper,
        lambda text: text.replace(" ", "\u00a0"),
        lambda text: text.replace("value", "va\u200blue"),
        lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
        lambda text: text.replace("o", "\u043e").replace("c", "\u0441"),
    ],
    ids=["capitals", "no-break spaces", "zero width", "full width", "look-alikes"],
)
def test_copies_that_look_alike_are_repeats(form: Callable[[str], str]) -> None:
    near = form(LONG) + "\nlast = 1\nlast = 2"
    dataset([LONG, form(LONG), near, form("x y")], "all")
    made = dedup_dataset("all", "single")
    assert made.dataset.documents == 2
    assert made.dataset.stages[0].dropped == {EXACT: 1, NEAR: 1}


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from([LONG, LONG + "\nx = 1", LONG[:900], "a b c d e f g", "", "x"]), max_size=12))
def test_none_is_lost_or_doubled(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHIZOO_HOME", str(tmp_path_factory.mktemp("home")))
        dataset(texts, "all")
        folder = folder_of(dedup_dataset("all", "single").dataset)
        kept = [one.id for one in read_documents(folder)]
        lost = [one.id for one in read_documents(folder, "dropped")]
        assert sorted(kept + lost) == sorted(one.id for n, text in enumerate(texts)
                                             for one in [make_document(text, f"{n}.py", "p", "MIT", "function")])  # fmt: skip
        assert {one.facts["twin"] for one in read_documents(folder, "dropped")} <= set(kept)
        assert {texts.index(text) for text in texts} >= {int(one.source[:-3]) for one in read_documents(folder)}


def test_semantic_twins_are_within_the_cosine() -> None:
    random_ = np.random.default_rng(0)
    base = random_.normal(size=(3_000, 16))
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    vectors = np.concatenate([base, base[:50] + 0.001])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = semantic_duplicates(vectors.astype("<f2"), 0.99)
    found = dict(zip(rows.item.tolist(), zip(rows.kept.tolist(), rows.like.tolist(), strict=True), strict=True))
    assert sum(item >= 3_000 and found[item][0] == item - 3_000 for item in found) >= 45
    assert all(value >= 0.99 and kept not in found for kept, value in found.values())


def test_meaning_is_seen_by_the_real_encoder() -> None:
    one = 'def mean(values):\n    """Average of a list of numbers."""\n    return sum(values) / len(values)\n'
    two = 'def average(numbers):\n    """The mean of numbers in a list."""\n    return sum(numbers) / len(numbers)\n'
    three = 'def open_socket(host):\n    """Connects to a host over TCP."""\n    return connect((host, 80))\n'
    dataset([one, two, three], "all")
    made = dedup_dataset("all", "single", cosine=0.8)
    (lost,) = read_documents(folder_of(made.dataset), "dropped")
    assert (lost.source, lost.reason) == ("1.py", SEMANTIC)
    assert dedup_dataset("all", "plain").dataset.documents == 3
