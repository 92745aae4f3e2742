"""A chooser's facts: what is not known passes no filter that does not ask for it."""

import pytest

from dashboard.board import facts


@pytest.mark.parametrize(
    ("licence", "wanted", "passes"),
    [
        ("apache-2.0", (), True), ("", (), True), ("Apache-2.0", ("apache-2.0",), True), ("MIT", ("permissive",), True),
        ("gemma", ("permissive",), False), ("gemma", ("permissive", "conditions"), True), ("", ("permissive",), False),
        ("unknown", ("permissive",), False), ("", ("permissive", "unknown"), True), ("cc-by-nc-4.0", ("conditions",), False),
        ("cc-by-nc-4.0", ("non-commercial",), True), ("other", ("unknown",), False), ("other", ("other",), True),
    ],
)  # fmt: skip
def test_licences(licence: str, wanted: tuple[str, ...], passes: bool) -> None:
    assert facts.passes_licence(licence, wanted) is passes


def test_no_licence_is_in_two_classes_and_each_class_is_explained() -> None:
    classes = facts.benchmarks.FACTS["licences"]
    names = [name for names in classes.values() for name in names]
    assert len(set(names)) == len(names) and all(name == facts.known(name) for name in names)
    assert {key.replace("_", "-") for key in classes} | {"other", "unknown"} == set(facts.LICENCES)
