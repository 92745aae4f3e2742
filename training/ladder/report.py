"""Reads a ladder's results from the zoo into tables whose every number names the runs it comes from.

This file measures nothing. Intervals are over seeds (Student's t) for losses and steps, over seeds and samples for
scores, and Wilson's for published scores. Differences are paired by seed. Each finding says if no difference shows.
"""

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from training.ladder.rungs import DATA_ARMS, KINDS, Rung, Scale, growth_arms, kind_losses, run_of, rungs
from zoo.cli import output
from zoo.errors import ZooError
from zoo.records import Checkpoint, Record

if TYPE_CHECKING:
    from zoo.registry import Registry

# Published results of the same comparisons: HumanEval pass@1 in percent, of 164 problems (zoo/published/papers.csv).
PUBLISHED_DATA = (
    "350M unfiltered Stack+StackOverflow, 96k steps", "350M filtered subset, 36k steps",
    "350M on The Stack, 76B tokens (410 GPU h)", "350M on CodeTextbook, 76B tokens (410 GPU h) = phi-1-small-base",
    "phi-1-small (350M CodeTextbook->CodeExercises, 76B tokens)",
)  # fmt: skip
PUBLISHED_GROWTH = (
    "phi-1 from scratch, 12K steps", "phi-1 from scratch, 36K steps", "phi-1 WR, 12K steps", "phi-1 WR, 36K steps",
    "phi-1 WR+Tile, 12K steps", "phi-1 WR+Tile, 36K steps",
)  # fmt: skip
EXACT = "tile-exact, zero"  # the arm that starts as exactly its parent's function


class RungResult(Record, frozen=True, kw_only=True):
    """One finished rung and its records. scores: one for each sample, in the task's order."""

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


class LadderCell(Record, frozen=True):
    """A number as text and as (value, low, high), with the names of its runs (none: published, or a label)."""

    text: str
    runs: tuple[str, ...] = ()
    interval: tuple[float, float, float] = (math.nan, math.nan, math.nan)


class LadderTable(Record, frozen=True):
    """One table: its title, a note for the reader, its rows, and findings in words."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[LadderCell, ...], ...]
    findings: tuple[str, ...] = ()


class Report(Record, frozen=True, kw_only=True):
    """A whole ladder: its tables and the runs that they link to."""

    scale: Scale
    tables: tuple[LadderTable, ...]
    ran: tuple[RungResult, ...]


def gather(registry: "Registry", scale: Scale) -> Report:
    """Builds the report from the zoo. Raises ZooError for a rung that is not trained or scored yet."""
    ran = tuple(_read(registry, rung, scale) for rung in rungs(scale))
    tables = (data_table(ran), growth_table(scale, ran), speed_table(scale, ran), kinds_table(scale, ran))
    return Report(scale=scale, tables=(*tables, chain_table(ran), published_table()), ran=ran)


def _read(registry: "Registry", rung: Rung, scale: Scale) -> RungResult:
    from evals.run_folder import read_results
    from training import metrics
    from training.export import CURVES

    checkpoint = registry.get(rung.name)
    if not (run := run_of(registry, checkpoint, scale)):
        raise ZooError(f"{checkpoint.label} is not scored yet; continue with: phizoo train ladder --scale {scale.name}")
    results = read_results(registry.results(run))
    proof, spent = None, 0.0
    if rung.start:
        start = registry.get(rung.start)
        spent = start.training_flops or 0.0
        kept = registry.recipe(start.recipe_digest).get("grow") if start.recipe_digest else None
        proof = kept["proof"] if kept else None
    return RungResult(
        rung=rung, checkpoint=checkpoint, curve=tuple(metrics.read(registry.path(checkpoint) / CURVES)), eval_run=run,
        scores=tuple(result.score for result in results if result.score is not None),
        losses=kind_losses(registry, checkpoint), proof=proof, parent_flops=spent,
    )  # fmt: skip


def runs_of_arm(ran: Sequence[RungResult], study: str, arm: str) -> list[RungResult]:
    """The runs of one arm, sorted by seed."""
    return sorted((run for run in ran if (run.rung.study, run.rung.arm) == (study, arm)), key=lambda run: run.rung.seed)


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


def _names(runs: Sequence[RungResult]) -> tuple[str, ...]:
    return tuple(run.rung.name for run in runs)


def number(runs: Sequence[RungResult], values: Sequence[float], digits: int = 3) -> LadderCell:
    """A mean over seeds with its interval, linked to its runs."""
    mean, low, high = over_seeds(values)
    text = output.cell(mean, low, high, len(values), digits)
    return LadderCell(text, _names(runs), _round((mean, low, high), digits))


def _round(values: tuple[float, float, float], digits: int) -> tuple[float, float, float]:
    """The numbers as the text shows them, so that a chart and a finding agree with it."""
    value, low, high = (round(number, digits) for number in values)
    return value, low, high


def score(runs: Sequence[RungResult]) -> LadderCell:
    """The score in percent: over seeds and samples if there are several seeds, else with Wilson's interval."""
    from evals.stats.intervals import wilson
    from evals.stats.seeds import combine

    if len(runs) > 1:
        combined = combine([run.scores for run in runs])
        size = f"n={combined.n} x {combined.runs} seeds"
        value, low, high = 100 * combined.value, 100 * combined.low, 100 * combined.high
    else:
        correct, n = sum(runs[0].scores), len(runs[0].scores)
        interval = wilson(correct, n)
        value, low, high, size = 100 * (correct / n), 100 * interval.low, 100 * interval.high, f"n={n}"
    return LadderCell(f"{output.cell(value, low, high)} {size}", _names(runs), _round((value, low, high), 1))


