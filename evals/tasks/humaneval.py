"""HumanEval: 164 hand-written Python problems; right when the completed function passes its tests.

Source: Chen et al. 2021, arXiv:2107.03374. Data: openai/human-eval (MIT), 164 problems, split test.
Protocols: `openai` is the paper's (the prompt's bytes as they are, its five stop strings, greedy for
pass@1). Its prompts end in a newline, which byte-pair tokenizers merge with the indentation after
it; `healed` is the same text with the boundary healed, for models that such an end would harm.
"""

from collections.abc import Iterator

from evals.answer import cut
from evals.datasets import rows
from evals.records import Decoding, Sample
from evals.sandbox import Program
from evals.task import Task

STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")  # Chen et al., section 3.2


def samples() -> Iterator[Sample]:
    for row in rows("humaneval"):
        data = {"test": row["test"], "entry_point": row["entry_point"], "solution": row["canonical_solution"]}
        yield Sample(id=row["task_id"], question=row["prompt"], target=row["entry_point"], data=data)


def prompt(sample: Sample) -> str:
    return sample.question


def extract(sample: Sample, text: str) -> str:
    return cut(text, STOPS)


def program(sample: Sample, answer: str) -> Program:
    test, entry = sample.data["test"], sample.data["entry_point"]
    return Program(id=sample.id, prompt=sample.question, completion=answer, test=test, entry_point=entry)


def gold(sample: Sample) -> str:
    return str(sample.data["solution"])


def _task(protocol: str, decoding: Decoding) -> Task:
    return Task(
        name="humaneval",
        version=1,
        kind="code",
        about="164 Python functions to complete, run against their tests",
        protocol=protocol,
        samples=samples,
        prompt=prompt,
        extract=extract,
        program=program,
        gold=gold,
        metrics=("pass@1",),
        decoding=decoding,
        data="humaneval",
        split="test",
        licence="MIT",
        paper="arXiv:2107.03374",
        size=164,
        chance=0.0,
    )


PROTOCOLS = {
    "openai": _task("openai", Decoding(max_tokens=512, stop=STOPS)),
    "healed": _task("healed", Decoding(max_tokens=512, stop=STOPS, boundary="healed")),
}
