"""Reads a ladder's results from the zoo into tables whose every number names the runs it comes from.

This file measures nothing; `measures` says what an interval covers, `claims` what the talk's claims come to. Intervals
of published scores are Wilson's. Each finding says if no difference shows.
"""

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.ladder.claims import claims_table
from training.ladder.measures import (
    DIGITS,
    EMPTY,
    LadderCell,
    LadderTable,
    RungResult,
    bits,
    bits_apart,
    difference,
    finding,
    names_of,
    number,
    over_seeds,
    runs_of_arm,
    score,
    scores_apart,
)
from training.ladder.rungs import KINDS, Rung, Scale, data_arms, growth_arms, kind_bits, run_of, rungs
from zoo.cli import output
from zoo.errors import ZooError
from zoo.records import Record

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


class Report(Record, frozen=True, kw_only=True):
    """A whole ladder: its tables and the runs that they link to."""

    scale: Scale
    tables: tuple[LadderTable, ...]
    ran: tuple[RungResult, ...]


def gather(registry: "Registry", scale: Scale) -> Report:
    """Builds the report from the zoo. Raises ZooError for a rung that is not trained or scored yet."""
    ran = tuple(_read(registry, rung, scale) for rung in rungs(scale))
    return Report(scale=scale, tables=tables_of(scale, ran), ran=ran)


def tables_of(scale: Scale, ran: Sequence[RungResult]) -> tuple[LadderTable, ...]:
    """The tables of finished runs, the talk's claims first."""
    measured = (claims_table(scale, ran), data_table(scale, ran), growth_table(scale, ran), speed_table(scale, ran))
    return (*measured, kinds_table(scale, ran), chain_table(scale, ran), published_table())


def _read(registry: "Registry", rung: Rung, scale: Scale) -> RungResult:
    from evals.run_folder import read_results
    from training import metrics
    from training.export import CURVES

    checkpoint = registry.get(rung.name)
    evals = {name: run_of(registry, checkpoint, name) for name in scale.tasks}
    if missing := next((name for name, run in evals.items() if not run), ""):
        raise ZooError(
            f"{checkpoint.label} is not scored on {missing} yet; "
            f"continue with: phizoo train ladder --scale {scale.name}"
        )

    def values(name: str) -> dict[str, float]:
        results = read_results(registry.results(evals[name]))
        return {result.sample: result.score for result in results if result.score is not None}

    proof, spent = None, 0.0
    if rung.start:
        start = registry.get(rung.start)
        spent = start.training_flops or 0.0
        kept = registry.recipe(start.recipe_digest).get("grow") if start.recipe_digest else None
        proof = kept["proof"] if kept else None
    return RungResult(
        rung=rung, checkpoint=checkpoint, curve=tuple(metrics.read(registry.path(checkpoint) / CURVES)), evals=evals,
        scores=values(scale.task), bits={kind: values(name) for kind, name in scale.bits.items()},
        kinds=kind_bits(registry, checkpoint), proof=proof, parent_flops=spent,
    )  # fmt: skip


def data_table(scale: Scale, ran: Sequence[RungResult]) -> LadderTable:
    """Study 1: what each step of the data ladder adds."""
    rows, findings = [], []
    before: list[RungResult] = []
    for arm in data_arms(scale):
        runs = runs_of_arm(ran, "data", arm)
        apart = scores_apart(runs, before)[0] if before else EMPTY
        gold = [cell for kind in scale.bits for cell in (bits(runs, kind), _step(runs, before, kind))]
        held = (number(runs, [run.kinds[kind] for run in runs], DIGITS) for kind in KINDS)
        rows.append((LadderCell(arm), score(runs), apart, *gold, *held))
        if before:
            findings.append(finding(f"{arm} against the arm before, score", apart))
            findings += [
                finding(
                    f"{arm} against the arm before, bits per byte of gold {kind}", bits_apart(runs, before, kind)[0]
                )
                for kind in scale.bits
            ]
        before = runs
    note = (
        "Score of the ladder's task; bits per byte of gold answers, and of the same held-out text for all (less is "
        "better). "
        "Published, HumanEval: 350M on unfiltered Stack 12, CodeTextbook 20, + CodeExercises 45 (P1, Figure 2.1)."
    )
    gold_columns = (name for kind in scale.bits for name in (f"gold {kind}", f"{kind}: against the arm before"))
    columns = ("data", "score %", "against the arm before, points", *gold_columns, *(f"held-out {k}" for k in KINDS))
    return LadderTable("2. The data ladder", note, columns, tuple(rows), tuple(findings))


def _step(runs: Sequence[RungResult], before: Sequence[RungResult], kind: str) -> LadderCell:
    return bits_apart(runs, before, kind)[0] if before else EMPTY


