"""The `phizoo` command, its groups, and the commands of `phizoo models`."""


def main() -> None:
    """Runs the console script; imported only then, so that libraries may import `zoo.cli.output` without click."""
    from zoo.cli.root import main as run_command_line

    run_command_line()
