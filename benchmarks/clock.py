"""Times of what is compared: measured in turn, so that what else the machine does falls on all of it alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Work to be timed.

    Attributes
    ----------
    run:
        Does it, `units` times.
    units:
        How often one call of `run` does the work; short work is repeated until a sample is long enough to time.
    before:
        Done before each call and not timed.
    clock:
        What it is timed by, in s: this process's processor time, which on an idle machine is the time that passes for
        one thread, and on a busy one leaves out the waiting. Work elsewhere brings its own.
    """

    run: Callable[[], object]
    units: int = 1
    before: Callable[[], object] = lambda: None
    clock: Callable[[], float] = time.process_time


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A measured number with its spread.

    Attributes
    ----------
    median:
        Over the repeats.
    low, high:
        The 16 % and the 84 % quantiles over the repeats; the median where there was one.
    best:
        From the shortest times alone, which other work on the machine lengthens least.
    """

    median: float
    low: float
    high: float
    best: float

    def scaled(self, factor: float) -> Figure:
        """Give the same in another unit."""
        return Figure(
            median=factor * self.median,
            low=factor * self.low,
            high=factor * self.high,
            best=factor * self.best,
        )


def interleaved(subjects: Mapping[str, Subject], repeats: int) -> dict[str, list[float]]:
    """Time all subjects in turn, in alternating order, after one call of each that is not counted.

    Returns
    -------
    dict of lists
        Seconds per unit of work, one entry per repeat: entries of the same place were measured side by side.
    """
    times: dict[str, list[float]] = {name: [] for name in subjects}
    order = list(subjects)
    for repeat in range(-1, repeats):
        for name in order:
            subject = subjects[name]
            subject.before()
            start = subject.clock()
            subject.run()
            seconds = (subject.clock() - start) / subject.units
            if repeat >= 0:
                times[name].append(seconds)
        order.reverse()
    return times


def quotient(numerator: Sequence[float], denominator: Sequence[float]) -> Figure:
    """Give the ratio of two times measured side by side: quantiles of the pairs' quotients."""
    quotients = [over / under for over, under in zip(numerator, denominator, strict=True)]
    return _figure(quotients, min(numerator) / min(denominator))


def duration(seconds: Sequence[float]) -> Figure:
    """Give a time itself, in ms."""
    return _figure([1e3 * one for one in seconds], 1e3 * min(seconds))


def _figure(values: Sequence[float], best: float) -> Figure:
    middle = statistics.median(values)
    if len(values) == 1:
        return Figure(median=middle, low=middle, high=middle, best=best)
    cuts = statistics.quantiles(values, n=25, method="inclusive")
    return Figure(median=middle, low=cuts[3], high=cuts[20], best=best)
