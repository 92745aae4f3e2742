"""IFEval's verifiers against lm-evaluation-harness 0.4.13's own, on made answers, no model needed (`make parity`).

    LM_EVAL_PYTHON=lm-eval/bin/python python tests/bench/parity_ifeval.py [--prompts 541] [--run FOLDER]

Each prompt gets answers that follow it, miss it by little, or have nothing to do with it; --run adds a run's saved
texts. Every instruction of every answer is judged strictly and loosely by both sides. A difference that `EXPLAINED`
does not name ends the script with 1. The harness leaves langdetect unseeded: it is compared under our seed, and then
once more as it is, which shows how many of its own verdicts are a matter of chance.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from parity_readings import saved
from peers import parse_with_harness
from rows import row

from evals.scoring import language
from evals.scoring.instruction_answers import LANGUAGES
from evals.scoring.instructions import follows, follows_loosely
from evals.tasks.ifeval import PROTOCOLS, gold, instructions, samples

MARKDOWN = (
    "# Heading\n\nSure! Here is **one bold part** and *another*.\n\n* first\n* second\n- third\n\n***\n\n"
    "## Section 1\n[link](x) and [name]\n\n---\n> quoted, with a comma\n\n```json\n{\"a\": 1}\n```\nP.S. done"
)  # fmt: skip
PILES = (
    'Wow!!! Mr. Smith Jr. paid $3.50 at 5 p.m. in the U.S. today... "Really?" he said. I DON\'T KNOW! A.B. C-D (E.F.) '
    "e.g. NASA's I'M \"OK.\" \u201cQuoted.\u201d Yes?! No... 1. One 2. Two\n- \n*\n* \n** bold\n*x*y*z* ** ** *** a ******"
)
MARKS = (
    "P.S. x",
    "p.s x",
    "P. S. x",
    "P.P.S x",
    "P.P.S. x",
    "p. p. s x",
    "PS x",
    "<<t>>",
    "<< >>",
    "<<a>> <<b>>",
    "[a][b]",
)
EXPLAINED = {
    "a sign": "letter_frequency of `#` and `!`: the harness draws a random letter instead of the sign",
}


class Verdict(NamedTuple):
    """One instruction of one answer: its kind, and both sides' strict and loose verdicts."""

    kind: str
    arguments: dict[str, Any]
    text: str
    ours: tuple[bool, bool]
    theirs: tuple[bool, bool]


def answers(sample: Any, other: str, draw: random.Random) -> Iterator[str]:
    """Answers as a model might write them to a prompt, and some that none would."""
    right = gold(sample) or sample.question
    words = right.split(" ")
    place = draw.randrange(len(words))
    yield from (
        right,
        right.upper(),
        right.lower(),
        right.replace(",", ""),
        f"{right},",
        right.strip('"'),
        f'"{right}"',
    )
    yield from (" ".join(words[:place]), " ".join(words[place:]), " ".join([*words[:place], "no", *words[place:]]))
    yield from (
        right.replace(". ", " "),
        right.replace("! ", ". "),
        right.replace("\n", "\n\n"),
        right.replace("\n\n", "\n"),
    )
    yield from (f"Sure! Here it is:\n{right}", f"{right}\n\nI hope this helps, friend!", f"**Sure**\n{right}\n*Bye*")
    yield from (
        f"```json\n{right}\n```",
        f"***\n{right}\n***",
        f"{right}\n******\n{right}",
        f"{right}\n******\n{other}",
    )
    yield from (
        f"* {right}\n* {right}",
        f"- {right}\n\n- {right}",
        f"{right}\n{draw.choice(MARKS)}",
        f"My answer is yes. {right}",
    )
    yield from ("", " \n ", "12345 67", ".", other, sample.question, f"{sample.question}\n{right}", MARKDOWN, PILES)
    yield draw.choice(list(LANGUAGES.values()))
    yield f"{draw.choice(list(LANGUAGES.values()))} {other}"
    yield "".join(draw.choice("aB .!?\n*-#[]<>\"',é漢1") for _ in range(draw.randrange(1, 300)))
    yield " ".join(draw.choice(PILES.split()) for _ in range(draw.randrange(1, 60)))


