"""Overflow: what is told of a density ratio that is beyond all meaning."""

from __future__ import annotations

from typing import Final

LARGEST_RATIO: Final = 1e100
"""Data so much denser than the reference are where the reference has nothing; a number would look valid."""


def told(ratio: float) -> float | None:
    """Give a ratio, or a mean of ratios, as it is told: none where it overflows.

    Examples
    --------
    >>> told(1.5), told(1e217), told(float("inf")), told(float("nan"))
    (1.5, None, None, None)
    """
    return ratio if ratio <= LARGEST_RATIO else None
