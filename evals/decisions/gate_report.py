"""Writes a gate's report as Markdown, JUnit XML (as CI servers read it) or JSON, by the file's ending."""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from evals.decisions.gate import GateReport, RuleOutcome
from zoo.cli.output import NONE, json_text, p_text
from zoo.digest import whole_file
from zoo.errors import ZooError
from zoo.visible import plain


def check_report(path: Path) -> Path:
    """The path, if a report can be written to it. Raises ZooError for another ending."""
    if path.suffix not in WRITERS:
        raise ZooError(f"--out {path.name}: a report ends in {', '.join(WRITERS)}")
    return path


def write_report(report: GateReport, path: Path) -> None:
    """Writes the report, whole or not at all."""
    with whole_file(path) as file:
        file.write(WRITERS[path.suffix](report).encode())


def measured_text(rule: RuleOutcome) -> str:
    """What a rule measured, with its 90% interval and n."""
    if rule.value is None:
        return NONE
    interval = "" if rule.low is None or rule.high is None else f" [{rule.low:.1f} to {rule.high:.1f}]"
    return f"{rule.value:.2f}{interval}" + (f" n={rule.n}" if rule.n else "")


def headline(report: GateReport) -> str:
    """The gate's outcome in one line."""
    against = f" against {report.base}" if report.base else ""
    return f"{report.outcome}: {report.candidate}{against}, policy {report.policy} ({len(report.rules)} rules)"


def markdown(report: GateReport) -> str:
    """The report as a Markdown table."""
    lines = [f"## {_cell(headline(report))}", "", "| rule | outcome | measured [90%] | p broken | p holds | note |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for rule in report.rules:
        cells = (rule.rule, rule.outcome, measured_text(rule), p_text(rule.broken), p_text(rule.holds), rule.note)
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    digests = f"policy {report.policy_digest[:12]}, candidate {report.candidate_digest[:12]}"
    base = f", base {report.base_digest[:12]}" if report.base else ""
    return "\n".join([*lines, "", report.certainty, "", f"{digests}{base}, {report.created}", ""])


def junit(report: GateReport) -> str:
    """The report as one JUnit test suite: a test case a rule; a rule that is not resolved is a failure too."""
    failed = sum(rule.outcome != "PASS" for rule in report.rules)
    suites = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(
        suites, "testsuite", name=plain(f"phizoo eval gate {report.policy}"), tests=str(len(report.rules)),
        failures=str(failed), errors="0", skipped="0", timestamp=report.created.removesuffix("Z"),
    )  # fmt: skip
    for rule in report.rules:
        case = ElementTree.SubElement(suite, "testcase", classname=plain(report.candidate), name=plain(rule.rule))
        if rule.outcome != "PASS":
            text = f"{rule.outcome}: measured {measured_text(rule)}"
            failure = ElementTree.SubElement(case, "failure", type=rule.outcome, message=plain(text))
            failure.text = plain(rule.note)
    ElementTree.SubElement(suite, "system-out").text = plain(f"{headline(report)}. {report.certainty}")
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _cell(text: str) -> str:
    """A text for a cell of a Markdown table."""
    return re.sub(r"([\\|`\[\]<])", r"\\\1", plain(text))


WRITERS: dict[str, Callable[[GateReport], str]] = {
    ".md": markdown,
    ".xml": junit,
    ".json": lambda report: json_text(report) + "\n",
}
