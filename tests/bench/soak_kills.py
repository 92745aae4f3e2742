"""Kills a training run at random moments and shows that nothing changed: digests of weights and curves.

    python tests/bench/soak_kills.py [--kills 30] [--seed 7]

A run with everything that could be lost: two sources mixed 2 to 1, several epochs of each, dropout,
warm-up and decay, gradient clipping, a validation loss that chooses the best step, a state each second step.
First at random moments, then at the edges of epochs. Exit code 1 if one result differs from the undisturbed one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

DRIVER = Path(__file__).parents[1] / "training" / "kill_driver.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    equal = True
    for title, extra in (("random moments", []), ("epoch edges", ["edges"])):
        with tempfile.TemporaryDirectory() as place:
            command = [sys.executable, str(DRIVER), place, str(asked.kills), str(asked.seed), *extra]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            told = json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
        same = sum(result == told["undisturbed"] for result in told["results"])
        writing = sum("writing" in at for at in told["at"])
        print(f"{title}: {told['killed']} SIGKILLs ({writing} while a state was being written), after steps")
        print("  " + " ".join(at.split()[0] for at in told["at"]))
        print(
            f"  {same} of {len(told['results'])} killed runs end with the undisturbed digest {told['undisturbed'][:16]}"
        )
        equal = equal and same == len(told["results"])
    sys.exit(not equal)


if __name__ == "__main__":
    main()
