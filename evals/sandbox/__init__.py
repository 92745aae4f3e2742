"""The one door for untrusted code (being filled)."""
