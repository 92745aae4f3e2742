"""Asks a large model for labels, with the phi-1 question or an additive rubric and answers in a JSON schema.

Works with any OpenAI-compatible chat endpoint. Each text is asked about once, in whatever dataset it is: answers
are stored by its digest. A budget is a hard cap: before a question is sent, its highest possible cost is reserved (a
token has at least one byte). Answers are kept however the run ends.
Source: the quoted phrase is phi-1's (arXiv 2306.11644, section 2.1; the full prompt is not published); the
additive form of the rubric follows FineWeb-Edu's idea, in our own words, about code and about prose.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Annotated, Any, Protocol

import msgspec

from evals.engines.http.endpoint import Endpoint, EndpointError, Limits, Refused
from evals.engines.http.price import Price
from training.data.quality.ledger import Ledger, LedgerLine
from training.tables import read_table
from zoo.errors import ZooError
from zoo.jsonl import parse_json
from zoo.progress import progress
from zoo.records import Record

VERSION = 1
CHARACTERS = 8_000  # of a text: 2,000 tokens are enough to judge it
MOST_WRITTEN = 160
ASKS = 2  # attempts for a text before it counts as unanswered
CUT, CUT_PROMPT = "length", "truncated"  # reasons of a plain answer that was cut off, or whose text was
OVERHEAD_BYTES = 512  # tokens that an endpoint adds: roles, template, schema marks


class LabelQuestion(Record, frozen=True):
    """A question, the form of its answer, and the points from which a text counts as educational.

    code          whether texts are to be judged; else they are requests to write
    fenced        whether the texts are shown as Python code
    most_written  the highest number of tokens in an answer
    schema        of the answer's JSON; empty: the answer is the text itself
    temperature   of the answer; None: 0 for a judgement, 1 for a text
    """

    name: str
    text: str
    schema: dict[str, Any]
    educational: int
    code: bool = True
    fenced: bool = True
    most_written: int = MOST_WRITTEN
    temperature: float | None = None


QUESTIONS = read_table("data/quality/questions.toml", dict[str, LabelQuestion])


class _Points(Record, frozen=True):
    reason: str
    points: Annotated[int, msgspec.Meta(ge=0, le=5)]


class _YesNo(Record, frozen=True):
    reason: str
    educational: bool


def content_digest(text: str) -> str:
    """The digest under which the answer about a text is stored: of the part that is sent."""
    return hashlib.sha256(text[:CHARACTERS].encode("utf-8", "surrogatepass")).hexdigest()


def request_body(text: str, model: str, question: LabelQuestion) -> dict[str, Any]:
    """The request for one text."""
    fenced = question.code and question.fenced
    usual = 0 if question.code else 1
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": question.text},
            {"role": "user", "content": f"```python\n{text[:CHARACTERS]}\n```" if fenced else text[:CHARACTERS]},
        ],
        "temperature": usual if question.temperature is None else question.temperature,
        "max_tokens": question.most_written,
    }
    if question.schema:
        form = {"name": "answer", "strict": True, "schema": question.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    return body


def read_answer(answer: Any, question: LabelQuestion) -> tuple[int, str, str] | None:
    """Points, reason and text of an endpoint's answer, or None if it does not have the required form."""
    try:
        content = answer["choices"][0]["message"]["content"]
        if not question.schema:
            return 1, CUT if answer["choices"][0].get("finish_reason") == "length" else "", content or ""
        if question.name == "phi-1":
            verdict = msgspec.convert(parse_json(content, repair=True), _YesNo)
            return 5 * verdict.educational, verdict.reason[:400], ""
        if not question.code:
            written = msgspec.convert(parse_json(content, repair=True), dict[str, Any])
            return (1, "", content) if set(question.schema["required"]) <= set(written) else None
        rating = msgspec.convert(parse_json(content, repair=True), _Points)
    except (LookupError, TypeError, ValueError):
        return None
    return rating.points, rating.reason[:400], ""


class LabellingCost(Record, frozen=True):
    """The questions and costs of a run, by the endpoint's count and by the ledger; the two must agree."""

    asked: int
    cached: int
    invalid: int
    requests: int
    money: float
    ledger: float
    job_total: float
    uncertain: float


