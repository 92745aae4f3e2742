"""The `phizoo` command, its groups, and the commands of `phizoo models`."""

from zoo.cli.root import main as main
