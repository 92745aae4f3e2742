"""A checkpoint of the zoo as the teacher: asked on this machine by an engine, it costs time and no money.

It answers to the same questions as a model behind an endpoint (`training.data.quality.labeller.Asker`) and writes into
the same ledger: each answer is on disk at once, so a killed run goes on where it stopped. A text's draw has a seed of
its own, which follows from the text alone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals.chat import ChatShape, folder_template
from evals.chat import render_messages as render
from evals.records import Decoding, GenerateRequest, Generation, Message
from training.data.quality.labeller import (
    CHARACTERS,
    CUT,
    CUT_PROMPT,
    LabellingCost,
    LabelQuestion,
    content_digest,
)
from training.data.quality.ledger import Ledger, LedgerLine
from zoo.errors import ZooError
from zoo.progress import progress

TOP_P = 0.95


class LocalTeacher:
    """Asks one checkpoint by its own chat template. It opens the weights only for a text without an answer."""

    def __init__(
        self, label: str, digest: str, folder: Path, engine: str, question: LabelQuestion, options: dict[str, Any]
    ) -> None:
        """label, digest, folder: of the checkpoint; options: of the engine's `connect`.

        Raises  ZooError for a question that wants JSON, and for a base model, which takes no instructions
        """
        if question.schema:
            raise ZooError(f"{label} is asked on this machine, which writes no JSON for {question.name}; give --url")
        template = folder_template(folder)
        if template is None:
            raise ZooError(f"{label} has no chat template: it is a base model and takes no instructions; give another")
        self.model, self.question = f"{label} {digest[:12]}", question
        self.folder, self.engine, self.options, self.template = folder, engine, options, template

    def ask(self, texts: Sequence[str], ledger: Ledger) -> LabellingCost:
        """Asks about all texts that have no answer yet; each answer goes into the ledger at once."""
        wanted = {content_digest(text): text[:CHARACTERS] for text in texts}
        todo = {content: text for content, text in wanted.items() if content not in ledger.answers}
        invalid = self._write(todo, ledger) if todo else 0
        return LabellingCost(
            asked=len(todo), cached=len(wanted) - len(todo), invalid=invalid, requests=len(todo), money=0.0,
            ledger=0.0, job_total=0.0, uncertain=0.0,
        )  # fmt: skip

    def _write(self, todo: dict[str, str], ledger: Ledger) -> int:
        """Has an answer written for each text; returns how many are none."""
        from evals.engines import connect

        requests = [self._request(content, text) for content, text in todo.items()]
        invalid = 0
        engine = connect(self.engine, self.folder, **self.options)
        try:
            with progress(f"rewrite ({self.question.name})", len(requests), "documents") as bar:
                for generation in engine.generate(requests):
                    line = self._line(todo[generation.sample], generation, ledger.job)
                    invalid += line.points is None
                    ledger.add(line)
                    bar.advance()
        finally:
            engine.close()
        return invalid

    def _request(self, content: str, text: str) -> GenerateRequest:
        messages = (Message(role="system", content=self.question.text), Message(role="user", content=text))
        decoding = Decoding(
            max_tokens=self.question.most_written, temperature=self.question.temperature or 0.0, top_p=TOP_P
        )
        return GenerateRequest(
            sample=content, draw=0, prompt=render(self.template, ChatShape(), messages), decoding=decoding,
            seed=int(content[:8], 16),
        )  # fmt: skip

    def _line(self, text: str, generation: Generation, job: str) -> LedgerLine:
        cut = CUT if generation.finish == "length" else CUT_PROMPT if generation.truncated else ""
        return LedgerLine(
            job=job, content=content_digest(text), answered=True, points=None if generation.finish == "fault" else 1,
            reason=generation.fault[:400] or cut, text=generation.text, characters=len(text) + len(self.question.text),
            prompt_tokens=generation.prompt_tokens, tokens=generation.tokens,
        )  # fmt: skip
