"""Evaluation samples as text to be looked for: what is asked, what is right, how it is tested."""

from evals.contamination import syntax_trees
from evals.contamination.syntax_trees import Function
from zoo.records import Record


class Problem(Record, frozen=True):
    """One evaluation sample.

    sample  its id in a run of the task, which flags for scores must name
    entry   the function that is asked for, "" when the code's every function is
    worked  what is asked and what is right, without the tests: what a vector is made of
    """

    id: str
    prompt: str
    code: str
    entry: str = ""
    sample: str = ""
    worked: str = ""

    @property
    def task(self) -> str:
        """The evaluation set it belongs to."""
        return self.id.partition("/")[0]


def problems(task: str) -> list[Problem]:
    """The samples of an evaluation set, by name. Raises ZooError when it is not at hand."""
    from evals.datasets.load import rows

    found = []
    for number, row in enumerate(rows(task)):
        given = str(row.get("task_id", number))
        name = f"{task}/{given.rsplit('/', 1)[-1]}"
        sample = given if "/" in given else name
        if "canonical_solution" in row:
            worked = row["prompt"] + row["canonical_solution"]
            code, entry = worked + "\n" + row["test"], row.get("entry_point", "")
            found.append(Problem(id=name, prompt=row["prompt"], code=code, entry=entry, sample=sample, worked=worked))
        elif "test_list" in row:
            code = "\n".join([row["code"], *row["test_list"]])
            worked = f"{row['text']}\n{row['code']}"
            found.append(Problem(id=name, prompt=row["text"], code=code, sample=sample, worked=worked))
        else:
            text = "\n".join(value for value in row.values() if isinstance(value, str))
            found.append(Problem(id=name, prompt=text, code="", sample=sample, worked=text))
    return found


def solutions(one: Problem) -> list[Function]:
    """The functions of a problem that solve it, without its helpers and its test."""
    every = syntax_trees.functions(one.code)
    asked = [function for function in every if function.name == one.entry]
    return asked or [function for function in every if function.name != "check"]
