"""Refusals of impossible settings: what was wrong, the value seen, what is allowed."""

from __future__ import annotations

import math

__all__ = ["SimulationError", "positive_count", "within"]


class SimulationError(ValueError):
    """A setting of a simulation is impossible."""


def positive_count(name: str, value: int) -> None:
    """Refuse a negative number of events.

    Raises
    ------
    SimulationError
        If `value` is below zero.
    """
    if value < 0:
        msg = f"{name} is {value}: give 0 or more"
        raise SimulationError(msg)


def within(name: str, value: float, low: float, high: float, unit: str = "") -> None:
    """Refuse a number outside [low, high] (and NaN).

    Raises
    ------
    SimulationError
        If it lies outside.
    """
    if not low <= value <= high:
        limit = f"{low:g} or more" if math.isinf(high) else f"a value from {low:g} to {high:g}"
        msg = f"{name} is {value:g}: give {limit}{f' {unit}' if unit else ''}"
        raise SimulationError(msg)
