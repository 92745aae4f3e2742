"""Checkpoints in and out: the hub, other zoos, Phi's older formats."""
