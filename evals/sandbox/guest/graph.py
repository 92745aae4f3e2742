"""One side's end of the object graph that a test and a program share.

A value crosses as a tree of JSON's types with tags (`evals.sandbox.guest.kinds`). What changes in place and may be seen
from elsewhere has a number that both sides use: so a result that is the argument is the argument, rows that are one
list are one list, and a change on one side reaches the other with the next message. What nobody else can see crosses
without a number, as a copy. Objects of a class that both sides define cross with their attributes. All others stay
where they are, and the other side has a stand-in (`evals.sandbox.guest.standins`). Standard library only.

The judge reads what a program sent with this same code: it constructs values of Python's and numpy's own types, of
the judge's own classes, and stand-ins, and runs nothing of the program's. Anything malformed raises.
"""

from evals.sandbox.guest.reading import TreeReader
from evals.sandbox.guest.writing import TreeWriter


class ObjectGraph(TreeWriter, TreeReader):
    """One side's end: `write` and `read`, `changes` before a message is sent, `purge` after it."""
