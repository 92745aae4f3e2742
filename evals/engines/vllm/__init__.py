"""vLLM as an engine: offline, or as a server process."""