def growth_table(scale: Scale, ran: Sequence[RungResult]) -> LadderTable:
    """Study 2: each method's loss before and after training, its bits per byte and its score."""
    rows, findings = [], []
    scratch = runs_of_arm(ran, "growth", "scratch")
    parents = runs_of_arm(ran, "growth", "parent")
    loss = number(parents, [run.final_loss for run in parents])
    gold = [bits(parents, kind) for kind in scale.bits]
    rows.append((LadderCell("the parents"), EMPTY, EMPTY, loss, EMPTY, EMPTY, *gold, score(parents)))
    exact = runs_of_arm(ran, "growth", EXACT)
    for arm in growth_arms(scale):
        runs = runs_of_arm(ran, "growth", arm)
        first = number(runs, [run.first_loss for run in runs])
        jump = difference(runs, exact, [run.first_loss for run in runs], [run.first_loss for run in exact])
        final = [run.final_loss for run in runs]
        apart = EMPTY if arm == "scratch" else difference(runs, scratch, final, [run.final_loss for run in scratch])
        proofs = [run.proof["largest"] for run in runs if run.proof]
        proof = LadderCell(f"{max(proofs):.1g}", names_of(runs)) if proofs else EMPTY
        gold = [bits(runs, kind) if arm == "scratch" else bits_apart(runs, scratch, kind)[0] for kind in scale.bits]
        rows.append((LadderCell(arm), first, jump, number(runs, final), apart, proof, *gold, score(runs)))
        if apart.text:
            findings.append(finding(f"{arm} against scratch, final validation loss", apart))
    note = (
        "First loss: of the first batch before any update, the same batch for all arms of a seed. Jump: its difference "
        f"from that of {EXACT}, which is the parent's own. Logits apart: the "
        "largest difference between parent and grown model (float64), 0 or rounding for a method that is exact. "
        "Gold: bits per byte of gold answers, of the parents and scratch their own, of others the difference from "
        "scratch's."
    )
    columns = ("arm", "first loss", "jump", "final validation loss", "final loss against scratch", "logits apart",
               *(f"gold {kind}" for kind in scale.bits), "score %")  # fmt: skip
    return LadderTable("3. Growth: before and after training", note, columns, tuple(rows), tuple(findings))


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
                LadderCell(each, names_of(runs)),
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
    return LadderTable("4. Growth: steps to scratch's final loss", note, columns, tuple(rows), findings)


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
    return LadderCell(f"{parts[0]} ({parts[1]} to {parts[2]}) n={len(shares)}", names_of(runs))


def kinds_table(scale: Scale, ran: Sequence[RungResult]) -> LadderTable:
    """Study 2 by kind of text: does code get worse while language gets better, as from phi-1.5 to phi-2?"""
    scratch = runs_of_arm(ran, "growth", "scratch")
    rows, findings = [], []
    for arm in growth_arms(scale):
        runs = runs_of_arm(ran, "growth", arm)
        cells = []
        for kind in KINDS:
            mine, base = ([run.kinds[kind] for run in part] for part in (runs, scratch))
            cells.append(number(runs, mine) if arm == "scratch" else difference(runs, scratch, mine, base))
        rows.append((LadderCell(arm), *cells))
        if arm != "scratch":
            code, text = (
                statistics.fmean([run.kinds[kind] for run in runs])
                - statistics.fmean([run.kinds[kind] for run in scratch])
                for kind in ("code", "textbooks")
            )
            if code > 0 > text:
                findings.append(
                    f"{arm}: code gets worse ({code:+.3f} bits a byte) while language gets better ({text:+.3f}), as in "
                    "the talk's chart."
                )
    findings = findings or [
        "No arm loses on code while it gains on language, as the talk's chart has from phi-1.5 to phi-2."
    ]
    note = (
        "Bits per byte of held-out text by kind: scratch's, then each arm's difference from it (negative is better), "
        "paired by seed."
    )
    return LadderTable("5. Growth by kind of text", note, ("arm", *KINDS), tuple(rows), tuple(findings))


def chain_table(scale: Scale, ran: Sequence[RungResult]) -> LadderTable:
    """Study 3: the chain, each model beside the one before it."""
    rows = []
    before: list[RungResult] = []
    for arm, study in {"phi-1-small": "growth", "phi-1": "chain", "phi-1.5": "chain", "phi-2": "chain"}.items():
        runs = runs_of_arm(ran, study, "parent" if study == "growth" else arm)
        names = tuple(run.rung.name for run in runs)
        growth = runs[0].rung.grow
        numbers = (LadderCell(text, names) for text in (arm, f"{runs[0].checkpoint.parameters:,}"))
        grown = LadderCell(f"{growth.method}, {growth.depth}" if growth else "")
        gold = [cell for kind in scale.bits for cell in (bits(runs, kind), _step(runs, before, kind))]
        held = (number(runs, [run.kinds[kind] for run in runs], DIGITS) for kind in KINDS)
        rows.append((*numbers, grown, number(runs, [run.first_loss for run in runs]), *gold, *held, score(runs)))
        before = runs
    gold_columns = (name for kind in scale.bits for name in (f"gold {kind}", f"{kind}: against the model before"))
    columns = (
        "model",
        "parameters",
        "grown by",
        "first loss",
        *gold_columns,
        *(f"held-out {k}" for k in KINDS),
        "score %",
    )
    note = (
        "Means over seeds; each model starts from the one before it of the same seed. Less is better for bits per byte."
    )
    return LadderTable("6. The chain", note, columns, tuple(rows))


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
    return LadderTable("7. Published scores", note, ("model", "published %", "source"), tuple(rows))
