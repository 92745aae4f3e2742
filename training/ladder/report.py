"""What a ladder showed, read from the zoo: tables whose every number names the runs it comes from.

Nothing is measured here. Intervals: over seeds (Student's t) for losses and steps, over seeds and samples
for scores, Wilson's for published bars. Differences are paired by seed. What does not show is said so.
"""

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from training.ladder.rungs import DATA_ARMS, KINDS, Rung, Scale, growth_arms, kind_losses, run_of, rungs
from zoo.errors import ZooError
from zoo.records import Checkpoint, Record

if TYPE_CHECKING:
    from zoo.registry import Registry

# Published bars of the same comparisons: HumanEval pass@1 in percent, of 164 problems (zoo/published.csv).
PUBLISHED_DATA = (
    "350M unfiltered Stack+StackOverflow, 96k steps", "350M filtered subset, 36k steps",
    "350M on The Stack, 76B tokens (410 GPU h)", "350M on CodeTextbook, 76B tokens (410 GPU h) = phi-1-small-base",
    "phi-1-small (350M CodeTextbook->CodeExercises, 76B tokens)",
)  # fmt: skip
PUBLISHED_GROWTH = (
    "phi-1 from scratch, 12K steps", "phi-1 from scratch, 36K steps", "phi-1 WR, 12K steps", "phi-1 WR, 36K steps",
    "phi-1 WR+Tile, 12K steps", "phi-1 WR+Tile, 36K steps",
)  # fmt: skip


EXACT = "tile-exact, zero"  # the arm that begins as the very function of its parent


class Ran(Record, frozen=True, kw_only=True):
    """One finished rung with what was recorded of it. scores: one of each sample, in the task's order."""

    rung: Rung
    checkpoint: Checkpoint
    curve: tuple[dict[str, Any], ...]
    scores: tuple[float, ...]
    eval_run: str
    losses: dict[str, float]
    proof: dict[str, Any] | None = None

    @property
    def first_loss(self) -> float:
        """Loss of the first batch, before any update: the same batch for all arms of a seed."""
        return float(self.curve[0]["loss"])

    @property
    def final_loss(self) -> float:
        """The last validation loss."""
        return float([line for line in self.curve if "validation_loss" in line][-1]["validation_loss"])

    @property
    def flops(self) -> float:
        """FLOPs of this run alone, without its parent's."""
        return float(self.checkpoint.training_flops or 0.0) - self.parent_flops

    parent_flops: float = 0.0


class Cell(Record, frozen=True):
    """A number as it is shown, and the names of the runs behind it (none: published, or a label)."""

    text: str
    runs: tuple[str, ...] = ()


class Table(Record, frozen=True):
    """One table: its title, what to know when reading it, and its rows."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    said: tuple[str, ...] = ()


class Report(Record, frozen=True, kw_only=True):
    """All of a ladder: its tables and the runs that they link to."""

    scale: Scale
    tables: tuple[Table, ...]
    ran: tuple[Ran, ...]


def gather(registry: "Registry", scale: Scale) -> Report:
    """The report of the rungs that are in the zoo. Raises ZooError for one that is not trained yet."""
    ran = tuple(_read(registry, rung, scale) for rung in rungs(scale))
    tables = (data_table(ran), growth_table(scale, ran), speed_table(scale, ran), kinds_table(scale, ran))
    return Report(scale=scale, tables=(*tables, chain_table(ran), published_table()), ran=ran)


def _read(registry: "Registry", rung: Rung, scale: Scale) -> Ran:
    from evals.run_folder import read_results
    from training import metrics
    from training.export import CURVES

    checkpoint = registry.get(rung.name)
    if not (run := run_of(registry, checkpoint, scale)):
        raise ZooError(f"{checkpoint.label} is not scored yet; go on: phizoo train ladder --scale {scale.name}")
    results = read_results(registry.results(run))
    proof, spent = None, 0.0
    if rung.start:
        start = registry.get(rung.start)
        spent = start.training_flops or 0.0
        kept = registry.recipe(start.recipe_digest).get("grow") if start.recipe_digest else None
        proof = kept["proof"] if kept else None
    return Ran(
        rung=rung, checkpoint=checkpoint, curve=tuple(metrics.read(registry.path(checkpoint) / CURVES)), eval_run=run,
        scores=tuple(result.score for result in results if result.score is not None),
        losses=kind_losses(registry, checkpoint), proof=proof, parent_flops=spent,
    )  # fmt: skip


def of(ran: Sequence[Ran], study: str, arm: str) -> list[Ran]:
    """The runs of one arm, by seed."""
    return sorted((one for one in ran if (one.rung.study, one.rung.arm) == (study, arm)), key=lambda one: one.rung.seed)


def over_seeds(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95% Student interval over seeds; infinite ends for one seed.

    >>> [round(value, 2) for value in over_seeds([1.0, 2.0, 3.0])]
    [2.0, -0.48, 4.48]
    """
    from evals.stats.intervals import student_quantile

    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, -math.inf, math.inf
    half = student_quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def _names(runs: Sequence[Ran]) -> tuple[str, ...]:
    return tuple(one.rung.name for one in runs)