def difference(
    runs: Sequence[RungResult], base: Sequence[RungResult], values: Sequence[float], others: Sequence[float]
) -> LadderCell:
    """The mean difference paired by seed, with its interval."""
    mean, low, high = over_seeds([a - b for a, b in zip(values, others, strict=True)])
    text = f"{mean:+.3f} [{low:+.3f} to {high:+.3f}] n={len(values)}"
    return LadderCell(text, (*_names(runs), *_names(base)), _round((mean, low, high), 3))


def scores_apart(runs: Sequence[RungResult], base: Sequence[RungResult]) -> LadderCell:
    """The difference of scores in points, on the same samples, each averaged over its seeds."""
    from evals.stats.paired import paired_difference

    means = [
        [statistics.fmean(column) for column in zip(*(run.scores for run in arm), strict=True)] for arm in (runs, base)
    ]
    apart = paired_difference(means[0], means[1])
    value, low, high = 100 * apart.value, 100 * apart.low, 100 * apart.high
    chance = f"p={apart.p:.3f}" if apart.p >= 0.001 else "p<0.001"
    text = f"{value:+.1f} [{low:+.1f} to {high:+.1f}] {chance}"
    return LadderCell(text, (*_names(runs), *_names(base)), _round((value, low, high), 1))


def data_table(ran: Sequence[RungResult]) -> LadderTable:
    """Study 1: what each step of the data ladder adds."""
    rows, findings = [], []
    before: list[RungResult] = []
    for arm in DATA_ARMS:
        runs = runs_of_arm(ran, "data", arm)
        apart = scores_apart(runs, before) if before else LadderCell("")
        kinds = (number(runs, [run.losses[kind] for run in runs]) for kind in KINDS)
        rows.append((LadderCell(arm), score(runs), apart, *kinds))
        if before:
            findings.append(_finding(f"{arm} against the arm before", apart))
        before = runs
    note = (
        "Score of the ladder's task and validation loss (nats a token) on the same held-out text for all. "
        "Published, HumanEval: 350M on unfiltered Stack 12, CodeTextbook 20, + CodeExercises 45 (P1, Figure 2.1)."
    )
    columns = ("data", "score %", "against the arm before, points", *(f"loss: {kind}" for kind in KINDS))
    return LadderTable("1. The data ladder", note, columns, tuple(rows), tuple(findings))


def _finding(comparison: str, cell: LadderCell) -> str:
    """One sentence: whether the interval of a difference leaves out zero."""
    low, high = cell.interval[1:]
    verdict = "the difference shows" if low > 0 or high < 0 else "no difference shows"
    return f"{comparison}: {verdict} ({cell.text})."


