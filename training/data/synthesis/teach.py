"""The synthesise stage with a large model: asks for documents slot by slot, tests them, and keeps new ones.

Each document records its slot, prompt, seed, teacher and cost. Exercises run in the sandbox against their own
asserts, and so does the code of passages. A slot ends when a round of prompts gives too few new documents.
Answers are stored, so a killed run pays for nothing twice.
Source: phi-1 (arXiv 2306.11644), section 2.2.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from evals.contamination.syntax_trees import parsed, too_deep
from training.data.build import Built, Counts, MadeDataset, count_outcome, make, write_result
from training.data.document import Document, drop_document, make_document
from training.data.quality import labeller
from training.data.quality.annotate import open_ledger
from training.data.quality.labeller import Asker, LabellingCost, LabelQuestion
from training.data.quality.ledger import Ledger, LedgerLine
from training.data.synthesis.diversity import Diversity, Novelty, diversity
from training.data.synthesis.held_out import HeldOut, load_held_out, solution_key, task_file
from training.data.synthesis.nameless import normalise_words
from training.data.synthesis.slots import TeachingSlot, shuffled_slots, slot_prompt
from training.tables import read_table
from zoo.digest import digest, file_sha256, write_json
from zoo.jsonl import parse_json
from zoo.records import Record

VERSION = 1
ROUND = 4  # prompts of a slot after which its share of new documents is checked
WAVE = 64  # prompts asked together: a killed run has paid for at most this many unused answers
NEW_SHARE = 0.5  # of a round's documents; with less the slot ends
FENCE = re.compile(r"```(?:python|py)\n(.*?)```", re.DOTALL)
STAGES = ("answers", "held out", "own tests", "new in its slot")
QUESTIONS = read_table("data/synthesis/questions.toml", dict[str, LabelQuestion])


class TaughtDraft(Record, frozen=True):
    """One answer: its slot and prompt, its text, the code and asserts to run, or the reason why it is dropped."""

    slot: str
    number: int
    prompt: str
    text: str = ""
    code: str = ""
    tests: str = ""
    entry: str = ""
    money: float = 0.0
    stage: str = ""
    reason: str = ""


def teach(what: str, name: str, documents: int, seed: int, asker: Asker) -> tuple[MadeDataset, LabellingCost | None]:
    """Makes a dataset of up to `documents` documents; fewer if no slot gives new ones any more."""
    recipe: dict[str, Any] = {
        "stage": f"synthesise {what}", "version": f"teacher {VERSION}", "teacher": asker.model, "seed": seed,
        "documents": documents, "held_out": file_sha256(task_file()), "question": labeller.VERSION,
    }  # fmt: skip
    costs: list[LabellingCost] = []

    def build(work: Path) -> Built:
        with open_ledger(asker, digest(recipe)[:16]) as ledger:
            return _Teaching(work, what, documents, seed, asker, ledger, costs).build()

    made = make(name, recipe, None, build)
    return made, _sum_costs(costs) if costs else None


def _sum_costs(costs: Sequence[LabellingCost]) -> LabellingCost:
    first = costs[-1]
    fields = ("asked", "cached", "invalid", "requests", "money", "ledger")
    return msgspec.structs.replace(first, **{field: sum(getattr(cost, field) for cost in costs) for field in fields})


class _Teaching:
    """One run over the slots."""

    def __init__(self, work: Path, what: str, documents: int, seed: int, asker: Asker, ledger: Ledger,
                 costs: list[LabellingCost]) -> None:  # fmt: skip
        self.work, self.what, self.documents, self.seed = work, what, documents, seed
        self.asker, self.ledger, self.costs = asker, ledger, costs
        self.texts: dict[str, list[str]] = {}
        self.ended: list[str] = []

    def build(self) -> Built:
        """Asks, tests and writes until there are enough documents or every slot has ended."""
        counts = {name: Counts(name) for name in STAGES}

        def outcomes() -> Iterator[Document]:
            number = 0
            for draft in self._judged():
                count_outcome(counts, draft.stage, draft.reason)
                if draft.reason:
                    yield drop_document(self._document(draft), draft.stage, draft.reason, with_text=True)
                    continue
                number += 1
                self.texts.setdefault(draft.slot, []).append(draft.text)
                yield self._document(draft)
                if number == self.documents:
                    return

        number, tokens = write_result(self.work / "out", outcomes())
        by_slot = {slot: diversity(texts) for slot, texts in sorted(self.texts.items())}
        whole: Diversity = diversity([text for texts in self.texts.values() for text in texts])
        write_json(self.work / "out" / "diversity.json", {"all": whole, "slots": by_slot, "ended": sorted(self.ended)})
        return Built(
            kind="documents", documents=number, tokens=tokens, stages=tuple(count.stage() for count in counts.values()),
            licence=f"output of {self.asker.model}",
            recipe={"money": round(self.ledger.spent, 6), "slots": len(by_slot)},
        )  # fmt: skip

    def _judged(self) -> Iterator[TaughtDraft]:
        """Yields drafts with their verdicts, round after round, while any slot gives new documents."""
        from evals.sandbox import open_sandbox

        away, seen = load_held_out(), dict[str, Novelty]()
        open_slots, round_ = shuffled_slots(self.what, self.seed), 0
        with open_sandbox() as sandbox:
            while open_slots:
                going = []
                for start in range(0, len(open_slots), WAVE // ROUND):
                    wave = open_slots[start : start + WAVE // ROUND]
                    for slot, drafts in self._asked(wave, round_, away, sandbox):
                        fresh = 0
                        for draft in drafts:
                            if not draft.reason and not seen.setdefault(slot.name, Novelty()).takes(draft.text):
                                draft = msgspec.structs.replace(draft, stage=STAGES[3], reason="says nothing new")
                            fresh += not draft.reason
                            yield draft
                        if fresh >= NEW_SHARE * ROUND:
                            going.append(slot)
                        else:
                            self.ended.append(slot.name)
                open_slots, round_ = going, round_ + 1

    def _asked(
        self, wave: Sequence[TeachingSlot], round_: int, away: HeldOut, sandbox: Any
    ) -> list[tuple[TeachingSlot, list[TaughtDraft]]]:
        """Asks for one round of some slots and tests the drafts."""
        numbers = range(round_ * ROUND, (round_ + 1) * ROUND)
        wanted = [
            (slot, number, slot_prompt(self.what, slot, self.seed, number)) for slot in wave for number in numbers
        ]
        self.costs.append(self.asker.ask([text for *_, text in wanted], self.ledger))
        drafts = [
            read_draft(self.what, slot.name, number, text, self.ledger.answers.get(labeller.content_digest(text)), away)
            for slot, number, text in wanted
        ]
        drafts = _run_tests(drafts, sandbox)
        return [(slot, drafts[place * ROUND : (place + 1) * ROUND]) for place, slot in enumerate(wave)]

    def _document(self, draft: TaughtDraft) -> Document:
        facts = {
            "teacher": self.asker.model, "seed": self.seed, "slot": draft.slot, "prompt": draft.prompt,
            "money": draft.money,
        }  # fmt: skip
        if draft.entry:
            facts |= {"entry_point": draft.entry, "test": draft.tests}
        source = f"{self.asker.model}/{self.what}/{draft.slot}/{self.seed}-{draft.number}"
        kind: Any = "exercise" if self.what == "exercises" else "textbook"
        return make_document(
            draft.text, source, f"{self.asker.model}/{draft.slot}", f"output of {self.asker.model}", kind, facts
        )


def read_draft(what: str, slot: str, number: int, prompt: str, line: LedgerLine | None, away: HeldOut) -> TaughtDraft:
    """Reads an answer's text, code and asserts, or the reason why it is dropped."""
    draft = TaughtDraft(slot=slot, number=number, prompt=prompt, money=line.money if line else 0.0)

    def refused(reason: str, stage: str = STAGES[0], **known: str) -> TaughtDraft:
        return msgspec.structs.replace(draft, stage=stage, reason=reason, **known)

    if line is None:
        return refused("no valid answer")
    fields: dict[str, Any] = parse_json(line.text, repair=True)
    if what == "knowledge":
        return _read_prose(draft, str(fields["text"]).strip() + "\n", away)
    if what == "textbooks":
        text = str(fields["text"]).strip() + "\n"
        code, tests = "\n\n".join(FENCE.findall(text)), ["assert True"]
    else:
        text = code = str(fields["code"]).strip() + "\n"
        tests = [str(test) for test in fields["tests"]] if isinstance(fields["tests"], list) else []
    if any(mark in text for mark in ("\0", *map(chr, range(0xD800, 0xD804)))) or len(text) < 40:
        return refused("no text")
    tree = parsed(code)
    if tree is None or too_deep(tree):
        return refused("does not parse", text=text)
    made = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if not made:
        return refused("no function", text=text)
    if what == "exercises" and not any(test.lstrip().startswith("assert") for test in tests):
        return refused("no asserts", text=text)
    if solution_key(code) in away.solutions or any(solution_key(ast.unparse(node)) in away.solutions for node in made):
        return refused("held-out solution", STAGES[1], text=text)
    if any(normalise_words(known) and normalise_words(known) in normalise_words(text) for known in away.prompts):
        return refused("held-out prompt", STAGES[1], text=text)
    return msgspec.structs.replace(draft, text=text, code=code, tests="\n".join(tests), entry=made[-1].name)


