"""Kills `phizoo eval run NAME --task suite:all --limit N` at random moments, and shows that nothing changed.

    python tests/bench/soak_all.py [--kills 12] [--limit 2] [--seed 7] [--draws 2]

Every task of the suite under its first protocol, on a random Phi of 2 layers; written answers and programs with
several draws of each sample. Each start is killed after a random time, as long as there is something left to kill;
then it is let run. Ends with 1 where one answer, score or saved text differs from the undisturbed run's.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def model(folder: Path) -> None:
    """A random Phi with a byte-level vocabulary of its own."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PhiConfig, PhiForCausalLM, PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(["def f(a):\n    return a\n"], vocab_size=300, special_tokens=["<|end|>"])
    PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, eos_token="<|end|>").save_pretrained(folder)
    torch.manual_seed(0)
    config = PhiConfig(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=512, bos_token_id=256, eos_token_id=256, initializer_range=0.3,
    )  # fmt: skip
    PhiForCausalLM(config).save_pretrained(folder)


def start(home: Path, words: list[str]) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PHIZOO_HOME": str(home), "OMP_NUM_THREADS": "1"}
    command = [str(Path(sys.executable).with_name("phizoo")), *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def held(home: Path) -> dict[str, set[bytes]]:
    """The whole lines of every file of every run."""
    found = {}
    for name in ("generations", "results"):
        for path in home.glob(f"runs/*/{name}.jsonl"):
            text = path.read_bytes()
            found[f"{path.parent.name}/{name}"] = set(text[: text.rfind(b"\n") + 1].splitlines())
    return found


def size(home: Path) -> int:
    return sum(map(len, held(home).values()))


def main() -> int:
    """Prints what was killed where; 1 when something differs."""
    from evals.results.reproduce import differences
    from evals.run_folder import read_header, read_results

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("kills", 12), ("limit", 2), ("seed", 7), ("draws", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    words = ["eval", "run", "random-phi", "--task", "suite:all", "--limit", str(asked.limit), "--batch", "1"]
    words += ["--draws", str(asked.draws), "--temperature", "0.8", "--device", "cpu"]
    draw = random.Random(asked.seed)
    lost = killed = 0
    with tempfile.TemporaryDirectory() as scratch:
        whole, broken = Path(scratch) / "whole", Path(scratch) / "broken"
        model(Path(scratch) / "model")
        assert start(whole, ["models", "add", str(Path(scratch) / "model"), "--name", "random-phi"]).wait() == 0
        shutil.copytree(whole, broken)
        began = time.monotonic()
        assert start(whole, words).wait() == 0, "the undisturbed run failed"
        seconds = time.monotonic() - began
        print(f"undisturbed: {len(list(whole.glob('runs/*')))} runs, {size(whole)} lines, {seconds:.0f} s", flush=True)
        while killed < asked.kills and size(broken) < size(whole):
            before, goal = held(broken), size(broken) + draw.randint(1, max(2, 2 * size(whole) // asked.kills))
            running = start(broken, words)
            while size(broken) < goal and running.poll() is None:
                time.sleep(0.01)
            running.send_signal(signal.SIGKILL)
            killed += running.wait() == -signal.SIGKILL
            lost += sum(not lines <= held(broken)[file] for file, lines in before.items())
            print(f"  killed with {size(broken)} lines, {len(list(broken.glob('runs/*')))} runs begun", flush=True)
        assert start(broken, words).wait() == 0, "the last start failed"
        kinds: dict[str, int] = {}
        differ = len({path.name for path in whole.glob("runs/*")} ^ {path.name for path in broken.glob("runs/*")})
        for path in sorted(whole.glob("runs/*")):
            theirs = broken / "runs" / path.name / "results.jsonl"
            differ += bool(differences(read_results(path / "results.jsonl"), read_results(theirs)))
            kind = "choices" if not (path / "generations.jsonl").stat().st_size else "written"
            kind = "programs" if read_header(path).sandbox else kind
            kinds[kind] = kinds.get(kind, 0) + 1
        again = size(broken) - size(whole)
    print(f"{killed} SIGKILLs over {kinds}: {lost} files lost a line, {again} lines made twice, {differ} runs differ")
    return 1 if lost or differ or again else 0


if __name__ == "__main__":
    sys.exit(main())
