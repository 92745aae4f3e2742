"""Runs the tests outside the sandbox and decides the verdict."""
