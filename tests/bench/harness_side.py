"""lm-evaluation-harness 0.4.13's hf model behind a line protocol: one JSON request a line, one answer a line.

Run by the harness's own Python (tests/bench/bench_engines.py says how to make it), never imported.
{"pairs": [[context, continuation], ...], "batch": 8} -> {"logprobs": [...], "greedy": [...], "seconds": s, "mb": m}
{"texts": [...], "batch": 8}                          -> {"logprobs": [...], "seconds": s, "mb": m}: rolling windows
{"prompts": [...], "max_tokens": 64, "batch": 8}      -> {"seconds": s, "tokens": n, "mb": m}: `generate` in fixed batches
Seconds are processor time of this process, so that what else runs on the machine does not count.
"""

import json
import resource
import sys
import time

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

torch.set_num_threads(1)
model = HFLM(pretrained=sys.argv[1], device="cpu", dtype="float32", batch_size=8, max_length=None)


def loglikelihood(pairs, batch):
    model.batch_size_per_gpu = batch
    asked = [
        Instance(request_type="loglikelihood", doc={}, arguments=tuple(pair), idx=number)
        for number, pair in enumerate(pairs)
    ]
    began = time.process_time()
    found = model.loglikelihood(asked, disable_tqdm=True)
    seconds = time.process_time() - began
    mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"logprobs": [one[0] for one in found], "greedy": [one[1] for one in found], "seconds": seconds, "mb": mb}


def rolling(texts, batch):
    model.batch_size_per_gpu = batch
    asked = [
        Instance(request_type="loglikelihood_rolling", doc={}, arguments=(text,), idx=number)
        for number, text in enumerate(texts)
    ]
    began = time.process_time()
    found = model.loglikelihood_rolling(asked, disable_tqdm=True)
    mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"logprobs": found, "seconds": time.process_time() - began, "mb": mb}


def generate(prompts, max_tokens, batch):
    tokenizer = model.tokenizer
    tokenizer.padding_side, tokenizer.pad_token = "left", tokenizer.eos_token
    began, written = time.process_time(), 0
    for start in range(0, len(prompts), batch):
        some = tokenizer(prompts[start : start + batch], return_tensors="pt", padding=True)
        some.pop("token_type_ids", None)
        with torch.inference_mode():
            out = model.model.generate(**some, max_new_tokens=max_tokens, do_sample=False)
        new = out[:, some["input_ids"].shape[1] :]
        for row in new.tolist():
            written += row.index(tokenizer.eos_token_id) if tokenizer.eos_token_id in row else len(row)
    mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": time.process_time() - began, "tokens": written, "mb": mb}


answers = sys.stdout
sys.stdout = sys.stderr
for line in sys.stdin:
    told = json.loads(line)
    if "pairs" in told:
        answer = loglikelihood(told["pairs"], told["batch"])
    elif "texts" in told:
        answer = rolling(told["texts"], told["batch"])
    else:
        answer = generate(told["prompts"], told["max_tokens"], told["batch"])
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