def number(runs: Sequence[Ran], values: Sequence[float], digits: int = 3) -> Cell:
    """A mean over seeds with its interval, linked to its runs."""
    mean, low, high = over_seeds(values)
    return Cell(f"{mean:.{digits}f} [{low:.{digits}f}–{high:.{digits}f}] n={len(values)}", _names(runs))


def score(runs: Sequence[Ran]) -> Cell:
    """The score in percent: over seeds and samples where there are several seeds, else Wilson's."""
    from evals.stats.intervals import wilson
    from evals.stats.seeds import combine

    if len(runs) > 1:
        told = combine([one.scores for one in runs])
        size = f"n={told.n} x {told.runs} seeds"
        value, low, high = told.value, told.low, told.high
    else:
        correct, n = sum(runs[0].scores), len(runs[0].scores)
        ends = wilson(correct, n)
        value, low, high, size = correct / n, ends.low, ends.high, f"n={n}"
    return Cell(f"{100 * value:.1f} [{100 * low:.1f}–{100 * high:.1f}] {size}", _names(runs))


def difference(runs: Sequence[Ran], base: Sequence[Ran], values: Sequence[float], others: Sequence[float]) -> Cell:
    """The mean difference paired by seed, with its interval."""
    mean, low, high = over_seeds([a - b for a, b in zip(values, others, strict=True)])
    return Cell(f"{mean:+.3f} [{low:+.3f} to {high:+.3f}] n={len(values)}", (*_names(runs), *_names(base)))


def scores_apart(runs: Sequence[Ran], base: Sequence[Ran]) -> Cell:
    """The difference of scores in points, on the same samples, each averaged over its seeds."""
    from evals.stats.paired import paired

    means = [
        [statistics.fmean(column) for column in zip(*(one.scores for one in part), strict=True)]
        for part in (runs, base)
    ]
    told = paired(means[0], means[1])
    chance = f"p={told.p:.3f}" if told.p >= 0.001 else "p<0.001"
    text = f"{100 * told.value:+.1f} [{100 * told.low:+.1f} to {100 * told.high:+.1f}] {chance}"
    return Cell(text, (*_names(runs), *_names(base)))


def data_table(ran: Sequence[Ran]) -> Table:
    """Study 1: what each step of the data ladder adds."""
    rows, said = [], []
    before: list[Ran] = []
    for arm in DATA_ARMS:
        runs = of(ran, "data", arm)
        apart = scores_apart(runs, before) if before else Cell("")
        kinds = (number(runs, [one.losses[kind] for one in runs]) for kind in KINDS)
        rows.append((Cell(arm), score(runs), apart, *kinds))
        if before:
            said.append(_shown(f"{arm} against the arm before", apart.text))
        before = runs
    note = (
        "Score of the ladder's task and validation loss (nats a token) on the same held-out text for all. "
        "Published, HumanEval: 350M on unfiltered Stack 12, CodeTextbook 20, + CodeExercises 45 (P1, Figure 2.1)."
    )
    columns = ("data", "score %", "against the arm before, points", *(f"loss: {kind}" for kind in KINDS))
    return Table("1. The data ladder", note, columns, tuple(rows), tuple(said))


def _shown(what: str, text: str) -> str:
    """Says plainly whether an interval of a difference leaves out zero."""
    ends = text.partition("[")[2].partition("]")[0].split(" to ")
    low, high = (float(end) for end in ends)
    if low > 0 or high < 0:
        return f"{what}: the difference shows ({text})."
    return f"{what}: no difference shows ({text})."


