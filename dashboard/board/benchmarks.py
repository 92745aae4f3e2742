"""Facts about benchmarks and published models that the board filters and titles by: no scores.

Family, open weights and chat tuning are read from a model's published name. A name that matches no pattern counts as
family "other", open weights and base.
"""

import re
from collections.abc import Iterable
from functools import cache

from evals.tasks import titles as task_titles
from zoo.records import Reported

# published benchmarks that are no task of ours: name -> title, the task whose columns they follow
PUBLISHED = {
    "unconventional_50": ("Unconventional 50", "mbpp_plus"),
    "commonsense_avg": ("Commonsense average", "bbh"),
    "language_understanding_avg": ("Language average", "bbh"),
    "coding_avg": ("Coding average", "bbh"),
    "mmlu_pro": ("MMLU-Pro", "bbh"),
    "math": ("MATH", "bbh"),
    "anli": ("ANLI", "trivia_qa"),
    "medqa": ("MedQA", "trivia_qa"),
    "agieval": ("AGIEval", "trivia_qa"),
}

# the main metric of a task is the first of these that it has
METRICS = ("pass@1", "accuracy", "acc", "exact_match", "exact", "strict-match", "f1")

_FAMILIES = (
    ("phi", r"phi[-_ ]?\d|^350m |^1\.3b "),
    ("Code Llama", r"code[-_ ]?llama|codellama|phind"),
    ("Llama", r"llama|vicuna"),
    ("StarCoder", r"star(coder|chat)|santacoder|wizardcoder-15b"),
    ("CodeGen", r"codegen"),
    ("CodeT5+", r"codet5"),
    ("DeepSeek", r"deepseek|magicoder-s-ds"),
    ("Qwen", r"qwen|codeqwen"),
    ("Gemma", r"gemma"),
    ("SmolLM", r"smollm"),
    ("Mistral", r"mi[sx]tral|zephyr|codestral"),
    ("GPT (OpenAI)", r"gpt[- ]?[34]|chatgpt|codex|\bo[13]\b"),
    ("Claude", r"claude"),
    ("Gemini / PaLM", r"gemini|palm|bard"),
    ("Falcon", r"falcon"),
    ("GPT-Neo / GPT-2", r"gpt-?neo|gpt2|gpt-j"),
)
_CLOSED = re.compile(r"gpt[- ]?[34]|chatgpt|codex|\bo[13]\b|claude|gemini|palm|bard|grok|davinci", re.I)
_CHAT = re.compile(
    r"instruct|chat|[-_]it\b|-rl-|zephyr|vicuna|wizard|-sft|-dpo|dolphin|claude|gpt[- ]?[34]|\bo[13]\b|gemini pro", re.I
)


@cache
def titles() -> dict[str, str]:
    """benchmark -> its name as papers print it, in the order of the columns."""
    table: dict[str, str] = {}
    for task, title in task_titles().items():
        table[task] = title
        table |= {name: other for name, (other, before) in PUBLISHED.items() if before == task}
    return table


def title_of(benchmark: str) -> str:
    """The benchmark's name as papers print it."""
    return titles().get(benchmark, benchmark)


def order_of(benchmark: str) -> tuple[int, str]:
    """The sort key of a benchmark's columns: the known benchmarks in their order, then the others by name."""
    names = list(titles())
    return (names.index(benchmark) if benchmark in names else len(names), benchmark)


def main_metric(metrics: Iterable[str]) -> str:
    """The main metric of a task with these metrics.

    >>> main_metric(["acc_norm", "acc"]), main_metric(["pass@10", "pass@1"]), main_metric(["zeal", "brier"])
    ('acc', 'pass@1', 'brier')
    """
    return min(metrics, key=lambda metric: (METRICS.index(metric) if metric in METRICS else len(METRICS), metric))


def family_of(name: str) -> str:
    """The family of a published model, or "other".

    >>> family_of("StarCoder-Prompted"), family_of("phi-1 WR, 12K steps"), family_of("Replit")
    ('StarCoder', 'phi', 'other')
    """
    for family, pattern in _FAMILIES:
        if re.search(pattern, name, re.I):
            return family
    return "other"


def is_open(name: str) -> bool:
    """Whether a model has open weights, judged by its name: the closed families are few and known."""
    return not _CLOSED.search(name)


def is_chat(row: Reported) -> bool:
    """Whether a number is of a chat-tuned model, judged by its protocol and name."""
    return "chat prompt" in row.protocol or bool(_CHAT.search(row.model))
