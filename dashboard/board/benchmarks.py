"""What is known of benchmarks and of published models beyond their row: titles, suites, families.

Nothing here is a score. Families, open weights and chat tuning are read off the published name, so
that the board can be filtered; a name that says nothing counts as open, base and its own family.
"""

import re
from collections.abc import Iterable

from zoo.records import Reported

# benchmark -> its name as papers write it, in the order in which columns stand
TITLES = {
    "humaneval": "HumanEval",
    "humaneval_plus": "HumanEval+",
    "mini_exercises": "Mini exercises",
    "mbpp": "MBPP",
    "mbpp_sanitized": "MBPP sanitized",
    "mbpp_plus": "MBPP+",
    "unconventional_50": "Unconventional 50",
    "unconventional": "Unconventional 25",
    "arc_easy": "ARC-Easy",
    "arc_challenge": "ARC-Challenge",
    "piqa": "PIQA",
    "siqa": "SIQA",
    "winogrande": "WinoGrande",
    "hellaswag": "HellaSwag",
    "boolq": "BoolQ",
    "openbookqa": "OpenBookQA",
    "commonsenseqa": "CommonsenseQA",
    "mmlu": "MMLU",
    "squad": "SQuAD",
    "squad_v2": "SQuAD v2",
    "sciq": "SciQ",
    "copa": "COPA",
    "lambada": "LAMBADA",
    "gsm8k": "GSM8K",
    "bbh": "BBH",
    "commonsense_avg": "Commonsense average",
    "language_understanding_avg": "Language average",
    "coding_avg": "Coding average",
    "mmlu_pro": "MMLU-Pro",
    "math": "MATH",
    "triviaqa": "TriviaQA",
    "anli": "ANLI",
    "medqa": "MedQA",
    "agieval": "AGIEval",
}

# how evaluation tools call the same benchmark
SAME = {
    "social_iqa": "siqa",
    "social_i_qa": "siqa",
    "squadv2": "squad_v2",
    "trivia_qa": "triviaqa",
    "commonsense_qa": "commonsenseqa",
    "human_eval": "humaneval",
    "humanevalplus": "humaneval_plus",
    "mbppplus": "mbpp_plus",
    "bbh_cot_fewshot": "bbh",
    "gsm8k_cot": "gsm8k",
    "hella_swag": "hellaswag",
}

PHI1 = ("humaneval", "mbpp", "humaneval_plus", "mbpp_plus", "mini_exercises", "unconventional_50", "unconventional")
PHI15 = (
    "winogrande",
    "arc_easy",
    "arc_challenge",
    "boolq",
    "siqa",
    "piqa",
    "hellaswag",
    "mmlu",
    "openbookqa",
    "squad",
    "gsm8k",
    "humaneval",
    "mbpp",
)
PHI2 = (
    *("bbh", "piqa", "winogrande", "arc_easy", "arc_challenge", "siqa", "hellaswag", "openbookqa", "mmlu", "squad_v2"),
    *("boolq", "gsm8k", "humaneval", "mbpp", "commonsense_avg", "language_understanding_avg", "math", "coding_avg"),
)

# which metric of a task stands on the board unless more are asked for: the first of these that it has
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


def benchmark_of(task: str) -> str:
    """The benchmark that a task measures: its own name, or the common one of several spellings.

    A tool's name after `:` or `@` or before `/` is its protocol, not another benchmark.

    >>> benchmark_of("social_iqa"), benchmark_of("humaneval@bigcode"), benchmark_of("mini_exercises")
    ('siqa', 'humaneval', 'mini_exercises')
    """
    bare = re.split(r"[:@]", task, maxsplit=1)[0].lower().replace("-", "_")
    return SAME.get(bare, bare)


def title_of(benchmark: str) -> str:
    """The benchmark's name as papers write it."""
    return TITLES.get(benchmark, benchmark)


def order_of(benchmark: str) -> tuple[int, str]:
    """Where a benchmark's columns stand: the known ones in their order, then the others by name."""
    names = list(TITLES)
    return (names.index(benchmark) if benchmark in TITLES else len(names), benchmark)


def main_metric(metrics: Iterable[str]) -> str:
    """The one metric of several that stands for the task.

    >>> main_metric(["acc_norm", "acc"]), main_metric(["pass@10", "pass@1"]), main_metric(["zeal", "brier"])
    ('acc', 'pass@1', 'brier')
    """
    return min(metrics, key=lambda metric: (METRICS.index(metric) if metric in METRICS else len(METRICS), metric))


def family_of(name: str) -> str:
    """The family that a published name belongs to, or "other".

    >>> family_of("StarCoder-Prompted"), family_of("phi-1 WR, 12K steps"), family_of("Replit")
    ('StarCoder', 'phi', 'other')
    """
    for family, pattern in _FAMILIES:
        if re.search(pattern, name, re.I):
            return family
    return "other"


def is_open(name: str) -> bool:
    """Whether the weights can be had, read off the name: the closed ones are few and known."""
    return not _CLOSED.search(name)


def is_chat(row: Reported) -> bool:
    """Whether the number was taken from a chat-tuned model: its protocol or its name says so."""
    return "chat prompt" in row.protocol or bool(_CHAT.search(row.model))
