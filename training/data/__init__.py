"""Stages from raw text to training tokens; every document is kept or dropped with a reason.

Stages exchange dataset folders named by the digest of their content, so each stage can run alone.
"""
