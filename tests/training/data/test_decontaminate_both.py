"""`phizoo data decontaminate` drops the documents in which `phizoo eval contamination` finds a sample."""

import json
from pathlib import Path

import pytest

from training.data.build import Built, Counts, folder_of, make, write_result
from training.data.decontaminate import decontaminate_dataset
from training.data.document import document, read_documents
from zoo.cli import root

QUESTION = "# WRITE A PYTHON FUNCTION TO FIND THE VOLUME OF A TRIANGULAR PRISM.\nvolume = 0\n"  # mbpp/14
INNOCENT = "def total(values):\n    '''Adds the values up one after another.'''\n    return sum(values)\n"


def test_a_question_in_capitals_is_found_by_both_commands(capsys: pytest.CaptureFixture[str]) -> None:
    def build(work: Path) -> Built:
        kept = [document(text, name, "p", "MIT", "text") for name, text in (("a.py", QUESTION), ("b.py", INNOCENT))]
        number, tokens = write_result(work / "out", kept)
        counts = Counts("all")
        counts.keep(number)
        return Built(kind="documents", documents=number, tokens=tokens, stages=(counts.stage(),))

    make("capitals", {"stage": "capitals"}, None, build)
    assert root.run(["eval", "contamination", "mbpp", "--dataset", "capitals", "--method", "ngram", "--json"]) == 0
    (flags,) = json.loads(capsys.readouterr().out)
    assert "a.py" in {match["document"].split()[-1] for flag in flags["flagged"] for match in flag["matches"]}
    made = decontaminate_dataset("capitals", "clean", ["mbpp"])
    assert [one.source for one in read_documents(folder_of(made.dataset))] == ["b.py"]
