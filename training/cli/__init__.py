"""The commands of `phizoo train` and `phizoo data`."""
