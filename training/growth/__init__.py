"""Grows a small checkpoint into a larger one."""
