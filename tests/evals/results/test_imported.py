"""lm-eval's and EvalPlus' result files, as those tools write them, taken in and told apart from what ran here."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from dashboard.data.source import load_board
from evals.results import import_formats
from evals.results.reproduce import cell_run
from evals.run_folder import find_run, read_header
from evals.tasks import task
from zoo.cli import root
from zoo.registry import open_registry
from zoo.settings import runs_dir

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "evals"
DATE = "2026-11-25T23-43-44.184510"


def lm_eval_line(number: int, pairs: tuple[tuple[str, str], ...], gold: int, logprobs: list[float]) -> dict[str, Any]:
    """One line of lm_eval 0.4.13's samples file for a choice task."""
    told = [[str(value), "False"] for value in logprobs]
    best = max(range(len(pairs)), key=lambda index: logprobs[index])
    return {
        "doc_id": number, "doc": {}, "target": str(gold),
        "arguments": {f"gen_args_{i}": {"arg_0": c, "arg_1": x} for i, (c, x) in enumerate(pairs)},
        "resps": [[one] for one in told], "filtered_resps": told, "filter": "none", "metrics": ["acc", "acc_norm"],
        "doc_hash": "d", "prompt_hash": "p", "target_hash": "t",
        "acc": float(best == gold), "acc_norm": float(best == gold),
    }  # fmt: skip


def written(folder: Path, name: str, lines: list[dict[str, Any]], **told: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"samples_{name}_{DATE}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    header = {
        "results": {}, "configs": {}, "versions": {name: 1.0}, "n-shot": {name: 0}, "date": 1795650165.0,
        "config": {"model": "hf", "model_dtype": "torch.bfloat16", "device": "cuda", "random_seed": 0},
        "lm_eval_version": "0.4.13", "transformers_version": "5.23.0", "model_name": "org/other-7b", "max_length": 2048,
    }  # fmt: skip
    (folder / f"results_{DATE}.json").write_text(json.dumps({**header, **told}))
    return path


def copa_lines(wrong: frozenset[int] = frozenset()) -> list[dict[str, Any]]:
    one, lines = task("copa"), []
    for number, sample in enumerate(one.samples()):
        assert one.pairs is not None
        picked = 1 - sample.target if number in wrong else sample.target
        logprobs = [-1.0 if index == picked else -2.0 for index in range(2)]
        lines.append(lm_eval_line(number, one.pairs(sample), sample.target, logprobs))
    return lines


def imported(*words: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert root.run(["eval", "import", *words, "--json"]) == 0
    return list(json.loads(capsys.readouterr().out))


def test_a_whole_task_with_our_prompts_gets_our_ids_and_a_column_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "copa", copa_lines(frozenset({0, 7, 9}))[::-1])
    (one,) = imported(str(path), capsys=capsys)
    assert (one["model"], one["same"], one["column"]) == ("other-7b", 100, "copa [lm-eval elsewhere] acc")
    assert [(score["metric"], score["value"]) for score in one["scores"]] == [("acc", 0.97), ("acc_norm", 0.97)]
    with open_registry() as registry:
        header = cell_run(registry, one["run"])
        assert (header.backend.engine, header.backend.version, header.backend.dtype) == (
            "lm-eval",
            "0.4.13",
            "bfloat16",
        )
        protocol = registry.protocols()[header.fingerprint]
        assert protocol.partial == ""
        results = registry.results(one["run"]).read_text().splitlines()
    assert json.loads(results[0])["sample"] == next(iter(task("copa").samples())).id
    assert imported(str(path), capsys=capsys)[0]["run"] == one["run"]  # the same file again is the same run
    assert root.run(["eval", "reproduce", one["run"][:12]]) == 2
    assert "was measured elsewhere, by lm-eval 0.4.13" in capsys.readouterr().err
    assert root.run(["eval", "show", one["run"][:12], "--sample", json.loads(results[0])["sample"]]) == 0
    assert next(iter(task("copa").samples())).question in capsys.readouterr().out


