"""Plain words for a column's protocol: each protocol has its own, and a fixed part says of how many problems."""

import msgspec

from dashboard.board.cells import Column
from dashboard.board.heads import problems_text, protocol_words, tells
from evals.tasks import TASKS, protocols, task

COLUMN = Column(key="k", benchmark="b", title="", protocol="", origin="measured", metric="acc", n=600)


def column(name: str, title: str, **changes: object) -> Column:
    return msgspec.structs.replace(COLUMN, task=name, title=title, **changes)


def test_every_protocol_has_words_of_its_own() -> None:
    for name in TASKS:
        said = [protocol_words(column(name, f"{one} v{task(f'{name}@{one}').version}")) for one in protocols(name)]
        assert len({*said}) == len(said) and not {*said} & {*protocols(name)} - {"by chat"}, name


def test_a_head_says_a_fixed_part_a_chat_an_older_version_and_a_reported_source() -> None:
    version = task("arc_easy").version
    part = column("arc_easy", f"lm-eval-quick3, chat v{version}", resolves=5.7)
    assert protocol_words(part) == "EleutherAI's prompt, by chat"
    assert tells(part) == "600 of 2,376 problems tell 5.7 points"
    assert problems_text(column("arc_easy", f"lm-eval v{version}", n=2376)) == "2,376"
    assert protocol_words(column("arc_easy", "lm-eval v0")) == "EleutherAI's prompt, version 0"
    assert protocol_words(column("no_task", "lm-eval v1")) == "EleutherAI's prompt"
    assert protocol_words(column("arc_easy", "a paper, Table 1 v2", origin="reported")) == "a paper, Table 1 v2"
    assert not tells(column("arc_easy", "lm-eval v1", n=None))
