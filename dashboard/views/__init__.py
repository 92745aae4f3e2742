"""The pages: each draws what the pure modules made, and nothing else."""
