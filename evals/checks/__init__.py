"""Checks of tasks and engines, and the estimate of a run's memory and time."""
