"""The aggregator: the single writer of each monitor's running density ratio, statistics and alarm."""

from nplmon.aggregator.server import serve

__all__ = ["serve"]
