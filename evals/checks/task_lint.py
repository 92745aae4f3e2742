"""Checks a task by calling its own functions; nothing here knows any task.

A gold answer scores 1, an empty one 0; the prompt does not depend on the target and shows no test
question as an example; constant predictors stay at the stated chance; sizes are as stated; the
prompts are the golden ones. Used by `phizoo eval lint` and by the tests over every task.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import log
from typing import TYPE_CHECKING

import msgspec

from evals.protocol import prompts_sha256, shown
from evals.records import Choice, Sample
from evals.task import Task
from zoo.records import Record

if TYPE_CHECKING:
    from evals.sandbox import Program
    from evals.sandbox.tiers import Sandbox

LEAN = 0.15  # the most frequent place of the right choice may be so far above chance: 62% of BoolQ is "yes"
PROGRAMS = 6  # programs run for each of the two code checks
DOUBTFUL = 20  # gold programs run of those whose tests one view of the sandbox cannot see
REPEATS = 0.001  # MMLU's split dev holds a few questions of its split test
SHOWN = 25  # prompts searched for other samples' questions


class LintFinding(Record, frozen=True, kw_only=True):
    """One check of one task. ok None: the check could not be made, `detail` says why. warning: ok, with a doubt."""

    check: str
    ok: bool | None
    detail: str
    warning: bool = False


def lint(task: Task, golden: dict[str, object] | None = None, sandbox: "Sandbox | None" = None) -> list[LintFinding]:
    """Checks one task under one protocol.

    golden   its entry in tests/golden/prompts.json; None: not compared
    sandbox  open, for kind "code"; None: programs are not run
    """
    samples = list(task.samples())
    findings = [_size(task, samples), _golden(task, samples, golden), _independent(task, samples)]
    findings.append(_shots(task, samples))
    if task.kind == "choices":
        findings += [_choices(task, samples), _positions(task, samples)]
    elif task.kind == "likelihood":
        findings.append(_likelihood(task, samples))
    elif task.kind == "generate":
        findings += [_written(task, samples), _constant(task, samples)]
    else:
        findings.extend(_programs(task, samples, sandbox))
        findings.append(_views(task, samples, sandbox))
    return [_excuse(task, finding) for finding in findings]


def _excuse(task: Task, finding: LintFinding) -> LintFinding:
    """A failed check that the task's source fails by its own design is no fault of the task; the reason is shown."""
    if finding.ok is not False or finding.check not in task.known:
        return finding
    detail = f"{finding.detail}: {task.known[finding.check]}"
    return msgspec.structs.replace(finding, ok=True, detail=detail)


def first_prompt(task: Task, samples: Sequence[Sample]) -> dict[str, object]:
    """The golden file's entry of a task: the first sample's bytes, and the digest of all prompts."""
    pairs = [list(pair) for pair in task.pairs(samples[0])] if task.pairs else None
    first: object = pairs if pairs is not None else shown(task, samples[0])
    return {"first": first, "sha256": prompts_sha256(task, samples)}


