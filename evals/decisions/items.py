"""The samples of a task over all models that answered it: which decide, which none or all pass, which look mislabelled.

"Looks mislabelled" is a reason to read a sample, no verdict: weaker models do better on it (`evals.stats.items`), or
most of the better models give one and the same answer that the key calls wrong.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from evals.records import Result
from evals.results.choice import by_id, read_run
from evals.results.compare import find_first, main_readings, scores_by_protocol
from evals.stats.items import FEWEST_MODELS, ItemStat, item_stats
from evals.stats.summary import SampleScore
from zoo.errors import ZooError
from zoo.metrics import metric_of
from zoo.records import Checkpoint, Record, Score
from zoo.registry import Registry

AGREE = 0.8  # of the better half of the models, that give the same wrong answer
Kind = Literal["decides", "all pass", "none pass", "suspect"]


class Item(Record, frozen=True, kw_only=True):
    """One sample.

    passed   models that have a full score on it, of all
    score    the models' mean score, 0..1
    reasons  why it looks mislabelled; empty if it does not
    """

    sample: str
    kind: Kind
    passed: int
    score: float
    discrimination: float | None
    reasons: tuple[str, ...] = ()


class ItemTable(Record, frozen=True, kw_only=True):
    """All samples that every model has scored. models: the labels, best first; left_out: samples that one lacks."""

    column: str
    models: tuple[str, ...]
    items: tuple[Item, ...]
    left_out: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many samples are of each kind."""
        found = Counter(item.kind for item in self.items)
        return {kind: found[kind] for kind in ("decides", "all pass", "none pass", "suspect")}


def find_items(registry: Registry, task: str, names: Sequence[str] = ()) -> ItemTable:
    """The samples of a task (or `task@protocol`) over these checkpoints, or all newest ones that have it.

    Raises  ZooError for unknown names, a metric that is no share, or fewer than two models with their samples here
    """
    chosen = [find_first(registry, name) for name in dict.fromkeys(names)] if names else registry.list()
    protocols = registry.protocols()
    each = {c.digest: (c, scores_by_protocol(registry, c, protocols, (task,))) for c in chosen}
    every = [score for _, scores in each.values() for score in scores.values()]
    main = main_readings(registry, every, protocols)
    key = next((key for _, scores in each.values() for key, score in scores.items() if score.protocol in main), None)
    have = [(checkpoint, scores[key]) for checkpoint, scores in each.values() if key in scores] if key else []
    read = [(c, score, lines) for c, score in have if (lines := _lines(registry, score))]
    if len(read) < 2:
        raise ZooError(f"{len(read)} models have samples of {task}, not two. Next: phizoo eval run NAME --task {task}")
    metric = metric_of(read[0][1].metric)
    if not metric.is_share:
        raise ZooError(f"{metric.name} is no share of right answers, so no sample is passed or failed")
    read.sort(key=lambda row: -row[1].value)
    return _table(protocols[read[0][1].protocol].column, read)


def _lines(registry: Registry, score: Score) -> list[Result]:
    try:
        return read_run(registry, score.run)
    except ZooError:
        return []


def _table(column: str, read: Sequence[tuple[Checkpoint, Score, list[Result]]]) -> ItemTable:
    values = [by_id(lines, score) for _, score, lines in read]
    known = list(dict.fromkeys(sample for row in values for sample in row))
    both = [sample for sample in known if all(sample in row for row in values)]
    stats = item_stats([[row[sample].value for sample in both] for row in values])
    answers = [{line.sample: _answer(line) for line in lines if line.draw == 0} for _, _, lines in read]
    items = tuple(_item(sample, stat, values, answers) for sample, stat in zip(both, stats, strict=True))
    return ItemTable(
        column=column, models=tuple(c.label for c, _, _ in read), items=items, left_out=len(known) - len(both)
    )


def _item(
    sample: str, stat: ItemStat, values: Sequence[Mapping[str, SampleScore]], answers: Sequence[Mapping[str, str]]
) -> Item:
    own = [row[sample].value for row in values]
    passed, reasons = sum(value == 1.0 for value in own), []
    if stat.is_reversed:
        reasons.append(f"weaker models do better (discrimination {stat.discrimination:+.2f})")
    better = range((len(values) + 1) // 2)
    wrong = Counter(answers[model].get(sample, "") for model in better if own[model] == 0.0)
    wrong.pop("", None)
    if wrong and len(values) >= FEWEST_MODELS:
        answer, count = wrong.most_common(1)[0]
        if count >= 2 and count >= AGREE * len(better):
            reasons.append(f"{count} of the {len(better)} better models answer {answer[:40]!r}")
    all_alike = all(value == own[0] for value in own) and own[0] in (0.0, 1.0)
    kind: Kind = "suspect" if reasons else ("all pass" if own[0] else "none pass") if all_alike else "decides"
    return Item(
        sample=sample, kind=kind, passed=passed, score=stat.passed, discrimination=stat.discrimination,
        reasons=tuple(reasons),
    )  # fmt: skip


def _answer(line: Result) -> str:
    """The answer in one word: what was read in the text, or the most likely choice; "" for a program or none."""
    if line.logprobs:
        return f"choice {max(range(len(line.logprobs)), key=line.logprobs.__getitem__) + 1}"
    answer = line.answer or ""
    return answer if len(answer) <= 80 and "\n" not in answer else ""
