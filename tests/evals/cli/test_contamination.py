"""From training data to flags to split scores: by dataset, by lineage, by path; on one core and on several."""

import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evals.contamination import search as search_module
from evals.contamination.documents import documents, find_sets, sets_of_checkpoint
from evals.contamination.flags import checked_samples, read
from evals.contamination.problems import make_problems
from evals.contamination.search import SearchPlan, narrow, search
from evals.task import Task
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


def other_weights(source: Path, folder: Path, number: int) -> Path:
    """A copy of a checkpoint's folder with another value in its weights."""
    shutil.copytree(source, folder)
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-4 * number - 1] ^= 1
    weights.write_bytes(content)
    return folder


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
        assert len(checked_samples(flags, "humaneval", [one.id for one in SAMPLES])) == 164
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


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Task:
    """The first 12 questions of arc_easy, as the whole task."""
    import evals.asked
    import evals.results.measure
    import evals.results.task_of_run  # before the patch, or it keeps the patched function for later tests
    import evals.suites
    import evals.tasks

    whole = task("arc_easy")
    first = msgspec.structs.replace(whole, samples=lambda: list(whole.samples())[:12], size=12)
    monkeypatch.setattr(evals.tasks, "task", lambda spec: first)
    monkeypatch.setattr(evals.results.measure, "find_task", lambda spec: first)
    for module in (evals.suites, evals.asked):
        monkeypatch.setattr(module, "find_tasks", lambda spec: [first])
    return first


def leak(few: Task, *numbers: int) -> list[str]:
    """A document for each of these questions."""
    samples = list(few.samples())
    return [f"{samples[number].question} {samples[number].choices[samples[number].target]}" for number in numbers]