def test_samples_from_elsewhere_are_paired_with_those_made_here(
    tiny_phi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_registry() as registry:
        registry.add(tiny_phi, "tiny")
    assert root.run(["eval", "run", "tiny", "--task", "copa"]) == 0
    capsys.readouterr()
    imported(str(written(tmp_path, "copa", copa_lines())), "--model", "other", capsys=capsys)
    assert root.run(["eval", "compare", "tiny", "other", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["kind"], row["difference"]["n"], row["difference"]["wins"], row["second"]) == ("paired", 100, 0, 1.0)
    assert row["difference"]["p"] < 1e-6
    with open_registry() as registry:
        rows = {one.name: one for one in load_board(registry).rows}
    assert not rows["other"].own and rows["tiny"].own
    assert rows["other"].cells.keys().isdisjoint(rows["tiny"].cells)  # told apart by their columns
    assert next(iter(rows["other"].cells.values())).value == 100.0
    imported(str(tmp_path), "--model", "tiny", capsys=capsys)  # what ran here goes before what is told of it
    assert root.run(["eval", "compare", "tiny", "other", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["first"] == row["first"]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", float("nan")])
@pytest.mark.parametrize("samples", [1, 100])
def test_log_probabilities_that_are_not_finite_are_not_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: object, samples: int
) -> None:
    lines = copa_lines()
    for line in lines[:samples]:
        line["resps"][1][0][0] = value
    path = written(tmp_path, "copa", lines)
    assert root.run(["eval", "import", str(path)]) == 2
    said = capsys.readouterr().err
    assert f"{samples} of 100 samples of copa have numbers that are not finite" in said
    assert len(said.strip().splitlines()) == 1
    with open_registry() as registry:
        assert not registry.protocols()


def test_a_metric_that_is_nan_is_not_left_out_in_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = copa_lines()
    lines[5]["acc_norm"] = float("nan")
    assert root.run(["eval", "import", str(written(tmp_path, "copa", lines))]) == 2
    assert "1 of 100 samples of copa have numbers that are not finite" in capsys.readouterr().err


def test_a_part_of_a_task_and_foreign_prompts_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (part,) = imported(str(written(tmp_path / "a", "copa", copa_lines()[:40])), capsys=capsys)
    changed = copa_lines()
    changed[3]["arguments"]["gen_args_0"]["arg_0"] += " "
    (foreign,) = imported(str(written(tmp_path / "b", "copa", changed)), capsys=capsys)
    assert foreign["column"] == "copa [lm-eval 0.4.13 elsewhere] acc"
    assert (part["same"], foreign["same"], part["scores"][0]["n"]) == (40, 99, 40)
    assert (part["published"], foreign["published"]) == (False, True)
    with open_registry() as registry:  # 40 of 100 samples are no column
        assert {record.name for record in registry.protocols().values()} == {"lm-eval 0.4.13 elsewhere"}


def test_a_part_with_foreign_prompts_is_not_published_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = copa_lines()[:40]
    changed[3]["arguments"]["gen_args_0"]["arg_0"] += " "
    (foreign,) = imported(str(written(tmp_path / "b", "copa", changed)), capsys=capsys)
    assert (foreign["published"], foreign["scores"][0]["n"]) == (False, 40)
    with open_registry() as registry:
        assert registry.scores() == []


def test_two_filters_are_two_metrics_and_other_decoding_another_protocol(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As lm_eval writes GSM8K: a line a document and filter."""
    lines, one = [], task("trivia_qa")
    for number, sample in enumerate(list(one.samples())[:6]):
        for name, right in (("strict-match", 0.0), ("flexible-extract", 1.0)):
            assert one.prompt is not None
            settings = {"until": ["\n"], "max_gen_toks": 24, "do_sample": False}
            lines.append({
                "doc_id": number, "arguments": {"gen_args_0": {"arg_0": one.prompt(sample), "arg_1": settings}},
                "resps": [["said"]], "filtered_resps": ["said"], "filter": name, "metrics": ["exact_match"],
                "exact_match": right,
            })  # fmt: skip
    (taken,) = imported(str(written(tmp_path, "triviaqa", lines)), capsys=capsys)
    assert {score["metric"]: score["value"] for score in taken["scores"]} == {
        "strict-match": 0.0,
        "flexible-extract": 1.0,
    }
    header = read_header(find_run(runs_dir(), taken["run"]))
    assert header.protocol["decoding"] == {"stop": ["\n"], "max_tokens": 24, "temperature": 0.0}


def evalplus_file(folder: Path, prefix: str, names: list[str]) -> Path:
    """As evalplus 0.3.1 writes it: several draws a task, base and plus."""
    draw = {"base_fail_tests": [], "plus_fail_tests": [], "solution": "def f(): ..."}
    eval_ = {
        name: [
            {"task_id": name, "base_status": "pass", "plus_status": "pass" if place % 2 else "fail", **draw},
            {"task_id": name, "base_status": "fail", "plus_status": "fail", **draw},
        ]
        for place, name in enumerate(names)
    }
    path = folder / f"{prefix}_eval_results.json"
    path.write_text(json.dumps({"date": "2026-11-25 12:00", "hash": "h", "eval": eval_, "pass_at_k": {}}))
    return path


def squad_line(number: int, text: str, accepted: list[str], logprob: float) -> dict[str, Any]:
    """One line of lm_eval 0.4.13's samples file for squadv2: each metric is what its number is made from."""
    pair = [
        {"id": f"q{number}", "prediction_text": text, "no_answer_probability": math.exp(logprob)},
        {"id": f"q{number}", "answers": {"text": accepted, "answer_start": [0] * len(accepted)}},
    ]
    names = ["exact", "f1", "HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1", "best_exact", "best_f1"]
    return {
        "doc_id": number, "doc": {}, "target": " x", "filter": "none", "metrics": names, "doc_hash": "d",
        "arguments": {
            "gen_args_0": {"arg_0": f"Q{number}", "arg_1": {"until": ["\n"]}},
            "gen_args_1": {"arg_0": f"Q{number}", "arg_1": " unanswerable"},
        },
        "resps": [[text], [[str(logprob), "False"]]], "filtered_resps": [text, [str(logprob), "False"]],
        **dict.fromkeys(names, pair),
    }  # fmt: skip


def test_squads_file_gives_its_scores_and_those_at_the_best_threshold(tmp_path: Path) -> None:
    lines = [
        squad_line(0, " the France", ["France"], -9.0), squad_line(1, "in Spain", ["Spain", "Madrid"], -8.0),
        squad_line(2, "something", [], -0.5), squad_line(3, "", [], -7.0), squad_line(4, "wrong", ["right"], -0.1),
    ]  # fmt: skip
    (told,) = import_formats.read(written(tmp_path, "squadv2", lines[::-1]))
    assert told.metrics == ("exact", "f1", "best_exact", "best_f1")
    values = {name: [line.metrics[name] for line in told.lines] for name in told.metrics}
    assert values["exact"] == [1.0, 0.0, 0.0, 1.0, 0.0]
    assert values["f1"] == pytest.approx([1.0, 2 / 3, 0.0, 1.0, 0.0])
    assert values["best_exact"] == [1.0, 0.0, 1.0, 1.0, 0.0]  # "something" is taken back
    assert values["best_f1"] == pytest.approx([1.0, 2 / 3, 1.0, 1.0, 0.0])
    assert told.lines[2].asked == (("Q2", ""),)
    assert told.lines[2].text == "something"


def test_evalplus_gives_base_and_plus_with_their_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = evalplus_file(tmp_path, "humaneval", [f"HumanEval/{number}" for number in range(164)])
    found = import_formats.read(path)
    assert [(one.task, one.protocol) for one in found] == [("humaneval", "evalplus"), ("humaneval_plus", "evalplus")]
    assert [sum(line.metrics["pass@1"] for line in one.lines) for one in found] == [164, 82]
    assert root.run(["eval", "import", str(path)]) == 2
    assert "--model NAME" in capsys.readouterr().err
    base = imported(str(path), "--model", "other", capsys=capsys)[0]
    score = base["scores"][0]
    assert (base["same"], score["value"], score["n"], score["clusters"]) == (None, 0.5, 164, 164)
    path.write_text(path.read_text().replace('HumanEval/3"', 'HumanEval/999"'))
    assert root.run(["eval", "import", str(path), "--model", "other"]) == 2
    assert "HumanEval/999" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("results.json", '{"configs": {}, "results": {}}', "--log_samples"),
        ("results.json", "[1]", "is no result file"),
        ("results.json", "not json", "cannot be read as results"),
        (f"samples_copa_{DATE}.jsonl", "", "holds no samples"),
        (f"samples_copa_{DATE}.jsonl", '{"doc_id": 1}', "cannot be read as results"),
    ],
)
def test_a_file_of_neither_tool_is_one_line(
    name: str, text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    assert root.run(["eval", "import", str(tmp_path / name)]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert len(said.strip().splitlines()) == 1


def ifeval_line(number: int, prompt: str, strict: list[bool], loose: list[bool]) -> dict[str, Any]:
    """One line of lm_eval 0.4.13's samples file of IFEval: its metrics by instruction are lists."""
    settings = {"until": [], "do_sample": False, "temperature": 0.0, "max_gen_toks": 1280}
    return {
        "doc_id": number, "doc": {}, "target": "0", "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": settings}},
        "resps": [["text"]], "filtered_resps": ["text"], "filter": "none", "doc_hash": "d", "prompt_hash": "p",
        "target_hash": "t", "prompt_level_strict_acc": all(strict), "inst_level_strict_acc": strict,
        "prompt_level_loose_acc": all(loose), "inst_level_loose_acc": loose,
        "metrics": ["prompt_level_strict_acc", "inst_level_strict_acc", "prompt_level_loose_acc", "inst_level_loose_acc"],
    }  # fmt: skip


def test_the_harness_file_of_ifeval_has_its_four_metrics_with_their_instructions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (SHARED / "ifeval").is_dir():
        pytest.skip("the shared data folder is not beside the repository")
    monkeypatch.setenv("PHIZOO_DATA", str(SHARED))
    lines = [
        ifeval_line(number, sample.question, [True] * (len(sample.target) - 1) + [False], [True] * len(sample.target))
        for number, sample in enumerate(task("ifeval").samples())
    ]
    (one,) = imported(str(written(tmp_path, "ifeval", lines)), capsys=capsys)
    assert (one["column"], one["same"]) == ("ifeval [lm-eval elsewhere] prompt_strict", 541)
    scores = {score["metric"]: (score["value"], score["n"]) for score in one["scores"]}
    assert scores == {
        "prompt_strict": (0.0, 541), "inst_strict": (pytest.approx((834 - 541) / 834), 834), "prompt_loose": (1.0, 541),
        "inst_loose": (1.0, 834),
    }  # fmt: skip


@pytest.mark.parametrize("outcomes", [[], [2.0], ["x"], [None], [-1]])
def test_an_instruction_that_is_neither_followed_nor_not_is_refused(
    outcomes: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ifeval_line(0, "p", outcomes, outcomes) if outcomes != ["x"] else ifeval_line(0, "p", outcomes, [True])
    assert root.run(["eval", "import", str(written(tmp_path, "ifeval", [line]))]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