def growth_table(scale: Scale, ran: Sequence[Ran]) -> Table:
    """Study 2: every method's loss before training and after it, and its score."""
    rows, said = [], []
    scratch = of(ran, "growth", "scratch")
    parents = of(ran, "growth", "parent")
    rows.append(
        (
            Cell("the parents"),
            Cell(""),
            Cell(""),
            number(parents, [one.final_loss for one in parents]),
            Cell(""),
            Cell(""),
            score(parents),
        )
    )
    exact = of(ran, "growth", EXACT)
    for arm in growth_arms(scale):
        runs = of(ran, "growth", arm)
        first = number(runs, [one.first_loss for one in runs])
        jump = difference(runs, exact, [one.first_loss for one in runs], [one.first_loss for one in exact])
        final = [one.final_loss for one in runs]
        apart = Cell("") if arm == "scratch" else difference(runs, scratch, final, [one.final_loss for one in scratch])
        proofs = [one.proof["largest"] for one in runs if one.proof]
        proof = Cell(f"{max(proofs):.1g}", _names(runs)) if proofs else Cell("")
        rows.append((Cell(arm), first, jump, number(runs, final), apart, proof, score(runs)))
        if apart.text:
            said.append(_shown(f"{arm} against scratch, final validation loss", apart.text))
    note = (
        "First loss: of the first batch before any update, the same batch for all arms of a seed. Jump: its difference "
        f"from that of {EXACT}, which is the parent's own. Logits apart: the "
        "largest difference between parent and grown model (float64), 0 or rounding for a method that is exact."
    )
    columns = (
        "arm",
        "first loss",
        "jump",
        "final validation loss",
        "final loss against scratch",
        "logits apart",
        "score %",
    )
    return Table("2. Growth: before and after training", note, columns, tuple(rows), tuple(said))


def steps_to(run: Ran, loss: float) -> float:
    """The first validated step whose loss is no higher; infinity if none."""
    seen = (line for line in run.curve if "validation_loss" in line)
    return next((float(line["step"]) for line in seen if line["validation_loss"] <= loss), math.inf)


def speed_table(scale: Scale, ran: Sequence[Ran]) -> Table:
    """Study 2: steps and FLOPs until the scratch model's final loss, with and without the parent's FLOPs."""
    scratch = of(ran, "growth", "scratch")
    rows, nearest = [], (math.inf, "")
    for arm in growth_arms(scale):
        if arm == "scratch":
            continue
        runs = of(ran, "growth", arm)
        steps = [steps_to(run, base.final_loss) for run, base in zip(runs, scratch, strict=True)]
        shares = [one / scale.steps for one in steps]
        alone = [share * run.flops / base.flops for share, run, base in zip(shares, runs, scratch, strict=True)]
        both = [one + run.parent_flops / base.flops for one, run, base in zip(alone, runs, scratch, strict=True)]
        nearest = min(nearest, (statistics.median(shares), arm))
        each = " / ".join("never" if math.isinf(one) else f"{one:.0f}" for one in steps)
        rows.append((Cell(arm), Cell(each, _names(runs)), *(_median(runs, one) for one in (shares, alone, both))))
    share, arm = nearest
    told = (
        "not once in half of the seeds"
        if math.isinf(share)
        else f"in {share:.2f} of scratch's steps (median over seeds)"
    )
    verdict = "is reached" if share <= 1 / 3 else "is NOT reached at this scale"
    said = (
        f"The talk's factor of three (scratch's final loss in a third of the steps) {verdict}: the nearest arm, {arm}, "
        f"gets there {told}. A step is one of {scale.validate_every}, the interval of validation.",
        _head_start(scale, scratch, of(ran, "growth", "parent")),
    )
    note = f"Steps of {scale.steps} until the scratch model of the same seed has its final validation loss; by seed."
    columns = ("arm", "steps, by seed", "share of steps", "share of FLOPs", "share of FLOPs, parent's counted")
    return Table("3. Growth: how soon it is where scratch ends", note, columns, tuple(rows), said)


def _head_start(scale: Scale, scratch: Sequence[Ran], parents: Sequence[Ran]) -> str:
    """Why not sooner: what the parents had learnt, told in steps of the scratch models, bounds what they can save."""
    saved = statistics.median(
        steps_to(run, parent.final_loss) / scale.steps for run, parent in zip(scratch, parents, strict=True)
    )
    losses = over_seeds([parent.final_loss for parent in parents])[0]
    if math.isinf(saved):
        return f"The scratch models never reach the parents' loss ({losses:.3f}): the whole run is a head start."
    return (
        f"What was to be expected: the parents end at a loss of {losses:.3f}, where the scratch models are after "
        f"{saved:.2f} of their steps (median over seeds); a grown model that begins there and then learns no faster "
        f"than scratch needs {1 - saved:.2f} of them. The talk's third wants a parent that scratch reaches after 0.67."
    )


