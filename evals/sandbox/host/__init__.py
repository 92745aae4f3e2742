"""Opens, limits, watches and ends the sandbox's processes."""