def pick_evenly(samples: Sequence[Sample], count: int) -> list[Sample]:
    """So many samples, evenly over all."""
    return [samples[index * len(samples) // count] for index in range(min(count, len(samples)))]


def _size(task: Task, samples: Sequence[Sample]) -> LintFinding:
    ids = len({sample.id for sample in samples})
    ok = len(samples) == task.size == ids
    return LintFinding(check="size", ok=ok, detail=f"{len(samples)} samples, {ids} ids, {task.size} stated")


def _golden(task: Task, samples: Sequence[Sample], golden: dict[str, object] | None) -> LintFinding:
    if golden is None:
        return LintFinding(check="golden prompt", ok=None, detail="there is none yet; in a checkout: make golden")
    same = first_prompt(task, samples) == golden
    detail = "as in tests/golden/prompts.json" if same else "not the golden prompt; if this is intended: make golden"
    return LintFinding(check="golden prompt", ok=same, detail=detail)


def _bytes(task: Task, sample: Sample) -> object:
    return task.pairs(sample) if task.pairs else shown(task, sample)


def _independent(task: Task, samples: Sequence[Sample]) -> LintFinding:
    """A prompt does not change with its sample's answer, and holds no gold text beside the question."""
    for sample, other in zip(picked := pick_evenly(samples, 50), [*picked[1:], picked[0]], strict=True):
        swapped = {key: other.data[key] for key in ("solution", "worked", "test") if key in sample.data}
        changed = msgspec.structs.replace(sample, target=other.target, data={**sample.data, **swapped})
        if _bytes(task, sample) != _bytes(task, changed):
            return LintFinding(
                check="answer not in the prompt", ok=False, detail=f"{sample.id}: it changes with the target"
            )
        gold = (task.gold(sample) or "").strip() if task.gold else ""
        added = shown(task, sample).replace(sample.question, "") if task.kind == "generate" else shown(task, sample)
        if not task.by_logprob and len(gold) >= 40 and gold in added:
            return LintFinding(
                check="answer not in the prompt", ok=False, detail=f"{sample.id}: its gold text is in it"
            )
    return LintFinding(check="answer not in the prompt", ok=True, detail=f"{len(picked)} prompts, targets exchanged")


def _shots(task: Task, samples: Sequence[Sample]) -> LintFinding:
    """No sample's question is in the text before another sample's question."""
    check = "shots not from the split"
    if not task.shots:
        return LintFinding(check=check, ok=True, detail="0-shot")
    questions = {sample.question for sample in samples if len(sample.question) >= 30}
    seen: set[str] = set()
    for sample in pick_evenly(samples, SHOWN):
        before = shown(task, sample).replace(sample.question, "")
        seen.update(question for question in questions if question in before)
    detail = f"{len(seen)} of {len(questions)} questions are in {SHOWN} prompts"
    return LintFinding(check=check, ok=len(seen) <= REPEATS * len(questions), detail=detail)


def _judge(task: Task, sample: Sample, best: int) -> dict[str, float]:
    """The metrics if the model is certain of one choice; of none for an index out of range."""
    count = len(task.pairs(sample)) if task.pairs else 0
    read = tuple(Choice(logprob=-1.0 if i == best else -1e6, tokens=1, greedy=i == best) for i in range(count))
    return task.judge(sample, read).metrics if task.judge else {}


def _choices(task: Task, samples: Sequence[Sample]) -> LintFinding:
    check = "gold scores 1, another choice 0"
    for sample in pick_evenly(samples, 500):
        right = _judge(task, sample, sample.target)
        wrong = _judge(task, sample, (sample.target + 1) % len(sample.choices) if len(sample.choices) > 1 else -1)
        if set(right) != set(task.metrics) or set(right.values()) != {1.0} or set(wrong.values()) != {0.0}:
            return LintFinding(check=check, ok=False, detail=f"{sample.id}: right {right}, wrong {wrong}")
    return LintFinding(check=check, ok=True, detail=f"{min(500, len(samples))} samples")


def _likelihood(task: Task, samples: Sequence[Sample]) -> LintFinding:
    """One answer with text in it for each sample, whose judge gives the bits of each of its bytes."""
    check = "a likelier answer has fewer bits"
    for sample in samples:
        pairs = task.pairs(sample) if task.pairs else ()
        if len(pairs) != 1 or not pairs[0][1].strip() or pairs[0][1] != sample.choices[0]:
            return LintFinding(check=check, ok=False, detail=f"{sample.id}: {len(pairs)} answers, or an empty one")
        size = len(pairs[0][1].encode())
        read = [
            task.judge(sample, (Choice(logprob=-bits * size * log(2), tokens=1, greedy=False),)).metrics
            for bits in (1.0, 2.0)
            if task.judge
        ]
        values = [round(value, 9) for metrics in read for value in metrics.values()]
        if values != [1.0, 2.0]:
            return LintFinding(check=check, ok=False, detail=f"{sample.id}: 1 and 2 bits a byte give {values}")
    return LintFinding(check=check, ok=True, detail=f"{len(samples)} answers, none empty")


def _positions(task: Task, samples: Sequence[Sample]) -> LintFinding:
    """No rule about the place of the right choice helps a model, and chance is as stated."""
    check = "constant predictors at chance"
    many = max(len(sample.choices) for sample in samples)
    if many == 1:
        return LintFinding(check=check, ok=task.chance == 0.0, detail="one continuation, no choice to guess")
    chance = sum(1 / len(sample.choices) for sample in samples) / len(samples)
    place, count = Counter(sample.target for sample in samples).most_common(1)[0]
    share = count / len(samples)
    detail = f"always choice {place} gives {100 * share:.1f}%, guessing {100 * chance:.1f}%"
    if share == 1.0:  # the set's own order, which must not be visible
        visible = any(all(choice in pair[0] for choice in sample.choices) for sample in pick_evenly(samples, 50)
                      for pair in (task.pairs(sample)[:1] if task.pairs else ()))  # fmt: skip
        return LintFinding(check=check, ok=not visible, detail=detail + "; the places are not shown to the model")
    ok = task.chance is not None and abs(chance - task.chance) < 0.005 and share <= task.chance + LEAN
    return LintFinding(check=check, ok=ok, detail=detail)


def _score(task: Task, sample: Sample, text: str) -> dict[str, float]:
    answer = task.extract(sample, text) if task.extract else text
    return dict.fromkeys(task.metrics, 0.0) if answer is None or not task.score else task.score(sample, answer).metrics


def _written(task: Task, samples: Sequence[Sample]) -> LintFinding:
    check = "gold scores 1, empty 0"
    never = set(task.metrics)  # some metrics belong to a part of the samples
    for sample in pick_evenly(samples, 500):
        gold = task.gold(sample) if task.gold else ""
        if gold is None:  # nothing can be right
            continue
        right, empty = _score(task, sample, gold), _score(task, sample, "")
        never -= set(right)
        if not set(right) <= set(task.metrics) or right.get(task.metrics[0]) != 1.0:
            return LintFinding(check=check, ok=False, detail=f"{sample.id}: {gold[:60]!r} gives {right}")
        if gold and any(empty.values()):
            return LintFinding(check=check, ok=False, detail=f"{sample.id}: an empty answer gives {empty}")
    if never:
        return LintFinding(check=check, ok=False, detail=f"{', '.join(sorted(never))}: no sample has it")
    return LintFinding(check=check, ok=True, detail=f"{min(500, len(samples))} samples")


def _constant(task: Task, samples: Sequence[Sample]) -> LintFinding:
    """Answering every question with the most common target scores no better than the stated chance level."""
    first: dict[str, Sample] = {}
    targets = Counter(repr(sample.target) for sample in samples if first.setdefault(repr(sample.target), sample))
    best = (task.gold(first[targets.most_common(1)[0][0]]) if task.gold else None) or ""
    share = sum(_score(task, sample, best)[task.metrics[0]] for sample in samples) / len(samples)
    ok = task.chance is not None and abs(share - task.chance) < 0.015
    return LintFinding(check="constant predictors at chance", ok=ok, detail=f"{best[-40:]!r} gives {100 * share:.1f}%")


def _programs(task: Task, samples: Sequence[Sample], sandbox: "Sandbox | None") -> Iterator[LintFinding]:
    for check, wanted in (("gold passes", True), ("empty fails", False)):
        if sandbox is None:
            yield LintFinding(check=check, ok=None, detail="no isolation here, nothing was run; phizoo doctor")
            continue
        programs = []
        for sample in pick_evenly(samples, PROGRAMS):
            text = (task.gold(sample) if task.gold and wanted else None) or ""
            answer = task.extract(sample, text) if task.extract else text
            if task.program is not None and answer is not None:
                programs.append(msgspec.structs.replace(task.program(sample, answer), id=sample.id))
        results = list(sandbox.run(programs))
        bad = [
            f"{result.id} {result.verdict} {result.detail}"
            for result in results
            if (result.verdict == "passed") is not wanted
        ]
        yield LintFinding(check=check, ok=not bad, detail="; ".join(bad) or f"{len(results)} programs")


def _gold_program(task: Task, sample: Sample) -> "Program | None":
    text = (task.gold(sample) if task.gold else None) or ""
    answer = task.extract(sample, text) if task.extract else text
    program = task.program(sample, answer) if task.program is not None and answer is not None else None
    return program and msgspec.structs.replace(program, id=sample.id)


def _views(task: Task, samples: Sequence[Sample], sandbox: "Sandbox | None") -> LintFinding:
    """Both views of the sandbox can judge the tests: of gold programs whose tests look outside, none is disputed."""
    from evals.sandbox.judge.faithful import outside, traits

    check, doubts, looking = "both views see the tests", {}, []
    for sample in samples:
        program = _gold_program(task, sample)
        try:
            if program is None or program.form == "evalplus":
                continue
            if why := outside(program.form, program.test, program.entry_point):
                doubts[sample.id] = f"needs {why}"
            looking += [program] if traits(program.test, program.entry_point).looks else []
        except (SyntaxError, ValueError):  # "gold passes" says so
            continue
    for verdict in sandbox.run(looking[:DOUBTFUL]) if sandbox is not None else ():
        if verdict.disputed:
            doubts[verdict.id] = f"is disputed for the gold answer: {verdict.detail[-200:]}"
        else:
            doubts.pop(verdict.id, None)
    if not doubts:
        return LintFinding(check=check, ok=True, detail=f"{len(samples)} tests")
    first, why = next(iter(doubts.items()))
    detail = (
        f"{len(doubts)} of {len(samples)} tests may not be judged fairly (docs/sandbox.md); the first, {first}, {why}"
    )
    return LintFinding(check=check, ok=True, detail=detail, warning=True)
