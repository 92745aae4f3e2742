"""Finds functions whose syntax trees are close to a problem's solution, by `evals.contamination.syntax_trees`.

Source  Gunasekar et al. 2023, arXiv:2306.11644, section 5.2: the edit distance of syntax trees as strings, match
        rates 0.95, 0.90, 0.85, 0.80. Which string is not published; ours is recorded with each search.
"""

from collections.abc import Iterator, Sequence

from evals.contamination.match import EXCERPT, Match
from evals.contamination.problems import Problem
from evals.contamination.syntax_trees import SHORTEST, Function, close_pairs, functions

REMEMBERED = 1 << 14  # trees whose matches are remembered: many documents hold the same function


class TreeSearch:
    """Compares the solutions' trees with every function of many documents."""

    def __init__(self, problems: Sequence[Problem], rate: float) -> None:
        self.rate, self.count = rate, len(problems)
        self.problems: list[int] = []
        self.solutions: list[str] = []
        for number, problem in enumerate(problems):
            for function in solutions(problem):
                if len(function.symbols) >= SHORTEST:
                    self.problems.append(number)
                    self.solutions.append(function.symbols)
        # a longer function differs by more than the rate allows from the longest solution
        self._longest = int(max(map(len, self.solutions), default=0) / rate) + 1
        self._known: dict[str, list[tuple[int, float]]] = {}

    @property
    def unsearched(self) -> frozenset[int]:
        """The problems without a solution that is a function of at least SHORTEST symbols."""
        return frozenset(range(self.count)) - frozenset(self.problems)

    def matches(self, texts: Sequence[str]) -> Iterator[Match]:
        """Every problem with a function that close in a text, the closest function of each text."""
        pairs = [
            (document, function)
            for document, text in enumerate(texts)
            for function in functions(text, nested=True, longest=self._longest)
        ]
        self._compare({function.symbols for _, function in pairs if len(function.symbols) >= SHORTEST})
        best: dict[tuple[int, int], tuple[float, Function]] = {}
        for document, function in pairs:
            for number, rate in self._known.get(function.symbols, ()):
                if (document, number) not in best or rate > best[document, number][0]:
                    best[document, number] = (rate, function)
        for (document, number), (rate, function) in best.items():
            start, end = function.start, function.end
            text = texts[document][start : min(end, start + EXCERPT)]
            yield Match(document=document, problem=number, similarity=rate, start=start, end=end, text=text)

    def _compare(self, symbols: set[str]) -> None:
        """Looks up the trees that are not known yet; equal trees are compared once."""
        if len(self._known) > REMEMBERED:
            self._known.clear()
        new = sorted(symbols - self._known.keys())
        self._known.update({tree: [] for tree in new})
        for pair in close_pairs(self.solutions, new, self.rate):
            self._known[new[pair.second]].append((self.problems[pair.first], pair.rate))


def solutions(problem: Problem) -> list[Function]:
    """The function that a problem asks for, or all functions of its program if it names none."""
    every = functions(problem.program, nested=True)
    return [function for function in every if function.name == problem.entry] or every
