"""BBH: 6,511 questions of 27 BIG-Bench tasks that models found hard, answered after worked examples.

Source: Suzgun et al. 2022, arXiv:2210.09261. Data: suzgunmirac/BIG-Bench-Hard (MIT), all of it, with its
three worked examples per subtask.
Protocols, 3-shot but for `chat`:
`lm-eval`  lm-evaluation-harness 0.4.13 (bbh_cot_fewshot, version 4): worked examples; the answer is
           the rest of the line after "the answer is " without its last character, compared
           unchanged. Generation stops at any "Q", which cuts an answer that contains a Q
`phi`      phi-2 was reported with 3 shots and chain of thought: the same prompt, stopped only where a
           new question begins; the last "answer is" counts, without a full stop at its end
`direct`   the same examples without the work; the first line is the answer
`chat`     asked by chat, 0-shot and worked, in the words of the harness's bbh_cot_zeroshot; each subtask's kind of
           answer (`KINDS`) is read where the text states it, whatever its spelling, up to 1024 tokens
The 27 subtasks are strata: BBH is these 27, and a new edition would have the same ones. The
harness's group value is this mean over questions.
"""

import re
from collections.abc import Iterator
from functools import cache

from msgspec.structs import replace

from evals.datasets.forms import EvalSet
from evals.datasets.load import rows
from evals.records import Decoding, Sample, Scored
from evals.scoring.answer import find_match, plain_words
from evals.scoring.chat_answers import read_number, read_word
from evals.scoring.chat_letter import read_letter
from evals.scoring.chat_sequences import read_brackets, read_order
from evals.task import PromptParts, Task

TITLE = "BBH"
ALIASES = ("bbh_cot_fewshot",)
SETS = (
    EvalSet(
        name="bbh", split="test", rows=6511, licence="MIT", folder="bbh/data.jsonl",
        digest="b325b008e02dc52e535f2a44319a2374b964a7eecec3bd06809897cf47dba23f",
    ),
    EvalSet(
        name="bbh", split="prompts", rows=27, licence="MIT", folder="bbh/cot_prompts.jsonl",
        digest="5b63820840882c8358423917059705d660eb4b3b2e04dd75664e3a903728d482",
    ),
)  # fmt: skip
COT = "A: Let's think step by step.\n"
ANSWER = re.compile(r"(?<=the answer is )(.*)(?=.)")
ANSWER_IS = re.compile(r"answer is (.*)")
OPTION = re.compile(r"^\(([A-Z])\) ?(.*?) *$", re.MULTILINE)
# subtask -> its kind of answer, where that is no letter; patterns of words -> their value (`read_word`)
YES_NO = {r"yes": "Yes", r"no": "No"}
TRUTH = {
    r"does(?: not|n't) tell the truth|lies|is lying": "No",
    r"tells the truth|is telling the truth": "Yes",
    **YES_NO,
}
PLAUSIBLE = {r"implausible|not (?:\w+ )?plausible": "no", r"plausible": "yes", r"yes": "yes", r"no": "no"}
KINDS: dict[str, dict[str, str] | str] = {
    "boolean_expressions": {r"true": "True", r"false": "False"}, "causal_judgement": YES_NO, "navigate": YES_NO,
    "formal_fallacies": {r"invalid|not (?:\w+ )?valid": "invalid", r"valid": "valid"}, "web_of_lies": TRUTH,
    "sports_understanding": PLAUSIBLE, "object_counting": "number", "multistep_arithmetic_two": "number",
    "dyck_languages": "brackets", "word_sorting": "words",
}  # fmt: skip


@cache
def examples(subtask: str) -> str:
    """A subtask's description and three worked examples, without the canary line."""
    text = next(row["prompt"] for row in rows("bbh", split="prompts") if row["subtask"] == subtask)
    # only sports_understanding continues after a space; the harness has the line break everywhere
    return str(text.split("-----\n", 1)[1]).strip().replace(f"{COT[:-1]} ", COT)


@cache
def split_examples(subtask: str) -> tuple[str, list[list[str]]]:
    """The description, and the question and the work of each example."""
    description, *worked = examples(subtask).split("\n\nQ: ")
    return f"{description}\n\n", [example.split(f"\n{COT}", 1) for example in worked]


def samples() -> Iterator[Sample]:
    number: dict[str, int] = {}
    for row in rows("bbh"):
        subtask = row["subtask"]
        number[subtask] = number.get(subtask, -1) + 1
        identity = f"bbh/{subtask}/{number[subtask]:03d}"
        yield Sample(id=identity, question=row["input"], target=row["target"], cluster=subtask)


