"""Names of tasks, suites, engines and runs for the shell's Tab (`zoo.cli.completion` says how they are used)."""


def task_names(typed: str) -> list[tuple[str, str]]:
    """Tasks and suites; after a task's `@` its protocols."""
    from evals.suites import SUITES
    from evals.tasks import TASKS, protocols

    name = typed.partition("@")[0]
    if "@" in typed and name in TASKS:
        return [(f"{name}@{protocol}", one.about) for protocol, one in protocols(name).items()]
    return [*((task, "") for task in TASKS), *((f"suite:{suite}", f"{len(SUITES[suite])} tasks") for suite in SUITES)]


def engine_names(_typed: str) -> list[str]:
    """The engines."""
    from evals.engines import BACKENDS

    return list(BACKENDS)


def run_ids(typed: str) -> list[tuple[str, str]]:
    """The first twelve characters of each run's id on this machine, with its checkpoint and task."""
    from evals.run_folder import read_header
    from zoo import settings

    headers = sorted(settings.runs_dir().glob(f"{typed}*/header.json")) if typed.isalnum() or not typed else []
    told = (read_header(header.parent) for header in headers)
    return [(one.id[:12], f"{one.checkpoint_label} {one.task}") for one in told]
