"""Validation is apart from training: no solution, names and numbers aside, and no near duplicate on both sides."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.data.dedup.test_dedup import dataset
from training.data.build import folder_of
from training.data.document import make_document, read_documents
from training.data.synthesis.synthesize import synthesize
from training.data.tokens.held import templates
from training.data.tokens.pack import APART, VALIDATION, pack
from training.data.tokens.tokenizer import train_tokenizer


@pytest.mark.parametrize("what", ["exercises", "textbooks"])
def test_no_solution_of_a_validation_text_is_trained_on(what: str) -> None:
    from tokenizers import Tokenizer

    synthesize(what, what, 600, seed=5)  # type: ignore[arg-type]
    train_tokenizer([what], "bpe", 300)
    made = pack([what], "bpe", "tokens")
    folder = folder_of(made.dataset)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))
    by_text = {document.text: document for document in read_documents(folder_of_name(what))}

    def texts(stem: str) -> list[str]:
        tokens = np.fromfile(folder / f"{stem}-00000.bin", "<u2").tolist()
        parts = tokenizer.decode(tokens, skip_special_tokens=False).split("<|endoftext|>")
        return [part for part in parts if part]

    held = {key for text in texts("validation") for key in templates(by_text[text])}
    trained = {key for text in texts("tokens") for key in templates(by_text[text])}
    assert held
    assert not held & trained
    (stage,) = made.dataset.stages
    assert stage.entered == stage.kept + sum(stage.dropped.values()) == 600
    assert stage.dropped[VALIDATION] >= len(texts("validation")) >= 1
    assert (made.dataset.recipe or {})["validation"]["alike_left_out"] == stage.dropped.get(APART, 0)


def folder_of_name(name: str) -> Path:
    from training.data.build import find

    return folder_of(find(name))


def test_a_near_duplicate_of_a_validation_text_is_left_out() -> None:
    texts = [" ".join(f"word{n}x{k}" for k in range(40)) for n in range(300)]
    dataset([text for text in texts for text in (text, text.upper() + " more")], "twins")
    train_tokenizer(["twins"], "bpe", 300)
    (stage,) = pack(["twins"], "bpe", "tokens").dataset.stages
    assert stage.dropped[APART] >= 1
    # each text has one twin: it is held too, or left out
    assert stage.dropped[APART] <= stage.dropped[VALIDATION] <= 20


def test_a_template_is_a_function_without_names_and_numbers() -> None:
    def of(text: str, kind: str = "exercise") -> frozenset[int]:
        return templates(make_document(text, "x", "p", "MIT", kind))  # type: ignore[arg-type]

    one = of('def f(values):\n    """Adds."""\n    return [v + 2 for v in values]\n')
    assert (
        one
        == of("def add(xs):\n    return [x + 71 for x in xs]\n")
        != of("def add(xs):\n    return [x * 2 for x in xs]\n")
    )
    passage = "# Adding\n\nHere is one.\n\ndef add(xs):\n    return [x + 71 for x in xs]\n\nCalling it gives 3.\n"
    assert of(passage, "textbook") == one
    assert of("Some words.", "textbook") == of("def f(x):\n    return x\n", "function") == frozenset()
