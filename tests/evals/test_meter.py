"""What a run costs is measured, added up over its starts, and kept in its header."""

from evals.meter import add_cost, metered


def test_seconds_and_the_peak_of_this_process() -> None:
    with metered("transformers") as meter:
        block = bytearray(30_000_000)
        block[::4096] = b"x" * len(block[::4096])
    assert meter.cost["seconds"] >= 0
    assert meter.cost["peak_memory_bytes"] > 30_000_000
    with metered("openai_http") as remote:
        pass
    assert "peak_memory_bytes" not in remote.cost


def test_a_start_without_an_answer_changes_nothing() -> None:
    before = {"seconds": 2.0, "answers": 5}
    assert add_cost(before, {"seconds": 9.0, "peak_memory_bytes": 1}, 0) == before
    assert add_cost({}, {"seconds": 1.0}, 2) == {"seconds": 1.0, "answers": 2}