def growth_table(scale: Scale, ran: Sequence[RungResult]) -> LadderTable:
    """Study 2: each method's loss before and after training, and its score."""
    rows, findings = [], []
    scratch = runs_of_arm(ran, "growth", "scratch")
    parents = runs_of_arm(ran, "growth", "parent")
    empty = LadderCell("")
    loss = number(parents, [run.final_loss for run in parents])
    rows.append((LadderCell("the parents"), empty, empty, loss, empty, empty, score(parents)))
    exact = runs_of_arm(ran, "growth", EXACT)
    for arm in growth_arms(scale):
        runs = runs_of_arm(ran, "growth", arm)
        first = number(runs, [run.first_loss for run in runs])
        jump = difference(runs, exact, [run.first_loss for run in runs], [run.first_loss for run in exact])
        final = [run.final_loss for run in runs]
        apart = empty if arm == "scratch" else difference(runs, scratch, final, [run.final_loss for run in scratch])
        proofs = [run.proof["largest"] for run in runs if run.proof]
        proof = LadderCell(f"{max(proofs):.1g}", _names(runs)) if proofs else empty
        rows.append((LadderCell(arm), first, jump, number(runs, final), apart, proof, score(runs)))
        if apart.text:
            findings.append(_finding(f"{arm} against scratch, final validation loss", apart))
    note = (
        "First loss: of the first batch before any update, the same batch for all arms of a seed. Jump: its difference "
        f"from that of {EXACT}, which is the parent's own. Logits apart: the "
        "largest difference between parent and grown model (float64), 0 or rounding for a method that is exact."
    )
    columns = ("arm", "first loss", "jump", "final validation loss", "final loss against scratch", "logits apart",
               "score %")  # fmt: skip
    return LadderTable("2. Growth: before and after training", note, columns, tuple(rows), tuple(findings))


def steps_to(run: RungResult, loss: float) -> float:
    """The first validated step whose loss is no higher; infinity if none."""
    seen = (line for line in run.curve if "validation_loss" in line)
    return next((float(line["step"]) for line in seen if line["validation_loss"] <= loss), math.inf)


def speed_table(scale: Scale, ran: Sequence[RungResult]) -> LadderTable:
    """Study 2: steps and FLOPs to reach the scratch model's final loss, with and without the parent's FLOPs."""
    scratch = runs_of_arm(ran, "growth", "scratch")
    rows, nearest = [], (math.inf, "")
    for arm in growth_arms(scale):
        if arm == "scratch":
            continue
        runs = runs_of_arm(ran, "growth", arm)
        steps = [steps_to(run, base.final_loss) for run, base in zip(runs, scratch, strict=True)]
        shares = [value / scale.steps for value in steps]
        alone = [share * run.flops / base.flops for share, run, base in zip(shares, runs, scratch, strict=True)]
        both = [value + run.parent_flops / base.flops for value, run, base in zip(alone, runs, scratch, strict=True)]
        nearest = min(nearest, (statistics.median(shares), arm))
        each = " / ".join("never" if math.isinf(value) else f"{value:.0f}" for value in steps)
        rows.append(
            (
                LadderCell(arm),
                LadderCell(each, _names(runs)),
                *(_median_cell(runs, value) for value in (shares, alone, both)),
            )
        )
    share, arm = nearest
    reached = f"takes {share:.2f} of scratch's steps (median over seeds)"
    if math.isinf(share):
        reached = "does not get there in half of the seeds"
    verdict = "is reached" if share <= 1 / 3 else "is NOT reached at this scale"
    findings = (
        f"The talk's factor of three (scratch's final loss in a third of the steps) {verdict}: the nearest arm, {arm}, "
        f"{reached}. Steps are known to within {scale.validate_every}, the interval of validation.",
        _head_start(scale, scratch, runs_of_arm(ran, "growth", "parent")),
    )
    note = f"Steps of {scale.steps} until the scratch model of the same seed has its final validation loss; by seed."
    columns = ("arm", "steps, by seed", "share of steps", "share of FLOPs", "share of FLOPs, parent's counted")
    return LadderTable("3. Growth: steps to scratch's final loss", note, columns, tuple(rows), findings)


def _head_start(scale: Scale, scratch: Sequence[RungResult], parents: Sequence[RungResult]) -> str:
    """Bounds the possible saving: the parents' final loss, in steps of the scratch models."""
    saved = statistics.median(
        steps_to(run, parent.final_loss) / scale.steps for run, parent in zip(scratch, parents, strict=True)
    )
    losses = over_seeds([parent.final_loss for parent in parents])[0]
    if math.isinf(saved):
        return f"The scratch models never reach the parents' loss ({losses:.3f}): the whole run is a head start."
    return (
        f"Expected: the parents end at a loss of {losses:.3f}, which the scratch models reach after {saved:.2f} of "
        f"their steps (median over seeds). A grown model that starts there and learns no faster than scratch needs "
        f"{1 - saved:.2f} of the steps. The talk's third needs a parent whose loss scratch reaches after 0.67."
    )


