"""Verdicts as they leave the sandbox."""

import msgspec

from evals.sandbox import Program, Sandbox


def test_an_error_with_half_a_surrogate_pair_can_be_written(sandbox: Sandbox) -> None:
    program = Program(
        id="a", prompt="", completion="def f():\n    raise ValueError(chr(0xD835))\n", test="assert f()",
        entry_point="f", form="asserts",
    )  # fmt: skip
    (verdict,) = sandbox.run([program])
    assert verdict.verdict == "failed"
    assert "ValueError: \ufffd" in verdict.detail
    msgspec.json.encode(verdict.detail)
