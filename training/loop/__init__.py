"""Parts of the training loop: building a run, its checks, validation, averages, and the watchdog."""
