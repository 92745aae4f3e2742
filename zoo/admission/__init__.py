"""The gate for files from outside: kinds, headers, configs, templates."""
