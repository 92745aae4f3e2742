"""`phizoo eval gate`: holds a checkpoint against a policy, and moves an alias if it passes."""

from pathlib import Path

import click

from zoo.cli.completion import A_CHECKPOINT
from zoo.cli.options import AS_JSON, open_registry
from zoo.cli.output import emit_json, p_text, table
from zoo.errors import CheckFailed, NotResolvedError, ZooError

COLUMNS = ("rule", "outcome", ">measured [90%]", ">p broken", ">p holds", "note")


@click.command()
@click.argument("policy", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("candidate", shell_complete=A_CHECKPOINT)
@click.option("--against", metavar="BASE", shell_complete=A_CHECKPOINT, help="The checkpoint to compare with.")
@click.option("--then", nargs=2, metavar="alias ALIAS", help="Point this alias at the candidate if the gate passes.")
@click.option("--out", multiple=True, type=click.Path(path_type=Path, dir_okay=False),
              help="Also write the report: .md, .json, or .xml (JUnit); may be given again.")  # fmt: skip
@AS_JSON
def gate(
    policy: Path, candidate: str, against: str | None, then: tuple[str, str] | None, out: tuple[Path, ...],
    as_json: bool,
) -> None:  # fmt: skip
    """Hold a checkpoint against a policy of rules, for CI.

    \b
    phizoo eval gate policy.toml phi-1-small-mini --against phi-1-small-mini-base
    phizoo eval gate policy.toml phi-1-small-mini:2 --against phi-1-small-mini@best --then alias best
    phizoo eval gate policy.toml phi-1-small-mini --out gate.md --out gate.xml

    Exit code 0 if every rule is shown to hold, 1 if one is shown to be broken, 3 if the samples decide neither. A gate
    with a broken rule passes in at most 5% of cases, however many rules there are; where all hold, any FAIL comes in
    at most 5%. The alias moves only on exit code 0. The rules are explained in docs/statistics.md, Gates.
    """
    from evals.decisions.gate import run_gate
    from evals.decisions.gate_report import check_report, headline, measured_text, write_report
    from evals.decisions.policy import read_policy
    from zoo.records import validate_name

    if then and then[0] != "alias":
        raise ZooError(f"--then {then[0]!r:.40} is not known; expected: --then alias {then[1]!r:.40}")
    if then:
        validate_name(then[1])
    paths, rules = [check_report(path) for path in out], read_policy(policy)
    with open_registry(readonly=not then) as registry:
        checkpoint = registry.get(candidate)
        base = registry.get(against) if against else None
        # the alias may have moved since the base was read from it: then nothing is moved over it
        is_base = base is not None and against == f"{checkpoint.name}@{then[1]}" if then else False
        report = run_gate(registry, rules, checkpoint, base)
        for path in paths:
            write_report(report, path)
        if then and report.outcome == "PASS":
            expect = base.version if is_base and base else None
            registry.alias(checkpoint.name, then[1], checkpoint.version, expect)
    if as_json:
        emit_json(report)
    else:
        fields = [
            (r.rule, r.outcome, measured_text(r), p_text(r.broken), p_text(r.holds), r.note) for r in report.rules
        ]
        table(fields, COLUMNS)
        click.echo(f"\n{headline(report)}\n{report.certainty}")
        if then and report.outcome == "PASS":
            click.echo(f"{checkpoint.name}@{then[1]} is {checkpoint.label}")
    kept = f"; {checkpoint.name}@{then[1]} stays where it is" if then else ""
    if report.outcome == "FAIL":
        raise CheckFailed(f"{headline(report)}{kept}. The samples: phizoo eval compare NAME NAME --flips")
    if report.outcome == "NOT RESOLVED":
        raise NotResolvedError(f"{headline(report)}{kept}. Wider margins or more samples decide")
