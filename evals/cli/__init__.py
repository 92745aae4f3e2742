"""The commands of `phizoo eval`, `phizoo serve` and `phizoo doctor`."""
