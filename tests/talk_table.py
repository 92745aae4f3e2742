"""The talk's tables as rows of published numbers, to compare with the leaderboard."""

from collections.abc import Iterable
from typing import Literal

from zoo.published import COMPARISON, HEADLINE, LABELS, WEIGHT_REUSE, load
from zoo.records import Record, Reported

Part = Literal["comparison", "weight reuse"]


class TalkRow(Record, frozen=True):
    """One row of the talk's tables: a model with its HumanEval and MBPP numbers, None where none was printed."""

    label: str
    model: str
    date: str
    parameters: float | None
    unique_tokens: float | None
    training_tokens: float | None
    humaneval: Reported | None
    mbpp: Reported | None
    part: Part


def talk_table() -> tuple[TalkRow, ...]:
    """Every row of the talk's comparison table in its order, then those of its weight-reuse chart.

    Source  "The Surprising Power of Small Language Models", NeurIPS 2023 slides 83968; the first part
            is Table 1 of arXiv 2306.11644v2 with Code Llama 34B added. The chart's phi-1 (36K steps,
            51.2) is another checkpoint than the published phi-1 (24K steps, 50.6): two rows.
    """
    compared = [row for row in load() if row.source.startswith(COMPARISON)]
    reused = [row for row in load() if row.source.startswith(WEIGHT_REUSE)]
    return (*_by_model(compared, "comparison"), *_by_model(reused, "weight reuse"))


def headline() -> tuple[TalkRow, ...]:
    """The talk's claim in three rows: Code Llama 34B, Phi-1, Phi-1 (WR + Tile)."""
    rows = {row.model: row for row in talk_table()}
    return tuple(rows[model] for model in HEADLINE)


def _by_model(rows: Iterable[Reported], part: Part) -> list[TalkRow]:
    grouped: dict[str, dict[str, Reported]] = {}
    for row in rows:
        grouped.setdefault(row.model, {})[row.benchmark] = row
    table = []
    for model, cells in grouped.items():
        first = next(iter(cells.values()))
        table.append(
            TalkRow(
                label=LABELS.get(model, model),
                model=model,
                date=first.date,
                parameters=first.parameters,
                unique_tokens=first.unique_tokens,
                training_tokens=first.training_tokens,
                humaneval=cells.get("humaneval"),
                mbpp=cells.get("mbpp"),
                part=part,
            )
        )
    return table
