"""Run lengths and delays of first alarms, measured on streams of finite length, with intervals."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

STEPS: Final = 40
CONFIDENCE: Final = 0.95
NEVER: Final = 0
"""The chunk of the first alarm where there is none."""


@dataclass(frozen=True, kw_only=True)
class RunLength:
    """A mean run length: chunks looked at for each first alarm.

    Attributes
    ----------
    mean:
        Chunks until the first alarm or the end, over the alarms: for a constant hazard the maximum of the likelihood.
    low, high:
        95 % interval from the number of alarms, as for a constant hazard.
    streams:
        Their number.
    """

    mean: float
    low: float
    high: float
    streams: int

    def to_json(self) -> dict[str, float | int | None]:
        """Give it as plain values; what is infinite is None, for which JSON has a word."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}


def run_length(first: NDArray[np.int64], length: int) -> RunLength:
    """Measure it from the chunk of the first alarm of each stream under H0, `NEVER` where there is none.

    Examples
    --------
    >>> found = run_length(np.array([10, 30, NEVER]), 60)
    >>> found.mean, round(found.low, 1), round(found.high, 1)
    (50.0, 13.8, 412.9)
    """
    alarms = int(np.count_nonzero(first))
    chunks = float(np.where(first == NEVER, length, first).sum())
    tail = (1 - CONFIDENCE) / 2
    fewest = stats.gamma.ppf(tail, alarms) if alarms else 0.0
    most = stats.gamma.ppf(1 - tail, alarms + 1)
    return RunLength(
        mean=chunks / alarms if alarms else math.inf,
        low=chunks / float(most),
        high=chunks / float(fewest) if fewest else math.inf,
        streams=len(first),
    )


def first_alarm(values: NDArray[np.float64], threshold: float) -> NDArray[np.int64]:
    """Give the first chunk, from 1, whose value is at least the threshold; int64 (streams,).

    Examples
    --------
    >>> first_alarm(np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), 2.0).tolist()
    [2, 0]
    """
    over = values >= threshold
    return np.where(over.any(axis=1), over.argmax(axis=1) + 1, NEVER)


def calibrated(
    first: Callable[[float], NDArray[np.int64]],
    length: int,
    wanted: float,
    low: float,
    high: float,
    steps: int,
) -> float:
    """Find by bisection the threshold whose measured mean run length is the wanted one.

    Parameters
    ----------
    first:
        Gives the first alarms of streams under H0 for a threshold; higher ones give later alarms.
    length:
        Chunks in a stream.
    wanted:
        Mean run length, in chunks.
    low, high:
        Between them it is looked for.
    steps:
        Of the bisection.
    """
    for _ in range(steps):
        middle = (low + high) / 2
        if run_length(first(middle), length).mean < wanted:
            low = middle
        else:
            high = middle
    return high


@dataclass(frozen=True, kw_only=True)
class Delay:
    """How long after a change the first alarm came.

    Attributes
    ----------
    median:
        In chunks; 1 is an alarm at the first disturbed chunk. None where at least half of the streams end without one.
    low, high:
        95 % interval of the median from its order statistics; None beyond the end of the streams.
    detected:
        Share of the streams with an alarm before their end.
    false:
        Share of all streams that had an alarm before the change; they are in none of the other figures.
    streams:
        Streams that had none.
    horizon:
        Disturbed chunks in each.
    """

    median: float | None
    low: float | None
    high: float | None
    detected: float
    false: float
    streams: int
    horizon: int

    @property
    def order(self) -> float:
        """The median for comparisons: infinite where there is none."""
        return math.inf if self.median is None else self.median


def delay(first: NDArray[np.int64], quiet: int, length: int) -> Delay:
    """Measure delays in streams that change after `quiet` chunks.

    Examples
    --------
    >>> found = delay(np.array([3, 12, 13, 15, NEVER]), 10, 30)
    >>> found.median, found.detected, found.false, found.streams
    (4.0, 0.75, 0.2, 4)
    """
    honest = first[(first == NEVER) | (first > quiet)]
    after = np.sort(np.where(honest == NEVER, np.inf, honest - quiet))
    count = len(after)
    low, high = stats.binom.interval(CONFIDENCE, count, 0.5) if count else (0, 0)

    def at(place: float) -> float | None:
        if not 0 <= place < count:
            return None
        value = float(after[int(place)])
        return value if math.isfinite(value) else None

    return Delay(
        # The lower of the two middle ones would flatter, the mean of them has no chunk: the upper one.
        median=at(count // 2),
        low=at(max(low - 1, 0)),
        high=at(high),
        detected=float(np.isfinite(after).mean()) if count else 0.0,
        false=1 - count / len(first),
        streams=count,
        horizon=length - quiet,
    )