def parts(sample: Sample) -> PromptParts:
    description, worked = split_examples(sample.cluster)
    shots = tuple((f"Q: {question}\n{COT}", work) for question, work in worked)
    return PromptParts(question=f"Q: {sample.question}\n{COT}", description=description, shots=shots, delimiter="")


def prompt(sample: Sample) -> str:
    return parts(sample).text()


def parts_direct(sample: Sample) -> PromptParts:
    """The same, with the work of each example reduced to its answer."""
    description, worked = split_examples(sample.cluster)
    answers = [(f"Q: {q}\nA:", ANSWER_IS.findall(work)[-1].removesuffix(".")) for q, work in worked]
    return PromptParts(question=f"Q: {sample.question}\nA:", description=description, shots=tuple(answers))


def prompt_direct(sample: Sample) -> str:
    return parts_direct(sample).text()


def prompt_chat(sample: Sample) -> str:
    """The message of the harness's bbh_cot_zeroshot: the subtask's description, the question, a call to work it out."""
    description = examples(sample.cluster).split("\n\nQ: ", 1)[0]
    return f"{description}\n\nQ: {sample.question}\n{COT[:-1]}"


def extract(sample: Sample, text: str) -> str | None:
    return find_match(ANSWER, text)


def extract_phi(sample: Sample, text: str) -> str | None:
    answer = find_match(ANSWER_IS, text, -1)
    return answer.removesuffix(".").strip() if answer else None


def extract_direct(sample: Sample, text: str) -> str | None:
    return text.strip().split("\n")[0].strip() or None


def extract_chat(sample: Sample, text: str) -> str | None:
    """The answer of a chat in the form of the subtask's targets, or None."""
    kind = KINDS.get(sample.cluster, "letter")
    if isinstance(kind, dict):
        return read_word(text, kind, anywhere=sample.cluster == "boolean_expressions")
    if kind == "number":
        number = read_number(text)
        return None if number is None else str(number)
    if kind == "brackets":
        return read_brackets(text, sample.question.rpartition("Input:")[2])
    if kind == "words":
        return read_order(text, sample.question.partition("List:")[2].split())
    options = dict(OPTION.findall(sample.question))
    letter = read_letter(text, "".join(options), tuple(options.values()))
    return None if letter is None else f"({letter})"


def score_chat(sample: Sample, answer: str) -> Scored:
    """As `score`; a few targets are the text of an option instead of its letter."""
    chosen = dict(OPTION.findall(sample.question)).get(answer.strip("()"), "")
    by_text = not sample.target.startswith("(") and plain_words(chosen) == plain_words(sample.target) != []
    return Scored(metrics={"exact_match": 1.0}, detail="its text is the target") if by_text else score(sample, answer)


def score(sample: Sample, answer: str) -> Scored:
    right = float(answer == sample.target)
    return Scored(metrics={"exact_match": right}, detail=f"read {answer!r}, right is {sample.target!r}")


def gold(sample: Sample) -> str:
    return f"So the answer is {sample.target}."


def gold_chat(sample: Sample) -> str:
    options = dict(OPTION.findall(sample.question))
    letters = [letter for letter, text in options.items() if plain_words(text) == plain_words(sample.target)]
    return f"So the answer is {f'({letters[0]})' if letters else sample.target}."


def gold_direct(sample: Sample) -> str:
    return f" {sample.target}"


LM_EVAL = Task(
    name="bbh", version=1, kind="generate", about="27 subtasks that models found hard, worked examples",
    protocol="lm-eval", samples=samples, prompt=prompt, parts=parts, extract=extract, score=score, gold=gold,
    metrics=("exact_match",), shots=3, groups="strata",
    decoding=Decoding(max_tokens=1024, stop=("</s>", "Q", "\n\n")), data="bbh", split="test", licence="MIT",
    paper="arXiv:2210.09261", size=6511, chance=0.158,  # always (B)
)  # fmt: skip
PHI = replace(LM_EVAL, protocol="phi", extract=extract_phi, decoding=Decoding(max_tokens=512, stop=("\n\nQ:",)))
DIRECT = replace(
    LM_EVAL, about="27 subtasks that models found hard, answered at once", protocol="direct", prompt=prompt_direct,
    parts=parts_direct, extract=extract_direct, gold=gold_direct,
    decoding=Decoding(max_tokens=64, stop=("\n\n", "\nQ:")),
)  # fmt: skip
CHAT = replace(
    LM_EVAL, about="27 subtasks that models found hard, asked by chat", protocol="chat", chat=True, version=2,
    prompt=prompt_chat, extract=extract_chat, score=score_chat, gold=gold_chat, shots=0,
    decoding=Decoding(max_tokens=1024),
)  # fmt: skip
PROTOCOLS = {"lm-eval": LM_EVAL, "phi": PHI, "direct": DIRECT, "chat": CHAT}
