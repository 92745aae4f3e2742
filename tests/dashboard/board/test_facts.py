"""A chooser's facts: what is not known passes no filter that does not ask for it."""

import pytest

from dashboard.board import facts


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500M", 5e8), ("0.5B", 5e8), ("500m", 5e8), (" 3 B ", 3e9), ("135,000,000", 1.35e8), ("350_000_000", 3.5e8),
        ("1.5T", 1.5e12), ("7", 7.0), ("0", None), ("-1B", None), ("1e9", None), ("", None), ("B", None),
        ("9" * 16, None), ("nan", None), ("inf", None), ("1.5.2B", None), ("٣B", None),
    ],
)  # fmt: skip
def test_a_size_as_it_is_typed(text: str, size: float | None) -> None:
    assert facts.parse_size(text) == size


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
