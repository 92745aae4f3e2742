"""One file a step, named revision_what.py; never changed once released."""
