"""The files that run inside the sandbox, and nothing else."""
