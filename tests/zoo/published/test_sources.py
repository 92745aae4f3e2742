"""Each source has an address that can be opened, a day on which it was read, and its licence."""

import pytest

from zoo.published.sources import parse_sources, read_sources

SOURCE = '[a]\ntitle = "A"\naddress = "https://a.org/b"\naccessed = "2026-11-30"\nlicence = "MIT"\n'


def test_no_two_sources_have_one_title() -> None:
    titles = [source.title for source in read_sources().values()]
    assert len(set(titles)) == len(titles)


def test_the_tables_of_one_protocol() -> None:
    alike = {key for key, source in read_sources().items() if source.one_protocol}
    assert alike == {"evalplus", "openllm_v2"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a]", "sources.toml: .*"), (SOURCE + "licence = 'MIT'", "sources.toml: "),
        (SOURCE + "lisense = 'MIT'", "sources.toml: .*lisense"), (SOURCE.replace("2026-11-30\"", "2026-11-30\" x"), "sources"),
    ],
)  # fmt: skip
def test_a_source_that_cannot_be_read_is_named(text: str, said: str) -> None:
    assert parse_sources(SOURCE)["a"].licence == "MIT"
    with pytest.raises(ValueError, match=said):
        parse_sources(text)
