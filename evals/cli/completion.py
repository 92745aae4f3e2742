"""Names of tasks, suites, engines and runs for the shell's Tab (used by `zoo.cli.completion`)."""


def task_names(typed: str) -> list[tuple[str, str]]:
    """Names of tasks and suites; after `TASK@` its protocols."""
    from evals.suites import SUITES
    from evals.tasks import TASKS, protocols

    name = typed.partition("@")[0]
    if "@" in typed and name in TASKS:
        return [(f"{name}@{protocol}", task.about) for protocol, task in protocols(name).items()]
    return [*((task, "") for task in TASKS), *((f"suite:{suite}", f"{len(SUITES[suite])} tasks") for suite in SUITES)]


def engine_names(_typed: str) -> list[str]:
    """Names of the engines."""
    from evals.engines import ENGINES
    from evals.engines.fastest import AUTO

    return [AUTO, *ENGINES]


def run_ids(typed: str) -> list[tuple[str, str]]:
    """The first twelve characters of each run's id on this machine, with its checkpoint and task."""
    from evals.run_folder import read_header
    from zoo import settings

    paths = sorted(settings.runs_dir().glob(f"{typed}*/header.json")) if typed.isalnum() or not typed else []
    runs = (read_header(path.parent) for path in paths)
    return [(run.id[:12], f"{run.checkpoint_label} {run.task}") for run in runs]
