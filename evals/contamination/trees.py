"""Functions of documents whose syntax trees are close to a problem's solution, by `evals.contamination.syntax_trees`.

Source  Gunasekar et al. 2023, arXiv:2306.11644, section 5.2: the edit distance of syntax trees as strings, match
        rates 0.95, 0.90, 0.85, 0.80. Which string is not published; ours is recorded with each search.
"""

from collections.abc import Iterator, Sequence

from evals.contamination.match import EXCERPT, Found
from evals.contamination.problems import Problem
from evals.contamination.syntax_trees import SHORTEST, Function, close_pairs, functions


class Trees:
    """The solutions' trees, to be compared with every function of many documents."""

    def __init__(self, problems: Sequence[Problem], rate: float) -> None:
        self.rate, self.count = rate, len(problems)
        self.problems: list[int] = []
        self.solutions: list[str] = []
        for number, problem in enumerate(problems):
            found = functions(problem.program, nested=True)
            for one in [one for one in found if one.name == problem.entry] or found:
                if len(one.symbols) >= SHORTEST:
                    self.problems.append(number)
                    self.solutions.append(one.symbols)
        # a longer function differs by more than the rate allows from the longest solution
        self._longest = int(max(map(len, self.solutions), default=0) / rate) + 1
        self._seen: dict[str, list[tuple[int, float]]] = {}

    @property
    def unsearched(self) -> frozenset[int]:
        """The problems whose solution is no function that could be looked for, or too short a one to tell anything."""
        return frozenset(range(self.count)) - frozenset(self.problems)

    def matches(self, texts: Sequence[str]) -> Iterator[Found]:
        """Every problem with a function that close in a text, the closest function of each text."""
        found = [(document, one) for document, text in enumerate(texts) for one in self._functions(text)]
        self._compare({one.symbols for _, one in found if len(one.symbols) >= SHORTEST})
        best: dict[tuple[int, int], tuple[float, str]] = {}
        for document, one in found:
            for number, rate in self._seen.get(one.symbols, ()):
                if rate > best.get((document, number), (0.0, ""))[0]:
                    best[document, number] = (rate, texts[document][one.start : one.end])
        for (document, number), (rate, source) in best.items():
            yield Found(document=document, problem=number, similarity=rate, text=source[:EXCERPT])

    def _functions(self, text: str) -> list[Function]:
        return functions(text, nested=True, longest=self._longest)

    def _compare(self, symbols: set[str]) -> None:
        """Looks up the trees not seen yet; equal trees are compared once."""
        new = sorted(symbols - self._seen.keys())
        self._seen.update({one: [] for one in new})
        for pair in close_pairs(self.solutions, new, self.rate):
            self._seen[new[pair.second]].append((self.problems[pair.first], pair.rate))
