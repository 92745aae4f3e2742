"""Reads a gate's policy, a TOML file of rules, into frozen records.

    name = "release"

    [[rules]]
    task = "mini_exercises"      # a task, or TASK@PROTOCOL
    not_worse_by = 2.0           # points that the candidate may lose against the base

    [[rules]]
    average = "quick"            # an average of `phizoo eval tasks --suites`
    better_by = 0.0

A rule names one subject and one condition. Not here: deciding (`evals.decisions.gate`).
"""

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from zoo.digest import digest
from zoo.errors import ZooError, nearest
from zoo.protocol_names import current_spec
from zoo.records import Record
from zoo.visible import plain

# condition -> (what it says, the least and the most that it may be)
CONDITIONS: dict[str, tuple[str, float, float]] = {
    "not_worse_by": ("less than {} worse than the base", 0.0, 100.0),
    "better_by": ("more than {} better than the base", 0.0, 100.0),
    "equivalent_within": ("within {} of the base", 0.0, 100.0),
    "at_least": ("better than {}", 0.0, 100.0),
    "overlap_at_most": ("at most {}% of its samples in the training data", 0.0, 100.0),
    "unscored_at_most": ("at most {}% of its samples unscored", 0.0, 100.0),
    "seconds_at_most": ("at most {} times the base's seconds an answer, on one machine", 0.0, 1e6),
    "tokens_at_most": ("at most {} times the base's tokens an answer", 0.0, 1e6),
    "memory_at_most": ("at most {} times the base's peak memory, on one machine", 0.0, 1e6),
}
AGAINST_BASE = ("not_worse_by", "better_by", "equivalent_within", "seconds_at_most", "tokens_at_most", "memory_at_most")
OF_AVERAGES = ("not_worse_by", "better_by", "equivalent_within")
ABOVE_ZERO = ("not_worse_by", "equivalent_within", "seconds_at_most", "tokens_at_most", "memory_at_most")


class Rule(Record, frozen=True, kw_only=True):
    """One rule: a task or an average, a condition of CONDITIONS and its number: in points (of bits per byte,
    bits), percent or times."""

    task: str = ""
    average: str = ""
    condition: str
    number: float

    @property
    def subject(self) -> str:
        """The task or the average."""
        return self.task or self.average

    @property
    def text(self) -> str:
        """The rule in words.

        >>> Rule(task="arc_easy", condition="not_worse_by", number=1.0).text
        'arc_easy: less than 1 worse than the base'
        """
        return f"{self.subject}: {CONDITIONS[self.condition][0].format(f'{self.number:g}')}"


class Policy(Record, frozen=True, kw_only=True):
    """A policy's rules, in the file's order."""

    name: str
    rules: tuple[Rule, ...]

    @property
    def digest(self) -> str:
        """sha256 of its rules: two reports with the same digest asked the same."""
        return digest(msgspec.to_builtins(self.rules))

    @property
    def needs_base(self) -> bool:
        """Whether a rule compares with a base."""
        return any(rule.condition in AGAINST_BASE for rule in self.rules)


def read_policy(path: Path) -> Policy:
    """The policy of a file. Raises ZooError for a file that is none, naming the rule and the nearest known key."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ZooError(f"no policy {path}; docs/statistics.md, Gates, has one to begin with") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ZooError(f"{path.name} is not TOML: {plain(str(error))}; fix that line and run again") from None
    rules = data.get("rules")
    if wrong := next((key for key in data if key not in ("name", "rules")), None):
        raise ZooError(f"{path.name}: no key {wrong!r:.40}{nearest(wrong, ('name', 'rules'))}; it has name and rules")
    if not isinstance(rules, list) or not rules or not all(isinstance(rule, dict) for rule in rules):
        raise ZooError(f"{path.name} has no rule; each begins with a line [[rules]]")
    name = data.get("name", path.stem)
    if not isinstance(name, str):
        raise ZooError(f"{path.name}: name is {name!r:.40}; expected a text")
    each = tuple(_rule(rule, f"{path.name}, rule {number}") for number, rule in enumerate(rules, start=1))
    return Policy(name=plain(name)[:80], rules=each)


def _rule(data: dict[str, Any], where: str) -> Rule:
    known = ("task", "average", *CONDITIONS)
    if wrong := next((key for key in data if key not in known), None):
        raise ZooError(f"{where}: no key {wrong!r:.40}{nearest(wrong, known)}; conditions: {', '.join(CONDITIONS)}")
    subjects, conditions = ([key for key in keys if key in data] for keys in (("task", "average"), CONDITIONS))
    if len(subjects) != 1 or not isinstance(data[subjects[0]], str) or not data[subjects[0]].strip():
        raise ZooError(f'{where} needs one subject: task = "NAME" or average = "NAME"')
    if len(conditions) != 1:
        raise ZooError(f"{where} has {len(conditions)} conditions; give one of {', '.join(CONDITIONS)}")
    condition, number = conditions[0], data[conditions[0]]
    _, least, most = CONDITIONS[condition]
    if isinstance(number, bool) or not isinstance(number, int | float) or not least <= number <= most:
        raise ZooError(f"{where}: {condition} = {number!r:.40}; expected a number from {least:g} to {most:g}")
    if condition in ABOVE_ZERO and number == 0:
        raise ZooError(f"{where}: {condition} = 0 can never be shown; give the largest difference that does not matter")
    if subjects[0] == "average" and condition not in OF_AVERAGES:
        raise ZooError(f"{where}: an average takes {', '.join(OF_AVERAGES)}; {condition} is for a task")
    subject = data[subjects[0]].strip()
    task, average = (current_spec(subject), "") if subjects[0] == "task" else ("", subject)
    return Rule(task=task, average=average, condition=condition, number=float(number))
