"""A model's completions: the verdicts of a run beside plain Python's on the published tests.

Plain Python runs prompt, completion, test and check call as one text in an interpreter of its own (`mutants_plain.py`),
with limits. Every difference is printed, with why the sandbox failed it:

    phizoo eval run MODEL --task humaneval@bigcode-greedy,mbpp@bigcode-greedy --draws 4 --temperature 0.8
    python tests/bench/completions_plain.py RUN...

RUN is the folder of a run below PHIZOO_HOME, runs/.
"""

import argparse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutants_plain import plain

from evals.sandbox import Program


def main() -> None:
    """Prints how often both agree, and every difference."""
    from evals import run_folder
    from evals.results.task_of_run import task_of_run

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    for place in parser.parse_args().runs:
        header, results = run_folder.read_header(place), run_folder.read_results(place / "results.jsonl")
        task = task_of_run(header)
        samples = {sample.id: sample for sample in task.samples()}
        assert task.program is not None
        programs = [task.program(samples[one.sample], one.answer or "") for one in results]

        def judged(program: Program) -> str:
            row = {"entry_point": program.entry_point, "test": program.test, "form": program.form}
            return plain(row, program.prompt + program.completion)

        with ThreadPoolExecutor(2) as pool:
            theirs = list(pool.map(judged, programs))
        pairs = Counter((one.verdict, other) for one, other in zip(results, theirs, strict=True))
        disputed = sum(one.disputed for one in results)
        print(f"{header.id[:12]} {task.name}@{task.protocol}: {len(results)} completions, {disputed} disputed")
        for (ours, other), count in sorted(pairs.items()):
            print(f"  ours {ours}, plain Python {other}: {count}")
        for one, other in zip(results, theirs, strict=True):
            if (one.verdict == "passed") != (other == "passed"):
                print(f"  differs: {one.sample} draw {one.draw}: ours {one.verdict}, plain {other}: {one.detail}")


if __name__ == "__main__":
    main()
