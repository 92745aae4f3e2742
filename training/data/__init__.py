"""From raw text to training tokens, each document accounted for: kept, or dropped with a reason.

Stages talk through dataset folders named by the digest of their content, so each can run alone.
"""
