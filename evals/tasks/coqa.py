"""CoQA: 7,983 questions in 500 conversations about a passage, each answered in a few words.

Source: Reddy et al. 2018, arXiv:1808.07042. Data: split validation, whose passages are from five places, each with
its own licence: CC-BY-SA-4.0 (Wikipedia, literature), Apache-2.0 (news), MSR-LA (stories), RACE's own (exams).
Protocol `olmes`: `evals.olmes_written`, 0-shot; the right answers of the questions before stand in the prompt. Its
`f1` is the best over the four annotators; the paper's own is a mean over the best of three, which is lower for people
and for models alike. The package has the set for the bits of a gold answer only; the prompt is the same.
Answering always "yes" gives 13.7.
Conversations are clusters: questions on one passage stand or fall together.
"""

from evals.olmes_written import PROTOCOL, written_set, written_task

TITLE = "CoQA"
SETS = (
    written_set(
        "coqa",
        7983,
        "several, by passage",
        "8e95cd3ebfa875142445ffec64e4c6331188d6fcfa2e8fc517113c400751f3d7",
        "coqa/bpb_0shot",
    ),
)
PROTOCOLS = {
    PROTOCOL: written_task(
        SETS[0], about="questions in a conversation about a passage", paper="arXiv:1808.07042", stop=("\n\n",),
        shots=0, chance=0.137, cluster=lambda row: row["id"].partition("_turn")[0],
    ),
}  # fmt: skip