class Teacher(Protocol):
    """A model that is asked one question about texts: behind an endpoint, or a checkpoint on this machine."""

    model: str
    question: LabelQuestion

    def ask(self, texts: Sequence[str], ledger: Ledger) -> LabellingCost:
        """Asks about all texts that have no answer yet; the answers go into the ledger."""


class Asker:
    """Asks one model at one endpoint about texts, within a budget."""

    def __init__(
        self, url: str, key: str | None, model: str, question: LabelQuestion, price: Price, budget: float | None,
        concurrency: int, wait_seconds: float = 1.0,
    ) -> None:  # fmt: skip
        self.url, self.key, self.model, self.question = url, key, model, question
        self.price, self.budget, self.concurrency, self.wait_seconds = price, budget, concurrency, wait_seconds

    def ask(self, texts: Sequence[str], ledger: Ledger) -> LabellingCost:
        """Asks about all texts that have no answer yet; the answers go into the ledger.

        Raises ZooError if the budget or the endpoint stops it; answers so far are kept.
        """
        before, earlier = ledger.spent, ledger.uncertain
        left = None if self.budget is None else self.budget - before
        if left is not None and left <= 0:
            raise ZooError(f"the budget of {self.budget:g} is spent ({before:.4f} so far); give a larger --budget")
        endpoint = Endpoint(
            self.url,
            self.key,
            Limits(budget=left, price=(self.price.prompt, self.price.written), wait_seconds=self.wait_seconds),
        )
        wanted = list(dict.fromkeys(text[:CHARACTERS] for text in texts))
        todo = [text for text in wanted if content_digest(text) not in ledger.answers]
        invalid = 0
        try:
            for line in self._answers(todo, endpoint, ledger):
                invalid += line.points is None
        except EndpointError as error:
            if not self.question.code:
                raise
            done = sum(content_digest(text) in ledger.answers for text in wanted)
            raise ZooError(f"{error}. {done:,} of {len(wanted):,} are labelled; --sample {done} uses these") from None
        return LabellingCost(
            asked=len(todo), cached=len(wanted) - len(todo), invalid=invalid, requests=endpoint.spent.requests,
            money=endpoint.spent.money, ledger=ledger.spent - before, job_total=ledger.spent, uncertain=earlier,
        )  # fmt: skip

    def _answers(self, todo: Sequence[str], endpoint: Endpoint, ledger: Ledger) -> Iterator[LedgerLine]:
        """Asks in the given order, several at a time, and yields each answer's line once it is written."""
        left = iter(todo)
        with progress("ask", len(todo), "documents") as bar, ThreadPoolExecutor(self.concurrency) as pool:
            waiting: set[Future[LedgerLine]] = set()
            try:
                while True:
                    for text in islice(left, self.concurrency - len(waiting)):
                        waiting.add(pool.submit(self._one, text, endpoint, ledger))
                    if not waiting:
                        return
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
                        bar.advance(note=f"{ledger.spent:.4f} spent")
            finally:
                endpoint.stopped.set()

    def _one(self, text: str, endpoint: Endpoint, ledger: Ledger) -> LedgerLine:
        content = content_digest(text)
        body = request_body(text, self.model, self.question)
        size = len(msgspec.json.encode(body)) + OVERHEAD_BYTES
        most = self.question.most_written
        reserved = (size * self.price.prompt + most * self.price.written) / 1e6
        line = LedgerLine(
            job=ledger.job, content=content, answered=True, characters=len(text) + len(self.question.text)
        )
        for _ in range(ASKS):
            ledger.add(LedgerLine(job=ledger.job, content=content, reserved=reserved))
            spent: dict[str, int] = {}
            try:
                answer = endpoint.post("/chat/completions", body, (size, most))
                spent = answer.get("usage") or {}
                reading = read_answer(answer, self.question)
            except Refused as error:
                reading, answer = None, {"refused": str(error)}
            read, wrote = int(spent.get("prompt_tokens") or 0), int(spent.get("completion_tokens") or 0)
            cost = (read * self.price.prompt + wrote * self.price.written) / 1e6
            if not spent and "refused" not in answer:
                cost = reserved  # an answer without usage counts at its highest cost
            line = msgspec.structs.replace(
                line, points=reading[0] if reading else None, reason=reading[1] if reading else "no valid answer",
                text=reading[2] if reading else "",
                prompt_tokens=read, tokens=wrote, money=cost,
            )  # fmt: skip
            ledger.add(line)
            if reading:
                break
        return line
