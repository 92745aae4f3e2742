"""Groups of rows that are not told apart, as letters: two rows share a letter if and only if nothing separates them.

Source  Piepho 2004, J. Computational and Graphical Statistics 13:456 (insert and absorb).
"""

from collections.abc import Iterable


def shared_letters(count: int, separated: Iterable[tuple[int, int]]) -> list[str]:
    """The letters of each row, in the rows' order.

    separated  pairs of rows that are told apart

    >>> shared_letters(3, [(0, 2)]), shared_letters(2, []), shared_letters(2, [(0, 1)])
    (['a', 'ab', 'b'], ['a', 'a'], ['a', 'b'])
    """
    groups = [frozenset(range(count))] if count else []
    for first, second in separated:
        for group in [group for group in groups if first in group and second in group]:
            groups.remove(group)
            for part in (group - {first}, group - {second}):
                if not any(part <= other for other in groups):
                    groups = [other for other in groups if not other < part] + [part]
    groups.sort(key=sorted)
    return ["".join(_letter(number) for number, group in enumerate(groups) if row in group) for row in range(count)]


def _letter(number: int) -> str:
    """a to z, then a1 to z1, and so on."""
    return chr(ord("a") + number % 26) + (str(number // 26) if number >= 26 else "")