def rows(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    """What a command prints as JSON."""
    capsys.readouterr()
    assert root.run([*words, "--json"]) == 0
    printed: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return printed


def sizes(rows: list[dict[str, Any]]) -> dict[str, int]:
    return {row["subset"]: row["n"] for row in rows if row["metric"] == "acc"}


def test_a_run_is_split_and_its_flags_are_checked_first(
    tiny_phi: Path, tmp_path: Path, few: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.txt").write_text("\n".join(leak(few, 0, 5)))
    assert run("arc_easy", "--dataset", str(tmp_path / "t.txt"), "--out", str(tmp_path / "flags"), "--show", "0") == 0
    flags = tmp_path / "flags" / "arc_easy-ngram.jsonl"
    digest = json.loads(flags.read_text().splitlines()[0])["datasets"][0]
    with open_registry() as registry:
        registry.add(tiny_phi, "tiny", About(datasets=(TrainedOn(digest=digest, tokens=9),)))
    words = ["eval", "run", "tiny", "--task", "arc_easy", "--overlap", str(flags)]
    first = rows(capsys, *words)
    assert sizes(first) == {"all": 12, "clean": 10, "overlapping": 2}
    assert {(row["searched"], row["overlaps"], row["unsearchable"]) for row in first} == {("in full", 2, 0)}
    assert all(row["low"] <= row["value"] <= row["high"] for row in first)
    assert list(settings.runs_dir().glob("*/overlap-ngram.jsonl"))
    capsys.readouterr()
    assert root.run(words[:-2]) == 0  # without the flags: the search is recorded
    printed = capsys.readouterr()
    assert "n=12 resolves differences of" in printed.err
    assert "(without the samples found in training data" in printed.out
    assert "(only samples found in training data" in printed.out
    assert "2 of 12 in training data; without them " in printed.out
    assert root.run(["leaderboard", "--print", "--suite", "own"]) == 0
    assert re.search(
        r"n=12 .*\(2 of 12 in training data; without them [\d.]+ \[[\d.–]+\] n=10\)", capsys.readouterr().out
    )
    with open_registry() as registry:
        registry.remove_search(registry.searches("tiny")[0].id)
    again = rows(capsys, *words[:-2])  # from the flags beside the run, as of a run of an older version
    assert sizes(again) == {"all": 12, "clean": 10, "overlapping": 2}
    assert sizes(rows(capsys, *words[:-2], "--limit", "6")) == {"all": 6, "clean": 4, "overlapping": 2}
    flags.write_text(flags.read_text().replace('"checked":12', '"checked":11'))
    assert root.run(words) == 2
    assert "come from 11 samples" in capsys.readouterr().err


def board_cells(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, Any]]:
    """The measured cells of arc_easy's main metric on the printed board, by model."""
    capsys.readouterr()
    assert root.run(["leaderboard", "--suite", "own", "--json", *words]) == 0
    board = json.loads(capsys.readouterr().out)
    (key,) = (column["key"] for column in board["columns"] if column["task"] == "arc_easy" and column["main"])
    return {row["label"]: row["cells"][key] for row in board["rows"] if key in row["cells"]}


def test_a_search_is_recorded_for_a_checkpoint_and_travels(
    tiny_phi: Path, tmp_path: Path, few: Task, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From runs without a search to the page of another zoo: two engines' dtypes, a parent with and one without data."""
    own, base = dataset("own", [PROSE, *leak(few, 0)]), dataset("base", leak(few, 5))
    with open_registry() as registry:
        parent = registry.add(tiny_phi, "parent", About(datasets=(TrainedOn(digest=base, tokens=9),)))
        blank = registry.add(other_weights(tiny_phi, tmp_path / "blank", 1), "blank")
        for name, number, of in (("tuned", 2, parent), ("unclear", 3, blank)):
            parents, data = (Parent(digest=of.digest, relation="finetune"),), (TrainedOn(digest=own, tokens=9),)
            registry.add(other_weights(tiny_phi, tmp_path / name, number), name, About(parents=parents, datasets=data))
    for dtype in ("float32", "bfloat16"):
        assert root.run(["eval", "run", "tuned", "unclear", "blank", "--task", "arc_easy", "--dtype", dtype]) == 0
    assert "not searched for in training data" in capsys.readouterr().out
    assert {cell["searched"] for cell in board_cells(capsys).values()} == {"no"}
    for name in ("tuned", "unclear"):
        assert run("arc_easy", "--checkpoint", name, "--show", "0") == 0
    printed = capsys.readouterr().out
    assert printed.count("tuned:1 arc_easy acc run ") == 2  # both dtypes
    assert "2 of 12 in training data; without them " in printed
    assert "unclear:1 arc_easy: not searched in full: no training data is recorded for blank:1" in printed
    cells = board_cells(capsys)
    kept = {name: (cell["searched"], cell["overlaps"], cell["clean_n"]) for name, cell in cells.items()}
    assert kept == {"tuned:1": ("in full", 2, 10), "unclear:1": ("in part", 1, None), "blank:1": ("no", None, None)}
    assert cells["tuned:1"]["clean_low"] <= cells["tuned:1"]["clean"] <= cells["tuned:1"]["clean_high"]
    clean = board_cells(capsys, "--subset", "clean")
    assert (list(clean), clean["tuned:1"]["n"], clean["tuned:1"]["run"]) == (["tuned:1"], 10, cells["tuned:1"]["run"])
    for ending in ("md", "csv", "tex", "html"):
        assert root.run(["leaderboard", "--suite", "own", "--out", str(tmp_path / f"board.{ending}")]) == 0
        text = (tmp_path / f"board.{ending}").read_text()
        assert ("2 of 12 in training data" in text) is (ending != "csv")
        assert "no training data is recorded for blank:1" in text
    for spec in ("tuned", "unclear"):
        assert root.run(["models", "push", spec, str(tmp_path / "remote")]) == 0

    monkeypatch.setenv("PHIZOO_HOME", str(tmp_path / "theirs"))
    assert root.run(["models", "pull", "tuned", str(tmp_path / "remote")]) == 0
    capsys.readouterr()
    assert root.run(["models", "show", "tuned"]) == 0
    shown = capsys.readouterr().out
    assert "not searched in full: " in shown and "is not in this zoo" in shown  # the parent is unknown here
    assert "1 clean" not in shown
    assert "arc_easy: 2 of 12 samples by ngram at 13 in 2 documents of own, 1 documents of base" in shown
    with open_registry() as registry:
        registry.enter(msgspec.structs.replace(parent, name="parent"))
    assert root.run(["eval", "runs", "--renew", "--checkpoint", "tuned"]) == 0
    capsys.readouterr()
    assert root.run(["models", "show", "tuned"]) == 0
    assert "acc clean: " in capsys.readouterr().out


def test_a_search_can_be_left_out_and_forgotten(
    tiny_phi: Path, tmp_path: Path, few: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    own = dataset("own", leak(few, 0, 5))
    with open_registry() as registry:
        registry.add(tiny_phi, "tiny", About(datasets=(TrainedOn(digest=own, tokens=9),)))
    assert root.run(["eval", "run", "tiny", "--task", "arc_easy"]) == 0
    assert run("arc_easy", "--checkpoint", "tiny", "--no-record") == 0
    assert board_cells(capsys)["tiny:1"]["searched"] == "no"
    assert run("arc_easy", "--checkpoint", "tiny") == 0
    assert board_cells(capsys)["tiny:1"]["clean_n"] == 10
    with open_registry() as registry:
        (search,) = registry.searches("tiny")
    assert run("--forget", search.id[:12]) == 0
    assert "1 run split again" not in capsys.readouterr().out  # without a search there is nothing to split by
    assert board_cells(capsys)["tiny:1"]["searched"] == "no"
    assert run("--forget", search.id[:12]) == 2
    assert run() == 2
    assert "no task given" in capsys.readouterr().err


def test_an_unrelated_corpus_makes_nothing_clean(
    tiny_phi: Path, few: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = dataset("own", leak(few, 0))
    (tmp_path / "t.txt").write_text(PROSE)
    assert run("arc_easy", "--dataset", str(tmp_path / "t.txt"), "--out", str(tmp_path)) == 0
    with open_registry() as registry:
        registry.add(tiny_phi, "tiny", About(datasets=(TrainedOn(digest=own, tokens=9),)))
        registry.add(other_weights(tiny_phi, tmp_path / "b", 1), "bare")
    assert root.run(["eval", "run", "tiny", "bare", "--task", "arc_easy",
                     "--overlap", str(tmp_path / "arc_easy-ngram.jsonl")]) == 0  # fmt: skip
    printed = capsys.readouterr().out
    assert "0 of 12 in training data; not searched in full: own (" in printed
    assert "no training data is recorded for bare:1" in printed
    assert run("arc_easy", "--checkpoint", "bare", "--dataset", str(tmp_path / "t.txt")) == 0
    assert "no training data is recorded for bare:1" in capsys.readouterr().err
    cells = board_cells(capsys)
    assert {name: (cell["searched"], cell["clean"]) for name, cell in cells.items()} == {
        "tiny:1": ("in part", None), "bare:1": ("in part", None),
    }  # fmt: skip
