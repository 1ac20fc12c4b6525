"""The worker process: lease a chunk, fit it against the cached reference, finish it."""

from nplmon.trainer.server import serve

__all__ = ["serve"]
