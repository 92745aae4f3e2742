"""lm-evaluation-harness 0.4.13's whole run of IFEval by chat on a checkpoint, one JSON value on standard output.

Run by the harness's own Python (tests/bench/parity_ifeval_chat.py), never imported. Arguments: the checkpoint's folder,
a file of rows, prompts, tokens at most (0: only the prompts, without the weights), "chat" or "plain".
-> [{"key": ..., "prompt": ..., "text": ..., "metrics": {name: value, or the list of its instructions}}, ...]
"""

import json
import sys
from pathlib import Path

import lm_eval
import torch
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks._yaml_loader import load_yaml
from transformers import AutoTokenizer

answers, sys.stdout = sys.stdout, sys.stderr
torch.set_num_threads(1)
folder, rows, limit, tokens, way = sys.argv[1:]
config = dict(load_yaml(Path(lm_eval.__file__).parent / "tasks" / "ifeval" / "ifeval.yaml", resolve_func=True))
config.update(dataset_path="json", dataset_name=None, dataset_kwargs={"data_files": {"train": rows}})
config["generation_kwargs"] = {**config["generation_kwargs"], "max_gen_toks": int(tokens)}
if tokens == "0":
    reader = HFLM.__new__(HFLM)
    reader.tokenizer, reader.chat_template_args = AutoTokenizer.from_pretrained(folder), {}
    task = ConfigurableTask(config=config)
    task.build_all_requests(
        limit=int(limit), rank=0, world_size=1, apply_chat_template=way == "chat", chat_template=reader.apply_chat_template,
        tokenizer_name="a",
    )  # fmt: skip
    kept = [{"key": each.doc["key"], "prompt": each.args[0], "text": "", "metrics": {}} for each in task.instances]
    answers.write(json.dumps(kept))
    sys.exit()
model = HFLM(pretrained=folder, device="cpu", dtype="float32", batch_size=1)
outcome = lm_eval.simple_evaluate(
    model=model, tasks=[ConfigurableTask(config=config)], limit=int(limit), bootstrap_iters=0, log_samples=True,
    apply_chat_template=way == "chat",
)  # fmt: skip
samples = sorted(next(iter(outcome["samples"].values())), key=lambda sample: sample["doc_id"])
kept = [
    {
        "key": sample["doc"]["key"],
        "prompt": sample["arguments"][0][0],
        "text": sample["resps"][0][0],
        "metrics": {name: sample[name] for name in sample["metrics"]},
    }
    for sample in samples
]
answers.write(json.dumps(kept))