def _read_prose(draft: TaughtDraft, text: str, away: HeldOut) -> TaughtDraft:
    """A text without code to run, or the reason why it is dropped."""
    if "\0" in text or len(text) < 200 or (not text.isprintable() and any("\ud800" <= c <= "\udfff" for c in text)):
        return msgspec.structs.replace(draft, stage=STAGES[0], reason="no text")
    if any(known in normalise_words(text) for known in map(normalise_words, away.prompts) if known):
        return msgspec.structs.replace(draft, stage=STAGES[1], reason="held-out prompt", text=text)
    return msgspec.structs.replace(draft, text=text)


def _run_tests(drafts: Sequence[TaughtDraft], sandbox: Any) -> list[TaughtDraft]:
    """Runs the drafts that were not dropped yet and adds the sandbox's verdict."""
    from evals.sandbox import Program

    programs = [
        Program(
            id=str(place), prompt="", completion=draft.code, test=draft.tests, entry_point=draft.entry, form="asserts"
        )
        for place, draft in enumerate(drafts)
        if not draft.reason and draft.code
    ]
    tested = list(drafts)
    for verdict in sandbox.run(iter(programs)):
        if verdict.verdict == "unscored":
            from zoo.errors import ZooError

            raise ZooError(f"the sandbox could not run a draft ({verdict.detail}); see: phizoo doctor")
        if verdict.verdict != "passed":
            place = int(verdict.id)
            tested[place] = msgspec.structs.replace(tested[place], stage=STAGES[2], reason=verdict.verdict)
    return tested