def _median(runs: Sequence[Ran], shares: Sequence[float]) -> Cell:
    """The middle of the seeds, with the lowest and the highest: some may never get there."""
    parts = [
        "never" if math.isinf(one) else f"{one:.2f}" for one in (statistics.median(shares), min(shares), max(shares))
    ]
    return Cell(f"{parts[0]} ({parts[1]} to {parts[2]}) n={len(shares)}", _names(runs))


def kinds_table(scale: Scale, ran: Sequence[Ran]) -> Table:
    """Study 2 by kind of text: does code lose where language gains, as from phi-1.5 to phi-2?"""
    scratch = of(ran, "growth", "scratch")
    rows, said = [], []
    for arm in growth_arms(scale):
        runs = of(ran, "growth", arm)
        cells = []
        for kind in KINDS:
            mine, base = ([one.losses[kind] for one in part] for part in (runs, scratch))
            cells.append(number(runs, mine) if arm == "scratch" else difference(runs, scratch, mine, base))
        rows.append((Cell(arm), *cells))
        if arm != "scratch":
            code, text = (
                statistics.fmean([one.losses[kind] for one in runs])
                - statistics.fmean([one.losses[kind] for one in scratch])
                for kind in ("code", "textbooks")
            )
            if code > 0 > text:
                said.append(
                    f"{arm}: code loses ({code:+.3f} nats) where language gains ({text:+.3f}), as in the talk's chart."
                )
    said = said or ["In no arm does code lose while language gains; the talk's chart has that from phi-1.5 to phi-2."]
    note = "Loss by kind of text: scratch's, then each arm's difference from it (negative is better), paired by seed."
    return Table("4. Growth by kind of text", note, ("arm", *KINDS), tuple(rows), tuple(said))


def chain_table(ran: Sequence[Ran]) -> Table:
    """Study 3: the chain."""
    links = [next(one for one in ran if one.rung.arm == "parent")] + [one for one in ran if one.rung.study == "chain"]
    rows = []
    for one in links:
        arm = "phi-1-small" if one.rung.arm == "parent" else one.rung.arm
        name = (one.rung.name,)
        grown = f"{one.rung.grow.method}, {one.rung.grow.depth}" if one.rung.grow else ""
        losses = (Cell(f"{one.losses[kind]:.3f}", name) for kind in KINDS)
        rows.append(
            (
                Cell(arm, name),
                Cell(f"{one.checkpoint.parameters:,}", name),
                Cell(grown),
                Cell(f"{one.first_loss:.3f}", name),
                *losses,
                score([one]),
            )
        )
    columns = ("model", "parameters", "grown by", "first loss", *(f"loss: {kind}" for kind in KINDS), "score %")
    note = "One seed: these rows have no interval over seeds, and a difference between two of them proves nothing."
    return Table("5. The chain", note, columns, tuple(rows))


def published_rows(models: Sequence[str]) -> list[tuple[str, float, float, float, int, str]]:
    """(model, percent, low, high, n, source) of published HumanEval bars, in this order."""
    from evals.stats.intervals import wilson
    from zoo.published import load

    by_model = {row.model: row for row in load() if row.benchmark == "humaneval"}
    found = []
    for model in models:
        row = by_model[model]
        assert row.n is not None  # a test holds that every bar named here has one
        ends = wilson(row.value * row.n / 100, row.n)
        found.append((model, row.value, 100 * ends.low, 100 * ends.high, row.n, row.source))
    return found


def published_table() -> Table:
    """The published bars beside which ours stand, with the intervals that they were printed without."""
    rows = [
        (Cell(model), Cell(f"{value:g} [{low:.1f}–{high:.1f}] n={n}"), Cell(source))
        for model, value, low, high, n, source in published_rows((*PUBLISHED_DATA, *PUBLISHED_GROWTH))
    ]
    note = "HumanEval pass@1 as published, one run each; the intervals are derived from n and were not printed."
    return Table("6. The published bars", note, ("model", "published %", "source"), tuple(rows))
