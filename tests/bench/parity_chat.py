"""The messages of the chat protocols against the tools whose words they are, and MATH's equality against the harness's.

    LM_EVAL_PYTHON=lm-eval/bin/python EVALPLUS_PYTHON=evalplus/bin/python python tests/bench/parity_chat.py [--pairs N]

Every message of every task is compared byte for byte with the text that lm-evaluation-harness 0.4.13 or EvalPlus 0.3.1
makes of the same row. Answers are made of each right answer of MATH-500 (other notation, other value, units, other
right answers); the harness's minerva_math and ours judge the same ones. Ends with 1 where a message differs.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from peers import use_shared_data
from rows import missing, row

LETTERS = ("A", "B", "C", "D")
# ours -> the harness's file below lm_eval/tasks
HARNESS = {
    "humaneval@chat-instruct": "humaneval/humaneval_instruct.yaml",
    "mbpp@chat": "mbpp/mbpp_instruct.yaml",
    "gsm8k@chat": "gsm8k/gsm8k-cot-llama.yaml",
    "mmlu@chat": "llama3/instruct/mmlu_cot/_mmlu_cot_llama_template_yaml",
    "mmlu@chat-direct": "llama3/instruct/mmlu/_continuation_template_yaml",
    "bbh@chat": "bbh/cot_zeroshot/{cluster}.yaml",
}
EVALPLUS = ("humaneval@chat", "humaneval_plus@chat", "mbpp_plus@chat")


def native(sample: Any) -> dict[str, Any]:
    """A sample in the fields that the harness's templates read."""
    data = sample.data
    return {
        "prompt": sample.question, "text": data.get("text"), "test_list": data.get("tests"), "input": sample.question,
        "question": sample.question, "choices": data.get("choices"),
    }  # fmt: skip


def ask(python: str, tool: str, asked: list[dict[str, Any]]) -> list[Any]:
    """The tool's answers to several requests."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "asked.json")
        file.write_text(json.dumps(asked))
        script = Path(__file__).with_name("chat_side.py")
        done = subprocess.run([python, str(script), tool, str(file)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{tool} ended with {done.returncode}: {done.stderr[-600:]}")
    answers: list[Any] = json.loads(done.stdout)
    return answers


def harness_messages(python: str) -> int:
    """The messages in the harness's words, and how many differ from its own."""
    from evals.tasks import task as find

    requests, mine = list[dict[str, Any]](), list[list[str]]()
    for spec, config in HARNESS.items():
        task = find(spec)
        assert task.prompt is not None
        samples = list(task.samples())
        clusters = sorted({sample.cluster for sample in samples}) if "{cluster}" in config else [""]
        for cluster in clusters:
            members = [sample for sample in samples if not cluster or sample.cluster == cluster]
            requests.append({"config": config.format(cluster=cluster), "rows": list(map(native, members))})
            mine.append(list(map(task.prompt, members)))
    return differing("messages in the harness's words", mine, ask(python, "harness", requests))


def evalplus_messages(python: str) -> int:
    """The messages in EvalPlus's words, and how many differ from its own."""
    from evals.tasks import task as find

    requests, mine = list[dict[str, Any]](), list[list[str]]()
    for spec in EVALPLUS:
        task = find(spec)
        assert task.prompt is not None
        samples = list(task.samples())
        requests.append({"prompts": {sample.id: sample.question for sample in samples}})
        mine.append(list(map(task.prompt, samples)))
    return differing("messages in EvalPlus's words", mine, ask(python, "evalplus", requests))


def differing(what: str, mine: list[list[str]], theirs: list[list[str]]) -> int:
    """How many messages differ; keeps and prints the count."""
    count = differ = 0
    for ours, others in zip(mine, theirs, strict=True):
        for a, b in zip(ours, others, strict=True):
            count += 1
            differ += a != b
            if a != b and differ == 1:
                print(f"first that differs:\n{a!r}\n{b!r}")
    print(f"{what}: {count:,} compared, {differ:,} differ", flush=True)
    row(what, figure=f"{count:,} compared, {differ:,} differ", target="0 differ")
    return differ


def made_answers(right: str, others: list[str], draw: random.Random) -> set[str]:
    """Answers that a model might have boxed where this one is right."""
    made = {
        right, right.replace("\\frac", "\\dfrac"), right.replace(" ", ""), f"${right}$", f"x = {right}", f"-{right}", f"{right}+1",
        f"{right} \\text{{ cm}}", f"2({right})", right.replace("^\\circ", ""), right.replace("\\left", "").replace("\\right", ""),
        re.sub(r"\\frac\{(-?\d+)\}\{(\d+)\}", r"\1/\2", right), re.sub(r"\\frac\{(\d)\}\{(\d)\}", r"\\frac\1\2", right),
        *draw.sample(others, 4),
    }  # fmt: skip
    if right.lstrip("-").isdigit():
        number = int(right)
        made |= {f"{right}.0", f"{number:,}", str(number + 1), f"\\frac{{{2 * number}}}{{2}}", f"{number - 1}+1", f"\\${right}",
                 f"{right} dollars", f"\\sqrt{{{number**2}}}"}  # fmt: skip
    return made


def equality(python: str, most: int) -> None:
    """How often the two equalities agree, and how they part."""
    from evals.scoring.same_answer import same_answer
    from evals.tasks import task as find

    draw = random.Random(5)
    rights = [sample.target for sample in find("math_500@chat").samples()]
    pairs = [(answer, right) for right in rights for answer in sorted(made_answers(right, rights, draw))]
    pairs = pairs if most >= len(pairs) else draw.sample(pairs, most)
    theirs = ask(python, "harness", [{"pairs": pairs}])[0]
    mine = [same_answer(*pair) for pair in pairs]
    only_ours = [pair for pair, a, b in zip(pairs, mine, theirs, strict=True) if a and not b]
    only_theirs = [pair for pair, a, b in zip(pairs, mine, theirs, strict=True) if b and not a]
    for name, parted in (("the same here only", only_ours), ("the same there only", only_theirs)):
        for answer, right in parted[:40]:
            print(f"  {name}: {answer}  |  {right}")
    figure = f"{len(pairs):,} answers; {len(only_ours)} the same here only, {len(only_theirs)} there only"
    print(f"MATH-500's equality: {figure}")
    row("MATH-500's equality of answers", peer="lm-evaluation-harness", figure=figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lm-eval", default=os.environ.get("LM_EVAL_PYTHON"))
    parser.add_argument("--evalplus", default=os.environ.get("EVALPLUS_PYTHON"))
    parser.add_argument("--pairs", type=int, default=1_000_000, help="made answers of MATH-500 at most")
    given = parser.parse_args()
    use_shared_data()
    differ = 0
    if given.lm_eval:
        differ += harness_messages(given.lm_eval)
        equality(given.lm_eval, given.pairs)
    else:
        missing("messages in the harness's words", "lm-evaluation-harness", "no LM_EVAL_PYTHON")
    if given.evalplus:
        differ += evalplus_messages(given.evalplus)
    else:
        missing("messages in EvalPlus's words", "EvalPlus", "no EVALPLUS_PYTHON")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
