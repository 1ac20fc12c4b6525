"""Closure: the promises of the statistics, measured on toys, with a report."""

from nplmon.closure.measure import Settings, closure

__all__ = ["Settings", "closure"]
