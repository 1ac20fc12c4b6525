"""Refusals of impossible settings: what was wrong, the value seen, what is allowed."""

from __future__ import annotations

import math

__all__ = ["positive_count", "within"]


def positive_count(name: str, value: int) -> None:
    """Refuse a negative number of events.

    Raises
    ------
    ValueError
        If `value` is below zero.

    Examples
    --------
    >>> positive_count("events", -1)
    Traceback (most recent call last):
        ...
    ValueError: events is -1: give 0 or more
    """
    if value < 0:
        msg = f"{name} is {value}: give 0 or more"
        raise ValueError(msg)


def within(name: str, value: float, low: float, high: float, unit: str = "") -> None:
    """Refuse a number outside [low, high] (and NaN).

    Raises
    ------
    ValueError
        If it lies outside.

    Examples
    --------
    >>> within("fraction", 1.5, 0, 1)
    Traceback (most recent call last):
        ...
    ValueError: fraction is 1.5: give a value from 0 to 1
    """
    if not low <= value <= high:
        limit = f"{low:g} or more" if math.isinf(high) else f"a value from {low:g} to {high:g}"
        msg = f"{name} is {value:g}: give {limit}{f' {unit}' if unit else ''}"
        raise ValueError(msg)
