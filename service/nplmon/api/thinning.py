"""Thinning: which chunks of a long run a plot shows, so that nothing that happened is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from nplmon.broker.lines import Mark

T = TypeVar("T")

ENDS_AND_RISES = 4
"""The first and the last chunk, and those at which the alarm became a warning and an alarm."""
DEAD_SHARE = 10
"""Dead chunks are all kept where they are at most one in so many points."""
FEWEST = 10

_LEVELS = {"ok": 0, "warning": 1, "alarm": 2}


class Thinning(Generic[T]):
    """Keeps of `count` chunks, offered one by one, at most `points`.

    The chunks are divided evenly; of each part those with the smallest and the largest value are kept. Kept are also
    the first and the last, those at which the alarm level rises, and, unless they are too many, the dead ones.

    Parameters
    ----------
    count
        Chunks that will be offered.
    points
        Chunks to keep at most, 10 or more.
    dead
        How many of the chunks are dead.
    """

    def __init__(self, count: int, points: int, dead: int) -> None:
        self._count = count
        self._all = count <= points
        self._keep_dead = dead * DEAD_SHARE <= points
        self._parts = (points - ENDS_AND_RISES - (dead if self._keep_dead else 0)) // 2
        self._kept: dict[int, T] = {}
        self._offered, self._part, self._level = 0, -1, 0
        self._lowest: tuple[int, T, float | None] | None = None
        self._highest: tuple[int, T, float | None] | None = None
        self._last: tuple[int, T] | None = None

    def offer(self, mark: Mark, chunk: T) -> None:
        """Offer the next chunk."""
        number, level = self._offered, _LEVELS[mark.alarm]
        self._offered += 1
        self._last = number, chunk
        if self._all or number == 0 or level > self._level or (mark.dead and self._keep_dead):
            self._kept[number] = chunk
        self._level = max(self._level, level)
        if self._all:
            return
        part = number * self._parts // self._count
        if part != self._part:
            self._end_part()
            self._part = part
            self._lowest = self._highest = (number, chunk, mark.value)
            return
        if mark.value is None or self._lowest is None or self._highest is None:
            return
        if self._lowest[2] is None or mark.value < self._lowest[2]:
            self._lowest = (number, chunk, mark.value)
        if self._highest[2] is None or mark.value > self._highest[2]:
            self._highest = (number, chunk, mark.value)

    def kept(self) -> list[T]:
        """Give what is kept of the chunks offered, in order."""
        self._end_part()
        if self._last is not None:
            self._kept[self._last[0]] = self._last[1]
        return [self._kept[number] for number in sorted(self._kept)]

    def _end_part(self) -> None:
        for one in (self._lowest, self._highest):
            if one is not None:
                self._kept[one[0]] = one[1]
