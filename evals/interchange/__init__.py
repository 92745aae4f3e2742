"""Results in other tools' formats, written and read; see docs/interchange.md."""
