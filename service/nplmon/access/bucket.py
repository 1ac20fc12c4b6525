"""Buckets: how often somebody may do something, one bucket for each, in bounded memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST = 10_000
"""Buckets that are kept; the one that was not used for longest is dropped."""


class Buckets:
    """Token buckets by name: `burst` at once, then `rate` a second.

    Examples
    --------
    >>> now = [0.0]
    >>> buckets = Buckets(rate=2.0, burst=2.0, clock=lambda: now[0])
    >>> [buckets.take("a") for _ in range(3)]
    [0.0, 0.0, 0.5]
    >>> now[0] = 0.5
    >>> buckets.take("a"), buckets.take("b")
    (0.0, 0.0)
    """

    def __init__(self, *, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def give(self, name: str) -> None:
        """Give one back."""
        if name in self._levels:
            self._levels[name] = (min(self._burst, self._level(name) + 1.0), self._clock())

    def take(self, name: str) -> float:
        """Take one, and give 0.0; or, where there is none, the seconds until there is."""
        level = self._level(name)
        if level < 1.0:
            return (1.0 - level) / self._rate
        self._levels[name] = (level - 1.0, self._clock())
        self._levels.move_to_end(name)
        if len(self._levels) > LARGEST:
            self._levels.popitem(last=False)
        return 0.0

    def _level(self, name: str) -> float:
        if name not in self._levels:
            return self._burst
        level, at = self._levels[name]
        return min(self._burst, level + (self._clock() - at) * self._rate)