def _median_cell(runs: Sequence[RungResult], shares: Sequence[float]) -> LadderCell:
    """The median of the seeds with the lowest and the highest; infinite shares read "never"."""
    parts = [
        "never" if math.isinf(share) else f"{share:.2f}"
        for share in (statistics.median(shares), min(shares), max(shares))
    ]
    return LadderCell(f"{parts[0]} ({parts[1]} to {parts[2]}) n={len(shares)}", _names(runs))


def kinds_table(scale: Scale, ran: Sequence[RungResult]) -> LadderTable:
    """Study 2 by kind of text: does code get worse while language gets better, as from phi-1.5 to phi-2?"""
    scratch = runs_of_arm(ran, "growth", "scratch")
    rows, findings = [], []
    for arm in growth_arms(scale):
        runs = runs_of_arm(ran, "growth", arm)
        cells = []
        for kind in KINDS:
            mine, base = ([run.losses[kind] for run in part] for part in (runs, scratch))
            cells.append(number(runs, mine) if arm == "scratch" else difference(runs, scratch, mine, base))
        rows.append((LadderCell(arm), *cells))
        if arm != "scratch":
            code, text = (
                statistics.fmean([run.losses[kind] for run in runs])
                - statistics.fmean([run.losses[kind] for run in scratch])
                for kind in ("code", "textbooks")
            )
            if code > 0 > text:
                findings.append(
                    f"{arm}: code gets worse ({code:+.3f} nats) while language gets better ({text:+.3f}), as in the "
                    "talk's chart."
                )
    findings = findings or [
        "No arm loses on code while it gains on language, as the talk's chart has from phi-1.5 to phi-2."
    ]
    note = "Loss by kind of text: scratch's, then each arm's difference from it (negative is better), paired by seed."
    return LadderTable("4. Growth by kind of text", note, ("arm", *KINDS), tuple(rows), tuple(findings))


def chain_table(ran: Sequence[RungResult]) -> LadderTable:
    """Study 3: the chain."""
    links = [next(run for run in ran if run.rung.arm == "parent")] + [run for run in ran if run.rung.study == "chain"]
    rows = []
    for run in links:
        arm = "phi-1-small" if run.rung.arm == "parent" else run.rung.arm
        name = (run.rung.name,)
        grown = f"{run.rung.grow.method}, {run.rung.grow.depth}" if run.rung.grow else ""
        losses = (LadderCell(f"{run.losses[kind]:.3f}", name) for kind in KINDS)
        numbers = (LadderCell(text, name) for text in (arm, f"{run.checkpoint.parameters:,}"))
        rows.append((*numbers, LadderCell(grown), LadderCell(f"{run.first_loss:.3f}", name), *losses, score([run])))
    columns = ("model", "parameters", "grown by", "first loss", *(f"loss: {kind}" for kind in KINDS), "score %")
    note = "One seed: these rows have no interval over seeds, and a difference between two of them proves nothing."
    return LadderTable("5. The chain", note, columns, tuple(rows))


def published_rows(models: Sequence[str]) -> list[tuple[str, float, float, float, int, str]]:
    """(model, percent, low, high, n, source) of published HumanEval scores, in the order given."""
    from evals.stats.intervals import wilson
    from zoo.published import load

    by_model = {row.model: row for row in load() if row.benchmark == "humaneval"}
    rows = []
    for model in models:
        row = by_model[model]
        assert row.n is not None  # a test checks that each model named here has one
        ends = wilson(row.value * row.n / 100, row.n)
        rows.append((model, row.value, 100 * ends.low, 100 * ends.high, row.n, row.source))
    return rows


def published_table() -> LadderTable:
    """The published scores, with the intervals that the papers did not print."""
    rows = [
        (LadderCell(model), LadderCell(output.cell(f"{value:g}", low, high, n)), LadderCell(source))
        for model, value, low, high, n, source in published_rows((*PUBLISHED_DATA, *PUBLISHED_GROWTH))
    ]
    note = "HumanEval pass@1 as published, one run each; the intervals are computed from n and were not published."
    return LadderTable("6. Published scores", note, ("model", "published %", "source"), tuple(rows))