def write_tables(folder: Path) -> None:
    """nltk's English sentence tables in its own files, from the package that ships them: nltk would download them."""
    from punkt.data import english

    place = folder / "tokenizers" / "punkt_tab" / "english"
    place.mkdir(parents=True)
    (place / "abbrev_types.txt").write_text("\n".join(english.ABBREV_TYPES), encoding="utf-8")
    (place / "sent_starters.txt").write_text("\n".join(english.SENT_STARTERS), encoding="utf-8")
    (place / "collocations.tab").write_text("\n".join(map("\t".join, english.COLLOCATIONS)), encoding="utf-8")
    context = "\n".join(f"{word}\t{number}" for word, number in english.ORTHO_CONTEXT.items())
    (place / "ortho_context.tab").write_text(context, encoding="utf-8")


def asked(python: str, seed: str, made: dict[str, list[str]], scratch: Path) -> list[list[list[list[bool]]]]:
    """The harness's verdicts on all answers, prompt by prompt."""
    requests = "".join(
        json.dumps(
            {"key": 0, "prompt": sample.question, "kinds": sample.target, "kwargs": sample.data["arguments"], "texts": made[sample.id]}
        ) + "\n"
        for sample in samples()
        if sample.id in made
    )  # fmt: skip
    script = Path(__file__).with_name("harness_ifeval.py")
    environment = {**os.environ, "NLTK_DATA": str(scratch), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([python, str(script), seed], input=requests, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"the harness ended ({done.returncode}): {done.stderr[-600:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def compared(made: dict[str, list[str]], theirs: list[list[list[list[bool]]]]) -> Iterator[Verdict]:
    """Both sides' verdicts on each instruction of each answer."""
    chosen = [sample for sample in samples() if sample.id in made]
    for sample, verdicts in zip(chosen, theirs, strict=True):
        for text, (strict, loose) in zip(made[sample.id], verdicts, strict=True):
            for place, (kind, arguments) in enumerate(instructions(sample)):
                own = (follows(kind, text, arguments), follows_loosely(kind, text, arguments))
                yield Verdict(kind, arguments, text, own, (strict[place], loose[place]))


def explained(verdict: Verdict) -> str:
    """The entry of EXPLAINED that covers a difference; "" if none does."""
    return "a sign" if not str(verdict.arguments.get("letter", "a")).isalpha() else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=PROTOCOLS["lm-eval"].size)
    parser.add_argument("--run", type=Path, help="a run's folder whose saved texts are judged too")
    given = parse_with_harness(parser)
    language.check_libraries()
    draw, texts = random.Random(0), saved(given.run)
    chosen = list(samples())[: given.prompts]
    others = [gold(sample) or sample.question for sample in chosen]
    made = {
        sample.id: list(dict.fromkeys([*answers(sample, others[place - 1], draw), *texts.get(sample.id, [])]))
        for place, sample in enumerate(chosen)
    }
    with tempfile.TemporaryDirectory() as scratch:
        write_tables(Path(scratch))
        theirs = asked(given.lm_eval, str(language.SEED), made, Path(scratch))
        unseeded = asked(given.lm_eval, "none", made, Path(scratch))
    verdicts = list(compared(made, theirs))
    different = [verdict for verdict in verdicts if verdict.ours != verdict.theirs]
    open_ones = [verdict for verdict in different if not explained(verdict)]
    chance = sum(a != b for one, other in zip(theirs, unseeded, strict=True) for a, b in zip(one, other, strict=True))
    count = sum(map(len, made.values()))
    both = Counter(verdict.kind for verdict in verdicts)
    passed = Counter(verdict.kind for verdict in verdicts if verdict.theirs[0])
    for kind, number in sorted(both.items()):
        wrong = sum(verdict.kind == kind for verdict in different)
        print(f"{kind:48s} {number:6,} verdicts, {passed[kind]:6,} followed, {wrong} differ")
    for name, why in EXPLAINED.items():
        print(f"explained, {sum(explained(verdict) == name for verdict in different)} differ: {why}")
    for verdict in open_ones[:20]:
        print(f"DIFFERS {verdict.kind} {verdict.arguments} {verdict.ours} {verdict.theirs} {verdict.text[:300]!r}")
    print(f"{chance} of {count:,} answers got other verdicts of the harness without a seed")
    figure = f"{count:,} answers, {len(verdicts):,} instructions, {len(open_ones)} differ, {len(different) - len(open_ones)} explained"
    print(figure, flush=True)
    row("verifiers of IFEval, strict and loose", peer="lm-evaluation-harness", figure=figure, target="0 differ unexplained",
        note=f"its own verdicts change on {chance} answers from run to run: langdetect is not seeded")  # fmt: skip
    sys.exit(1 if open_ones else 0)


if __name__ == "__main__":
    main()
