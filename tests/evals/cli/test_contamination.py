"""From training data to flags to split scores: by dataset, by lineage, by path; on one core and on several."""

import gzip
import json
from pathlib import Path

import msgspec
import pytest

from evals.contamination import search as search_module
from evals.contamination.documents import documents, find_sets, sets_of_checkpoint
from evals.contamination.flags import any_of, read
from evals.contamination.problems import make_problems
from evals.contamination.search import SearchPlan, narrow, search
from evals.tasks import task
from zoo import settings
from zoo.cli import root
from zoo.errors import ZooError
from zoo.records import About, Dataset, Parent, TrainedOn
from zoo.registry import open_registry

SAMPLES = list(task("humaneval").samples())
SOLVED = {number: SAMPLES[number].question + SAMPLES[number].data["solution"] for number in (3, 17, 40)}
PROSE = "The history of gardens begins with walls, which kept the goats out and the peaches warm in a cold spring."


def dataset(name: str, texts: list[str], parents: tuple[str, ...] = (), kind: str = "documents") -> str:
    """Registers a dataset; its documents lie where the data pipeline puts them. Gives its digest."""
    digest = f"{abs(hash((name, tuple(texts)))):064x}"[:64]
    folder = settings.datasets_dir() / digest
    folder.mkdir(parents=True)
    if kind == "documents":
        lines = "".join(
            json.dumps({"id": f"d{i}", "source": f"{name}.py::{i}", "text": text}) + "\n"
            for i, text in enumerate(texts)
        )
        (folder / "documents-00000.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    with open_registry() as registry:
        registry.add_dataset(
            Dataset(name=name, digest=digest, kind=kind, documents=len(texts), tokens=0, parents=parents)
        )
    return digest


def run(*words: str) -> int:
    return root.run(["eval", "contamination", *words])


def test_each_method_finds_its_samples_and_the_file_splits_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset("leaky", [PROSE, SOLVED[3], "def f(x):\n    return x\n", SOLVED[17]])
    assert run("humaneval", "--dataset", "leaky", "--out", str(tmp_path), "--show", "1") == 0
    told = capsys.readouterr().out
    assert "0.95: 2" in told and "0.80: 2" in told
    assert "humaneval ngram at 13: 2 of 164 samples overlap with 4 documents of leaky" in told
    assert "HumanEval/3" in told and "d1 leaky.py::1" in told and "below_zero" in told  # side by side
    assert "1 more by ast: --show 2" in told
    for method in ("ngram", "ast", "embedding"):
        flags = read(tmp_path / f"humaneval-{method}.jsonl")
        assert {"HumanEval/3", "HumanEval/17"} <= {flag.sample for flag in flags.flagged}
        assert (flags.search.checked, flags.search.documents, flags.search.names) == (164, 4, ("leaky",))
        assert any_of([flags], "humaneval", [one.id for one in SAMPLES])
    assert run("humaneval", "--flags", str(tmp_path / "humaneval-ast.jsonl"), "--sample", "HumanEval/17") == 0
    assert "leaky.py::3" in capsys.readouterr().out


def test_a_checkpoints_sets_are_walked_to_their_documents(tiny_phi: Path) -> None:
    first, second = dataset("base-text", [SOLVED[3]]), dataset("fine-text", [SOLVED[17]])
    raw = dataset("raw", [SOLVED[40]])  # what a filter dropped was never trained on
    kept = dataset("kept", [PROSE], parents=(raw,))
    packed = dataset("packed", [], parents=(first, kept), kind="tokens")
    with open_registry() as registry:
        base = registry.add(tiny_phi, "base", About(datasets=(TrainedOn(digest=packed, tokens=9),)))
        tuned = msgspec.structs.replace(
            base, name="tuned", digest="e" * 64, parents=(Parent(digest=base.digest, relation="finetune"),),
            datasets=(TrainedOn(digest=second, tokens=9),),
        )  # fmt: skip
        registry.enter(tuned)
        found = sets_of_checkpoint(registry, "tuned")
    assert {one.name for one in found} == {"base-text", "fine-text", "kept"}
    flags = search(
        "humaneval", make_problems(task("humaneval"), SAMPLES), found, SearchPlan(method="ast", threshold=0.95)
    )
    assert {flag.sample for flag in flags.flagged} == {"HumanEval/3", "HumanEval/17"}


def test_what_nobody_can_look_at_is_not_called_clean(tiny_phi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_registry() as registry:
        registry.add(tiny_phi, "unknown")
        registry.add(tiny_phi, "lost", About(parents=(Parent(digest="f" * 64, relation="finetune"),)))
    for words, told in [
        (["--checkpoint", "unknown"], "no training data is recorded"),
        (["--checkpoint", "lost"], "is not in this zoo"),
        (["--dataset", "leeky"], 'no dataset "leeky"'),
        ([], "say what to search"),
        (["--dataset", "x", "--threshold", "0.9"], "needs one method"),
        (["--dataset", "x", "--method", "ast", "--threshold", "13"], "--threshold 13 for ast"),
    ]:
        if "x" in words and not (settings.datasets_dir() / "made").exists():
            dataset("x", [PROSE])
            (settings.datasets_dir() / "made").mkdir(parents=True)
        assert run("humaneval", *words) == 2, words
        assert told in capsys.readouterr().err
    assert run("arc_easy", "--dataset", "x", "--method", "ast") == 2
    assert "asks for no program" in capsys.readouterr().err


def test_files_and_folders_of_every_form_are_read(tmp_path: Path) -> None:
    from pyarrow import Table, parquet

    (tmp_path / "deep").mkdir()
    (tmp_path / "a.py").write_bytes(b"x = 1  # \xff\n")
    (tmp_path / "deep" / "b.jsonl").write_text(
        json.dumps({"content": "b"}) + "\n\n" + json.dumps({"prompt": "p", "completion": "c"}) + "\n"
    )
    (tmp_path / "deep" / "c.jsonl.gz").write_bytes(gzip.compress(json.dumps({"text": "c"}).encode()))
    parquet.write_table(Table.from_pylist([{"code": "d", "n": 1}]), tmp_path / "d.parquet")
    (tmp_path / "picture.png").write_bytes(b"no")
    with open_registry() as registry:
        (found,) = find_sets(registry, str(tmp_path))
        assert [text for _, text in documents(found)] == ["x = 1  # \ufffd\n", "d", "b", "pc", "c"]
        (tmp_path / "deep" / "b.jsonl").write_text('{"label": 3}\n')
        with pytest.raises(ZooError, match="row 1 has no text"):
            list(documents(find_sets(registry, str(tmp_path))[0]))
        (tmp_path / "deep" / "b.jsonl").write_text("{broken\n")
        with pytest.raises(ZooError, match="line 1 cannot be read"):
            list(documents(find_sets(registry, str(tmp_path))[0]))


def test_several_processes_find_what_one_finds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    texts = [PROSE] * 7 + [SOLVED[3], SOLVED[40]] + [f"def g{i}(x):\n    return x * {i}\n" for i in range(20)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    looked = make_problems(task("humaneval"), SAMPLES)
    with open_registry() as registry:
        given = find_sets(registry, str(tmp_path))
    alone = search("humaneval", looked, given, SearchPlan(method="ast", threshold=0.8))
    monkeypatch.setattr(search_module, "CHUNK", 3)
    monkeypatch.setattr(search_module, "FEW", 6)
    monkeypatch.setattr(search_module, "_cores", lambda: 2)
    assert search("humaneval", looked, given, SearchPlan(method="ast", threshold=0.8)) == alone
    strict = narrow(alone, 0.95)
    again = search("humaneval", looked, given, SearchPlan(method="ast", threshold=0.95))
    assert [flag.sample for flag in strict.flagged] == [flag.sample for flag in again.flagged]


@pytest.mark.parametrize(
    ("name", "sample", "leak"),
    [
        ("arc_easy", 0, "{question} {gold}"),
        ("openbookqa", 5, "Quiz: {question}? The answer: {gold}"),
        ("mmlu", 12, "{question}"),
        ("winogrande", 4, "{question}"),
        ("hellaswag", 9, "{question} {gold}"),
        ("boolq", 3, "{question}"),
        ("sciq", 2, "{question} {gold}"),
    ],
)
def test_a_leaked_question_is_found_in_text(name: str, sample: int, leak: str) -> None:
    one = task(name)
    samples = list(one.samples())[:200]
    looked = make_problems(one, samples)
    text = leak.format(
        question=looked[sample].question, gold=looked[sample].whole.removeprefix(looked[sample].question)
    )
    from evals.contamination.ngrams import NgramSearch

    found = {hit.problem for hit in NgramSearch(looked, 13).matches([PROSE, f"From a forum. {text} And so on.", PROSE])}
    assert sample in found
    assert len(found) <= 2


def test_a_run_is_split_and_its_flags_are_checked_first(
    tiny_phi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import evals.results.task_of_run  # before the patch, or it keeps the patched function for later tests
    import evals.suites
    import evals.tasks

    whole = task("arc_easy")
    few = msgspec.structs.replace(whole, samples=lambda: list(whole.samples())[:12], size=12)
    looked = list(few.samples())
    monkeypatch.setattr(evals.tasks, "task", lambda spec: few)
    monkeypatch.setattr(evals.suites, "find_tasks", lambda spec: [few])
    (tmp_path / "t.txt").write_text(f"{looked[0].question} {looked[0].choices[looked[0].target]}\n{looked[5].question}")
    assert run("arc_easy", "--dataset", str(tmp_path / "t.txt"), "--out", str(tmp_path / "flags"), "--show", "0") == 0
    flags = tmp_path / "flags" / "arc_easy-ngram.jsonl"
    with open_registry() as registry:
        registry.add(tiny_phi, "tiny")
    capsys.readouterr()
    words = ["eval", "run", "tiny", "--task", "arc_easy", "--overlap", str(flags)]
    assert root.run([*words, "--json"]) == 0
    told = capsys.readouterr()
    sizes = {row["subset"]: row["n"] for row in json.loads(told.out) if row["metric"] == "acc"}
    assert sizes == {"all": 12, "clean": 10, "overlapping": 2}
    assert all(row["low"] <= row["value"] <= row["high"] for row in json.loads(told.out))
    assert "n=12 resolves differences of" in told.err
    assert list(settings.runs_dir().glob("*/overlap-ngram.jsonl"))
    assert root.run(words[:-2]) == 0  # without the flags, which stand beside the run: what was found stays told
    told = capsys.readouterr().out
    assert "n=10" in told and "(without the samples found in training data" in told
    assert "n=2 " in told and "(only samples found in training data" in told
    assert root.run(["leaderboard", "--print", "--suite", "own"]) == 0
    assert "n=12 (2 in training data, " in capsys.readouterr().out
    assert root.run([*words, "--limit", "6", "--json"]) == 0  # a part of the task is split too
    sizes = {row["subset"]: row["n"] for row in json.loads(capsys.readouterr().out) if row["metric"] == "acc"}
    assert sizes == {"all": 6, "clean": 4, "overlapping": 2}
    flags.write_text(flags.read_text().replace('"checked":12', '"checked":11'))
    assert root.run(words) == 2
    assert "come from 11 samples" in capsys.readouterr().err
