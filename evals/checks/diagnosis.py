"""One finding of `phizoo doctor`."""

from zoo.records import Record


class Diagnosis(Record, frozen=True):
    """One thing that was checked. state: ok, missing (optional) or wrong (must be fixed)."""

    name: str
    state: str
    detail: str
    remedy: str = ""
