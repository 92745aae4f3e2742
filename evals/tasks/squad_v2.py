"""SQuAD 2.0: questions on Wikipedia paragraphs, about half of them without an answer there.

Source: Rajpurkar et al. 2018, arXiv:1806.03822. Data: split validation (CC-BY-SA-4.0), of which
6,078 of 11,873 questions (16 of 35 articles) are pinned here, so no score is the full set's.
Protocols:
`lm-eval`  lm-evaluation-harness 0.4.13 (squadv2, version 3), 0-shot: `exact` and `f1` of the first line.
           For a question without an answer only an empty line is right; "unanswerable" is wrong. HasAns
           and NoAns are the same metrics over the questions with and without an answer. The harness's
           thresholds (best_exact, best_f1) need a second reading and are not measured here
           (`evals.scoring.squad_threshold` computes them from the harness's own file)
`phi`      phi-2 was reported with 2 shots, prompt unpublished: the same words after two examples of our
           own, one of them unanswerable; "unanswerable" is right for a question without an answer
Articles are clusters: they are some of many, and questions on one article stand or fall together.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from evals.datasets.forms import EvalSet, squad
from evals.datasets.load import rows
from evals.records import Decoding, Sample, Scored
from evals.scoring.answer import exact_and_f1, plain_words
from evals.task import Task, bare_question

TITLE = "SQuAD v2"
ALIASES = ("squadv2",)
SETS = (
    EvalSet(
        name="squad_v2", split="validation", rows=6078, licence="CC-BY-SA-4.0", folder="squad_v2/data.jsonl",
        digest="7f2e7c0a79df15b7ddb8c0d228a76d4d4bc23e833d9485826a224a375e5e82d4", form=squad,
        partial="16 of 35 articles",
    ),
)  # fmt: skip
METRICS = ("exact", "f1")
PARTS = ("HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1")  # over the questions with and without an answer
NOTHING = "unanswerable"
PASSAGE = (
    "The town library opened in 1911 in a former grain store beside the canal. It lends books to anyone who lives "
    "in the valley, and since 1968 a boat has carried part of its collection to the three villages downstream."
)
SHOTS = (("When did the library open?", "1911"), ("Who built the boat?", NOTHING))


def write_question(title: str, passage: str, question: str) -> str:
    """One question under its passage and title, up to the answer."""
    return f"Title: {title}\n\nBackground: {passage}\n\nQuestion: {question}\n\nAnswer:"


def samples() -> Iterator[Sample]:
    for row in rows("squad_v2", split="validation"):
        question = write_question(row["title"], row["context"], row["question"])
        identity, cluster = f"squad_v2/{row['id']}", row["title"]
        yield Sample(id=identity, question=question, target=row["answers"], cluster=cluster)


def prompt_phi(sample: Sample) -> str:
    return "".join(f"{write_question('Library', PASSAGE, q)} {a}\n\n" for q, a in SHOTS) + sample.question


def extract(sample: Sample, text: str) -> str:
    return text


def extract_phi(sample: Sample, text: str) -> str | None:
    answer = text.strip()
    return ("" if plain_words(answer) == [NOTHING] else answer) if answer else None


def score(sample: Sample, answer: str) -> Scored:
    exact, f1 = exact_and_f1(answer, sample.target)
    wanted = sample.target[0] if sample.target else "no answer"
    return Scored(metrics={"exact": exact, "f1": f1}, detail=f"read {answer!r}, right is {wanted!r}")


def score_parts(sample: Sample, answer: str) -> Scored:
    """The same metrics, and again under the name of the question's part: with or without an answer."""
    scored = score(sample, answer)
    part = "HasAns" if sample.target else "NoAns"
    own = {f"{part}_{name}": value for name, value in scored.metrics.items()}
    return Scored(metrics={**scored.metrics, **own}, detail=scored.detail)


def gold(sample: Sample) -> str:
    return f" {sample.target[0]}" if sample.target else ""


def gold_phi(sample: Sample) -> str:
    return f" {sample.target[0] if sample.target else NOTHING}"


LM_EVAL = Task(
    name="squad_v2", version=1, kind="generate", about="answers in a paragraph, or none", protocol="lm-eval",
    samples=samples, prompt=bare_question, extract=extract, score=score_parts, gold=gold, metrics=(*METRICS, *PARTS),
    decoding=Decoding(max_tokens=256, stop=("\n",)), data="squad_v2", split="validation", licence="CC-BY-SA-4.0",
    paper="arXiv:1806.03822", size=6078, chance=3168 / 6078,
)  # fmt: skip
PHI = replace(
    LM_EVAL, protocol="phi", prompt=prompt_phi, extract=extract_phi, score=score, gold=gold_phi, metrics=METRICS,
    shots=2, decoding=Decoding(max_tokens=64, stop=("\n",)),
)  # fmt: skip
PROTOCOLS = {"lm-eval": LM_EVAL, "phi": PHI}
