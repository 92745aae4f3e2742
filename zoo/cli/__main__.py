"""`python -m zoo.cli`: the `phizoo` command, for a Python without its script."""

from zoo.cli.root import main

main()
