"""Evaluation on several machines: Ray, and replicas of a server."""
