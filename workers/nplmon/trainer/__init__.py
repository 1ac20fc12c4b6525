"""The worker process: lease a chunk, fit it against the cached reference, finish it."""
