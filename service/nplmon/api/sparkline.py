"""A sparkline: the course of a statistic in about sixty points, kept up as it grows, its extremes kept."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

MOST_PARTS = 30

Point: TypeAlias = tuple[int, float, float | None]
"""Sequence number, value, threshold."""


class SparklineColumns(msgspec.Struct, frozen=True, kw_only=True):
    """A sparkline as it is told: columns of equal length, by sequence number."""

    sequence: tuple[int, ...] = ()
    value: tuple[float, ...] = ()
    threshold: tuple[float | None, ...] = ()


class Sparkline:
    """The chunks of a run in parts of equal length, of each the points with the smallest and the largest value.

    When there are more than `MOST_PARTS`, two neighbours become one; so it costs the same for a run of any length,
    and what it keeps does not depend on when it was asked. The last point is always in it.

    Examples
    --------
    >>> line = Sparkline()
    >>> for sequence in range(1, 1001):
    ...     line.add(sequence, 99.0 if sequence == 500 else float(sequence % 7), 50.0)
    >>> kept = line.columns()
    >>> len(kept.sequence), 500 in kept.sequence, kept.sequence[-1]
    (57, True, 1000)
    """

    def __init__(self) -> None:
        self._length = 1
        self._parts: list[tuple[Point, Point] | None] = []
        self._last: Point | None = None

    def add(self, sequence: int, value: float | None, threshold: float | None) -> None:
        """Add the next chunk; one without a value leaves no point."""
        if value is None:
            return
        point = (sequence, value, threshold)
        while (sequence - 1) // self._length >= MOST_PARTS:
            self._halve()
        part = (sequence - 1) // self._length
        self._parts += [None] * (part + 1 - len(self._parts))
        self._parts[part] = _joined(self._parts[part], (point, point))
        self._last = point

    def columns(self) -> SparklineColumns:
        """Give the points that are kept, in order."""
        kept = {point for part in self._parts if part is not None for point in part}
        if self._last is not None:
            kept.add(self._last)
        points = sorted(kept, key=lambda point: point[0])
        return SparklineColumns(
            sequence=tuple(point[0] for point in points),
            value=tuple(point[1] for point in points),
            threshold=tuple(point[2] for point in points),
        )

    def _halve(self) -> None:
        self._length *= 2
        parts = [*self._parts, None]
        self._parts = [_joined(parts[i], parts[i + 1]) for i in range(0, len(self._parts), 2)]


def _joined(one: tuple[Point, Point] | None, other: tuple[Point, Point] | None) -> tuple[Point, Point] | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one[0], other[0], key=_value), max(one[1], other[1], key=_value)


def _value(point: Point) -> float:
    return point[1]
