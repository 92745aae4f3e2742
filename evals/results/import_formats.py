"""Reads the result files of other tools into one form: a table of formats, each with its reader in `evals.interchange`.

A file is known by its name, or by the keys of its JSON. A folder gives the results of all files in it that are known.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals.interchange.read_evalplus import read_evalplus
from evals.interchange.read_every_eval_ever import is_every_eval_ever, read_every_eval_ever
from evals.interchange.read_inspect import is_inspect, read_inspect, read_inspect_archive
from evals.interchange.read_lighteval import read_lighteval
from evals.interchange.read_lm_eval import is_samples, read_lm_eval
from evals.interchange.read_olmo_eval import PREDICTIONS, read_olmo_eval
from evals.interchange.tool_results import TaskResults
from zoo.admission.result_files import check_lines_file, read_json_file
from zoo.errors import ZooError
from zoo.records import Reported
from zoo.visible import plain

READ = (
    "samples_TASK_DATE.jsonl (lm_eval --log_samples), *_eval_results.json (EvalPlus), .eval or .json logs "
    "(inspect_ai), details_*.parquet (lighteval), *-predictions.jsonl (olmo-eval) and Every Eval Ever records"
)
FILES = 100_000  # in a folder
SNIFFED_BYTES = 64 << 20
Results = TaskResults | Reported


def read(path: Path) -> list[Results]:
    """The results in a file, or in all files of a folder that are known; numbers without samples as reported rows.

    Raises  ZooError if no tool that is read wrote the file, its version is not read, or it has no results
    """
    if path.is_dir():
        files = list(_known_files(path))
        if not files:
            raise ZooError(f"{path} holds no results that are read: {READ}")
        return [results for file in files for results in read(file)]
    if path.exists() and not path.is_file():  # a device may have no end
        raise ZooError(f"{path} is no file; expected a result file of another tool, or a folder of them")
    try:
        return list(_read_file(path))
    except ZooError:
        raise
    except (
        OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, StopIteration, RecursionError,
    ) as error:  # fmt: skip
        message = plain(str(error))[:80]
        raise ZooError(f"{path} cannot be read as results ({type(error).__name__}: {message})") from error


def _read_file(path: Path) -> list[Any]:
    if path.suffix == ".eval":
        return read_inspect_archive(path)
    if path.suffix == ".parquet":
        return read_lighteval(path)
    if path.name.endswith(PREDICTIONS):
        return read_olmo_eval(path)
    if path.name.endswith(".jsonl"):
        check_lines_file(path)
    if is_samples(path):
        return read_lm_eval(path)
    if (
        path.name.endswith("_samples.jsonl")
        and path.with_name(path.name.removesuffix("_samples.jsonl") + ".json").is_file()
    ):
        raise ZooError(
            f"{path.name} are the samples of {path.name.removesuffix('_samples.jsonl')}.json; give that record"
        )
    content = read_json_file(path, nonfinite=True)
    if is_every_eval_ever(content):
        return read_every_eval_ever(path)
    if is_inspect(content):
        return read_inspect(path, content)
    if isinstance(content, dict) and "eval" in content:
        return read_evalplus(path, content)
    if isinstance(content, dict) and "configs" in content:
        raise ZooError(f"{path.name} has only means; give samples_TASK_DATE.jsonl beside it (--log_samples)")
    raise ZooError(f"{path} is no result file that is read: {READ}")


def _known_files(folder: Path) -> Iterator[Path]:
    """The files of a folder that are results, by their names, and of other JSON by their keys."""
    for number, path in enumerate(sorted(folder.rglob("*")), start=1):
        if number > FILES:
            raise ZooError(f"{folder} holds more than {FILES:,} files; give the folder of one run")
        if path.is_file() and _is_known(path):
            yield path


def _is_known(path: Path) -> bool:
    name = path.name
    if name.endswith((".eval", "eval_results.json", PREDICTIONS)) or (
        name.startswith("details_") and name.endswith(".parquet")
    ):
        return True
    if path.suffix == ".jsonl":
        return is_samples(path)
    if path.suffix != ".json":
        return False
    with path.open("rb") as file:
        text = file.read(SNIFFED_BYTES)  # keys may be in any order
    return (b'"schema_version"' in text and b'"evaluation_results"' in text) or (
        b'"status"' in text and b'"eval"' in text and b'"plan"' in text
    )
