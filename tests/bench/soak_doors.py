"""The user of a soak who trains nothing: models and results from outside, in every round through the doors, by chat.

Each round a random Llama of a seed of its own enters, as a GGUF file and as a folder in turn. It is asked by chat
through `phizoo serve` (a GGUF by llama_cpp), whose server is ended politely or killed; evaluated and published;
written out in the harness's form and imported again, with the same number. What must be refused is offered too. The
file of SMALL_MODEL_GGUF (SmolLM2-135M-Instruct), where it is set, is added once and asked by chat in every third round.
"""

import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from soak_place import Place, held, note, number_of, once, served, typed, wrong

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.gguf_files import tiny_llama

TEXT = (
    "def add(a, b):\n    return a + b\n\nQuestion: What is the answer to the first of the items?\nAnswer: the last\n"
    * 40
)
TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"
TASK = "arc_easy@lm-eval-quick"
BROKEN = ("half a GGUF file", "half a safetensors file", "a pickle")


def vocabulary(folder: Path) -> Path:
    """A byte-level BPE with a chat template, in a folder."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    bpe, end = ByteLevelBPETokenizer(), "<|endoftext|>"
    bpe.train_from_iterator([TEXT], vocab_size=330, special_tokens=[end], show_progress=False)
    made = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, eos_token=end, bos_token=end)
    made.chat_template = TEMPLATE
    made.save_pretrained(folder)
    return folder


def model(place: Path, words: Path, name: str, seed: int) -> tuple[Path, Path]:
    """The same random Llama as a GGUF file and as a folder."""
    file, folder = place / f"{name}.gguf", place / name
    made = tiny_llama(file, words, seed=seed, context=1024, **{"tokenizer.chat_template": (8, TEMPLATE)})
    made.save_pretrained(folder)
    for one in words.iterdir():
        shutil.copy(one, folder)
    return file, folder


def broken(place: Path, kind: str, file: Path, folder: Path) -> Path:
    """A copy that no door may let in."""
    if kind == BROKEN[0]:
        path = place / "broken.gguf"
        path.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        return path
    path = place / "broken"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(folder, path)
    weights = path / "model.safetensors"
    if kind == BROKEN[1]:
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    else:
        weights.rename(path / "pytorch_model.bin")
    return path


def outside(place: Place, user: str, until: float, seed: int, kept: dict[str, dict[str, Any]]) -> None:
    """The loop of this user, until a time of time.monotonic."""
    chance, number = random.Random(f"{seed} {user}"), 0
    real = os.environ.get("SMALL_MODEL_GGUF", "")
    with tempfile.TemporaryDirectory(prefix="phizoo-soak-doors-") as scratch:
        words = vocabulary(Path(scratch) / "words")
        files = place.disk.parent / "outside"  # beside the small disk, and kept: they are added again at the end
        files.mkdir()
        try:
            if real:
                typed(place, user, f"models add {real} --name smollm2", chance)
            while time.monotonic() < until:
                number += 1
                round_of(place, user, number, words, files, kept, chance)
                if real and number % 3 == 1:
                    served(place, user, "smollm2", "llama_cpp", chat=True, kill=number % 2 == 0)
                    limit = 2 + number // 3
                    line = f"eval run smollm2 --task arc_easy --chat --engine llama_cpp --limit {limit} --json"
                    told = json.loads(typed(place, user, line, chance))
                    if {row["n"] for row in told} != {limit}:
                        wrong(place, f"not all {limit} samples: {line}", told=told)
        except SystemExit:
            return


def round_of(
    place: Place,
    user: str,
    number: int,
    words: Path,
    files: Path,
    kept: dict[str, dict[str, Any]],
    chance: random.Random,
) -> None:
    """One model through the doors, its answers by chat, its scores out and in again, and what must be refused."""
    name, engine = f"{user}-{number}", ("llama_cpp", "transformers")[number % 2]
    forms = model(files, words, name, chance.randrange(10**6))
    line = f"models add {forms[number % 2]} --name {name}"
    typed(place, user, line, chance)
    digest = json.loads(typed(place, user, f"models show {name} --json", chance))["digest"]
    evaluate = f"eval run {name} --task {TASK} --json"
    with place.lock:
        kept[name] = {"made": [line], "evaluate": evaluate, "digest": digest, "scores": {}}
    served(place, user, name, engine, chat=True, kill=chance.random() < 0.3)
    rows = json.loads(typed(place, user, evaluate, chance))
    kept[name]["scores"] = number_of(rows)
    out = files / f"out-{name}"
    typed(place, user, f"eval export {name}/{TASK} --out {out} --format lm-eval", chance)
    read = json.loads(typed(place, user, f"eval import {out} --model other-{name} --json", chance))
    values = {(row["metric"], row["value"], row["n"]) for row in rows}
    if values != {(score["metric"], score["value"], score["n"]) for run in read for score in run["scores"]}:
        wrong(place, f"other numbers after the way out and in: {name}", told=rows, read=read)
    kind = BROKEN[number % len(BROKEN)]
    for fault in ("kill", ""):
        code, _ = once(place, user, f"models add {broken(files, kind, *forms)} --name broken-{name}", fault, chance)
        if code == 0:
            wrong(place, f"{kind} was taken in", user=user)
    there = {one["name"] for one in json.loads(typed(place, user, "models list --json", chance))}
    if f"broken-{name}" in there:
        wrong(place, f"{kind} stands in the zoo", user=user)
    note(place, user=user, refused=kind)
    typed(place, user, f"models verify {name}", chance)
    held(place, user, kept, chance)
