"""SQuAD's scores against the evaluation script that transformers 4 kept, sample by sample, no model needed.

    pip download --no-deps transformers==4.40.2 && python tests/bench/parity_squad.py transformers-4.40.2-py3-none-any.whl

Every question of both sets gets answers that a model might write: each accepted one, in other case and punctuation,
with articles, cut, doubled, of another question, nothing. Exact match and F1 of each are compared, and over each
set the totals of the questions with and without an answer, best_exact and best_f1. Ends with 1 where one differs.
"""

import random
import sys
import types
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from peers import use_shared_data


class Example(NamedTuple):
    """A question as the script reads it."""

    qas_id: str
    answers: list[dict[str, str]]


def script(wheel: Path) -> Any:
    """The script as a module, without what it imports from its package (a tokenizer it does not need here)."""
    text = zipfile.ZipFile(wheel).read("transformers/data/metrics/squad_metrics.py").decode()
    module = types.ModuleType("squad_metrics")
    kept = [line for line in text.splitlines() if not line.startswith("from ...")]
    names: dict[str, Any] = {"BasicTokenizer": None, "logging": types.SimpleNamespace(get_logger=lambda _name: None)}
    module.__dict__.update(names)
    exec(compile("\n".join(kept), str(wheel), "exec"), module.__dict__)
    return module


def answers(accepted: list[str], other: str, draw: random.Random) -> list[str]:
    """What a model might write to a question with these accepted answers."""
    made = ["", " ", ".", "the", "unanswerable", other, f"The {other}"]
    for gold in dict.fromkeys(accepted):
        words = gold.split()
        made += [
            gold, f" {gold.upper()}.", f"the {gold}", f"{gold}, an answer", f"“{gold}”", gold.replace(" ", "  "),
            gold.replace(" ", "-"), gold[: len(gold) // 2], f"{gold} {gold}", " ".join(words[::-1]), f"a an the {gold}!",
            f"{draw.choice(words)} {other}" if words else other, f"{gold}\u00a0x", f"{gold}’s",
        ]  # fmt: skip
    return made


def compared(theirs: Any, name: str) -> bool:
    """Prints one line for a set; whether nothing differs."""
    from evals.datasets.load import rows
    from evals.scoring.answer import exact_and_f1
    from evals.scoring.squad_threshold import at_best_threshold

    held = [(row["id"], list(row["answers"])) for row in rows(name, split="validation")]
    draw = random.Random(0)
    golds = [gold for _, accepted in held for gold in accepted]
    texts = [answers(accepted, draw.choice(golds), draw) for _, accepted in held]
    examples = [Example(identity, [{"text": gold} for gold in accepted]) for identity, accepted in held]
    readings = differ = 0
    for example, (_, accepted), made in zip(examples, held, texts, strict=True):
        for text in made:
            exact, f1 = theirs.get_raw_scores([example], {example.qas_id: text})
            mine = exact_and_f1(text, accepted)
            readings += 1
            if mine != (exact[example.qas_id], f1[example.qas_id]):
                differ += 1
                print(f"  {text!r} for {accepted}: ours {mine}, theirs {exact} {f1}") if differ < 6 else None
    told = [draw.choice(made) for made in texts]
    whole = theirs.squad_evaluate(examples, {one.qas_id: text for one, text in zip(examples, told, strict=True)})
    for part, wanted in (("", None), ("HasAns_", True), ("NoAns_", False)):
        some = [exact_and_f1(t, a) for t, (_, a) in zip(told, held, strict=True) if wanted in (None, bool(a))]
        for place, metric in enumerate(("exact", "f1")):
            if some:
                readings += 1
                differ += abs(100 * sum(one[place] for one in some) / len(some) - whole[part + metric]) > 1e-9
    probabilities = [round(draw.random(), 2) for _ in told]  # many are equal
    by_id = {one.qas_id: text for one, text in zip(examples, told, strict=True)}
    odds = dict(zip(by_id, probabilities, strict=True))
    whole = theirs.squad_evaluate(examples, by_id, odds)
    for place, metric in enumerate(("best_exact", "best_f1")):
        mine_scores = [exact_and_f1(text, accepted)[place] for text, (_, accepted) in zip(told, held, strict=True)]
        best = at_best_threshold(mine_scores, probabilities, [bool(accepted) for _, accepted in held], told)
        readings += 1
        differ += abs(100 * sum(best) / len(best) - whole[metric]) > 1e-9
    print(f"{name}: {len(held)} questions, {readings} readings, {differ} differ", flush=True)
    return differ == 0


def main() -> int:
    """Prints a line a set; 1 when one differs."""
    if len(sys.argv) < 2:
        print("skipped: give the wheel, see this file's head")
        return 0
    use_shared_data()
    theirs = script(Path(sys.argv[1]))
    agreed = [compared(theirs, name) for name in ("squad", "squad_v2")]
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
