"""What the benches against lm-evaluation-harness have in common: the peer's Python and the data sets."""

import argparse
import os
import sys
from pathlib import Path

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "evals"


def use_shared_data() -> None:
    """Reads the data sets beside the checkout, where they are and PHIZOO_DATA names no others."""
    if SHARED.is_dir():
        os.environ.setdefault("PHIZOO_DATA", str(SHARED))


def parse_with_harness(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments, `lm_eval` the harness's Python among them; ends with 0 and a line where there is none."""
    parser.add_argument("--lm-eval", default=os.environ.get("LM_EVAL_PYTHON"), help="the Python that has lm_eval")
    given = parser.parse_args()
    if not given.lm_eval:
        print("skipped: no --lm-eval PYTHON (or LM_EVAL_PYTHON); bench_engines.py says how to make it")
        sys.exit()
    use_shared_data()
    return given
