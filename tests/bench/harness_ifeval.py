"""lm-evaluation-harness 0.4.13's own verifiers of IFEval over answers of ours: one JSON request a line.

Run by the harness's own Python (tests/bench/parity_ifeval.py), never imported. Arguments: the seed of langdetect, or
"none" to leave it unseeded, as the harness does.
{"key": 1, "prompt": ..., "kinds": [...], "kwargs": [{...}, ...], "texts": [...]}
-> [[[strict of each instruction], [loose of each]], ...], one pair a text
"""

import json
import logging
import sys

import langdetect
from lm_eval.tasks.ifeval import instructions, utils

if sys.argv[1] != "none":
    langdetect.DetectorFactory.seed = int(sys.argv[1])
logging.disable(logging.CRITICAL)
LETTERS = instructions.LetterFrequencyChecker.build_description


def keep_letter(self, *, letter=None, **rest):
    """Its own, but for a sign in place of a letter: it draws a random letter then; here a fixed one, so that runs agree."""
    LETTERS(self, letter=letter if letter.isalpha() else "z", **rest)


instructions.LetterFrequencyChecker.build_description = keep_letter
answers = sys.stdout
sys.stdout = sys.stderr
for line in sys.stdin:
    told = json.loads(line)
    read = utils.InputExample(
        key=told["key"], prompt=told["prompt"], instruction_id_list=told["kinds"], kwargs=told["kwargs"]
    )
    verdicts = [
        [
            utils.test_instruction_following_strict(read, text).follow_instruction_list,
            utils.test_instruction_following_loose(read, text).follow_instruction_list,
        ]
        for text in told["texts"]
    ]
    answers.write(json.dumps(verdicts) + "\n")
    answers.flush()
