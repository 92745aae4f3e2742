"""What every task must hold, checked on its own functions: nothing here knows any task.

A gold answer scores 1, an empty one 0; the prompt does not depend on the target and shows no test
question as an example; constant predictors stay at the stated chance; sizes are as stated; the
prompts are the golden ones. Used by `phizoo eval lint` and by the tests over every task.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from evals.protocol import prompts_sha256, shown
from evals.records import Choice, Sample
from evals.task import Task
from zoo.records import Record

if TYPE_CHECKING:
    from evals.sandbox.tiers import Sandbox

LEAN = 0.15  # how far the fullest place of the right choice may lie above chance: 62% of BoolQ is "yes"
PROGRAMS = 6  # programs run for each of the two code checks
REPEATS = 0.001  # MMLU's split dev holds a few questions of its split test
SHOWN = 25  # prompts searched for other samples' questions


class Finding(Record, frozen=True, kw_only=True):
    """One check of one task. ok None: it could not be made, `detail` says why."""

    check: str
    ok: bool | None
    detail: str


def lint(task: Task, golden: dict[str, object] | None = None, sandbox: "Sandbox | None" = None) -> list[Finding]:
    """All findings for one task under one protocol.

    golden   what tests/golden/prompts.json holds for it; None: not compared
    sandbox  open, for kind "code"; None: programs are not run
    """
    samples = list(task.samples())
    found = [_size(task, samples), _golden(task, samples, golden), _independent(task, samples)]
    found.append(_shots(task, samples))
    if task.kind == "choices":
        found += [_choices(task, samples), _positions(task, samples)]
    elif task.kind == "generate":
        found += [_written(task, samples), _constant(task, samples)]
    else:
        found.extend(_programs(task, samples, sandbox))
    return found


def first_prompt(task: Task, samples: Sequence[Sample]) -> dict[str, object]:
    """What the golden file holds: the first sample's bytes, and the digest of all prompts."""
    pairs = [list(pair) for pair in task.pairs(samples[0])] if task.pairs else None
    first: object = pairs if pairs is not None else shown(task, samples[0])
    return {"first": first, "sha256": prompts_sha256(task, samples)}


def spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """That many samples, evenly over all."""
    return [samples[index * len(samples) // count] for index in range(min(count, len(samples)))]


def _size(task: Task, samples: Sequence[Sample]) -> Finding:
    ids = len({sample.id for sample in samples})
    ok = len(samples) == task.size == ids
    return Finding(check="size", ok=ok, detail=f"{len(samples)} samples, {ids} ids, {task.size} stated")


def _golden(task: Task, samples: Sequence[Sample], golden: dict[str, object] | None) -> Finding:
    if golden is None:
        return Finding(check="golden prompt", ok=None, detail="has none yet; in a checkout: make golden")
    same = first_prompt(task, samples) == golden
    told = "as in tests/golden/prompts.json" if same else "not the golden one; if that is meant: make golden"
    return Finding(check="golden prompt", ok=same, detail=told)


def _bytes(task: Task, sample: Sample) -> object:
    return task.pairs(sample) if task.pairs else shown(task, sample)


def _independent(task: Task, samples: Sequence[Sample]) -> Finding:
    """The same bytes are shown when another sample's answer is put in; what is added holds no gold text."""
    for sample, other in zip(some := spread(samples, 50), [*some[1:], some[0]], strict=True):
        swapped = {key: other.data[key] for key in ("solution", "worked", "test") if key in sample.data}
        changed = msgspec.structs.replace(sample, target=other.target, data={**sample.data, **swapped})
        if _bytes(task, sample) != _bytes(task, changed):
            return Finding(check="answer not in the prompt", ok=False, detail=f"{sample.id}: it moves with the target")
        gold = (task.gold(sample) or "").strip() if task.gold else ""
        added = shown(task, sample).replace(sample.question, "") if task.kind == "generate" else shown(task, sample)
        if task.kind != "choices" and len(gold) >= 40 and gold in added:
            return Finding(
                check="answer not in the prompt", ok=False, detail=f"{sample.id}: its gold text stands there"
            )
    return Finding(check="answer not in the prompt", ok=True, detail=f"{len(some)} prompts, targets exchanged")


def _shots(task: Task, samples: Sequence[Sample]) -> Finding:
    """No sample's question stands in what is shown before another's."""
    check = "shots not from the split"
    if not task.shots:
        return Finding(check=check, ok=True, detail="0-shot")
    questions = {sample.question for sample in samples if len(sample.question) >= 30}
    seen: set[str] = set()
    for sample in spread(samples, SHOWN):
        before = shown(task, sample).replace(sample.question, "")
        seen.update(question for question in questions if question in before)
    told = f"{len(seen)} of {len(questions)} questions stand in {SHOWN} prompts"
    return Finding(check=check, ok=len(seen) <= REPEATS * len(questions), detail=told)


def _judged(task: Task, sample: Sample, best: int) -> dict[str, float]:
    """The metrics when the model is certain of one choice; an index out of range: of none."""
    count = len(task.pairs(sample)) if task.pairs else 0
    read = tuple(Choice(logprob=-1.0 if i == best else -1e6, tokens=1, greedy=i == best) for i in range(count))
    return task.judge(sample, read).metrics if task.judge else {}


def _choices(task: Task, samples: Sequence[Sample]) -> Finding:
    check = "gold scores 1, another choice 0"
    for sample in spread(samples, 500):
        right = _judged(task, sample, sample.target)
        wrong = _judged(task, sample, (sample.target + 1) % len(sample.choices) if len(sample.choices) > 1 else -1)
        if set(right) != set(task.metrics) or set(right.values()) != {1.0} or set(wrong.values()) != {0.0}:
            return Finding(check=check, ok=False, detail=f"{sample.id}: right {right}, wrong {wrong}")
    return Finding(check=check, ok=True, detail=f"{min(500, len(samples))} samples")


def _positions(task: Task, samples: Sequence[Sample]) -> Finding:
    """The right choice's place follows no rule that a model could use, and chance is as stated."""
    check = "constant predictors at chance"
    many = max(len(sample.choices) for sample in samples)
    if many == 1:
        return Finding(check=check, ok=task.chance == 0.0, detail="one continuation, no choice to guess")
    chance = sum(1 / len(sample.choices) for sample in samples) / len(samples)
    place, count = Counter(sample.target for sample in samples).most_common(1)[0]
    share = count / len(samples)
    told = f"always choice {place} gives {100 * share:.1f}%, guessing {100 * chance:.1f}%"
    if share == 1.0:  # the set's own order; it must not show
        visible = any(all(choice in pair[0] for choice in sample.choices) for sample in spread(samples, 50)
                      for pair in (task.pairs(sample)[:1] if task.pairs else ()))  # fmt: skip
        return Finding(check=check, ok=not visible, detail=told + "; the places are not shown to the model")
    ok = task.chance is not None and abs(chance - task.chance) < 0.005 and share <= task.chance + LEAN
    return Finding(check=check, ok=ok, detail=told)


def _worth(task: Task, sample: Sample, text: str) -> dict[str, float]:
    answer = task.extract(sample, text) if task.extract else text
    return dict.fromkeys(task.metrics, 0.0) if answer is None or not task.score else task.score(sample, answer).metrics


def _written(task: Task, samples: Sequence[Sample]) -> Finding:
    check = "gold scores 1, empty 0"
    never = set(task.metrics)  # some metrics are of a part of the samples
    for sample in spread(samples, 500):
        gold = (task.gold(sample) if task.gold else None) or ""
        right, empty = _worth(task, sample, gold), _worth(task, sample, "")
        never -= set(right)
        if not set(right) <= set(task.metrics) or right.get(task.metrics[0]) != 1.0:
            return Finding(check=check, ok=False, detail=f"{sample.id}: {gold[:60]!r} gives {right}")
        if gold and any(empty.values()):
            return Finding(check=check, ok=False, detail=f"{sample.id}: an empty answer gives {empty}")
    if never:
        return Finding(check=check, ok=False, detail=f"{', '.join(sorted(never))}: no sample has it")
    return Finding(check=check, ok=True, detail=f"{min(500, len(samples))} samples")


def _constant(task: Task, samples: Sequence[Sample]) -> Finding:
    """A gold text for the commonest target, said to every question, gives no more than the stated chance."""
    first: dict[str, Sample] = {}
    targets = Counter(repr(sample.target) for sample in samples if first.setdefault(repr(sample.target), sample))
    best = (task.gold(first[targets.most_common(1)[0][0]]) if task.gold else None) or ""
    share = sum(_worth(task, sample, best)[task.metrics[0]] for sample in samples) / len(samples)
    ok = task.chance is not None and abs(share - task.chance) < 0.015
    return Finding(check="constant predictors at chance", ok=ok, detail=f"{best[-40:]!r} gives {100 * share:.1f}%")


def _programs(task: Task, samples: Sequence[Sample], sandbox: "Sandbox | None") -> Iterator[Finding]:
    for check, wanted in (("gold passes", True), ("empty fails", False)):
        if sandbox is None:
            yield Finding(check=check, ok=None, detail="no isolation here, nothing was run; phizoo doctor")
            continue
        programs = []
        for sample in spread(samples, PROGRAMS):
            text = (task.gold(sample) if task.gold and wanted else None) or ""
            answer = task.extract(sample, text) if task.extract else text
            if task.program is not None and answer is not None:
                programs.append(msgspec.structs.replace(task.program(sample, answer), id=sample.id))
        told = list(sandbox.run(programs))
        bad = [f"{one.id} {one.verdict} {one.detail}" for one in told if (one.verdict == "passed") is not wanted]
        yield Finding(check=check, ok=not bad, detail="; ".join(bad) or f"{len(told)} programs")
