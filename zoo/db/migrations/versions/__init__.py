"""One file per step, named REVISION_SUBJECT.py; never changed after its release."""
