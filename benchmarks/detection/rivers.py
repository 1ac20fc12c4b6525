"""river's ADWIN, KSWIN and PageHinkley, one for each feature; an alarm of any of them is one.

The usual correction for several features, a stricter threshold, is in the measured threshold.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from benchmarks.detection.other import OtherProcess
    from benchmarks.detection.problem import Streams
    from numpy.typing import NDArray

MEAN_OF: Final = 20
"""Consecutive events whose mean is one value for ADWIN and PageHinkley, in units of its deviation; fewer where a chunk
would have fewer than fifty values."""
VALUES: Final = 50
REFERENCE_MEANS: Final = 1_000
KSWIN_SIZE: Final = 300
KSWIN_WINDOW: Final = 1_500
"""Newest events, which are compared with as many of the window's others; ten times its defaults."""
MOST: Final = 1e9
DELTAS: Final = (0.005, 0.1)


class River:
    """Its process, and the streams that lie there as a file."""

    def __init__(self, process: OtherProcess) -> None:
        self._process = process
        self._path = ""
        self._streams: Streams | None = None

    def ask(self, streams: Streams, **question: object) -> dict[str, NDArray[np.float64]]:
        """Ask about streams; they are written once for consecutive questions."""
        if self._streams is not streams:
            if self._path:
                self._process.drop(self._path)
            self._path, self._streams = self._process.keep(**_arrays(streams)), streams
        return self._process.ask(events=self._path, **question)


class PageHinkley:
    """The sum of deviations from the mean, against its smallest value; both directions."""

    ours, slow = False, True

    def __init__(self, river: River, events: int, delta: float) -> None:
        self._river, self._delta = river, delta
        self.name = f"PageHinkley, delta {delta:g}"
        self.setting = f"means of {mean_of(events)} events, each feature"
        self.seconds = 0.0

    def values(self, streams: Streams) -> NDArray[np.float64]:
        """Give the largest statistic so far, (streams, chunks)."""
        answer = self._river.ask(streams, do="page_hinkley", delta=self._delta)
        self.seconds = float(answer["seconds"])
        return answer["values"]


class Kswin:
    """The newest chunk against a random part of the window before it, at the end of each chunk."""

    ours, slow = False, True

    def __init__(self, river: River, reference: int) -> None:
        self._river, self._window = river, min(KSWIN_WINDOW, reference // 2)
        self.enough = math.inf
        """A stream ends where the value is at least this."""
        self.name = "KSWIN"
        self.setting = (
            f"the newest {KSWIN_SIZE} of {KSWIN_WINDOW:,} events, at the end of each chunk, each feature"
        )
        self.seconds = 0.0

    def values(self, streams: Streams) -> NDArray[np.float64]:
        """Give -log of the smallest p, (streams, chunks)."""
        answer = self._river.ask(
            streams, do="kswin", window=self._window, size=self._window // 5, enough=min(self.enough, MOST)
        )
        self.seconds = float(answer["seconds"])
        return answer["values"]


class Adwin:
    """An adaptive window's halves; its threshold is delta itself, so that each is another run."""

    ours, slow = False, True
    lowest, highest, utmost = -2.0, 8.0, 300.0
    """Of -log10 delta, the second to begin with. A delta above 1 is no probability, and only a number in its bound."""

    def __init__(self, river: River, events: int) -> None:
        self._river = river
        self.name = "ADWIN"
        self.setting = f"means of {mean_of(events)} events, each feature"
        self.seconds = 0.0

    def first(self, streams: Streams, threshold: float) -> NDArray[np.int64]:
        """Give the chunks of first alarms for a threshold on -log10 delta."""
        answer = self._river.ask(streams, do="adwin", delta=10.0**-threshold)
        self.seconds = float(answer["seconds"])
        return answer["first"].astype(np.int64)


def _arrays(streams: Streams) -> dict[str, NDArray[np.generic]]:
    events: list[NDArray[np.float32]] = []
    means: list[NDArray[np.float64]] = []
    edges = np.zeros((streams.count, streams.length + 1), dtype=np.int64)
    event_edges = np.zeros_like(edges)
    place = event_place = 0
    together = mean_of(streams.problem.events)
    for stream in range(streams.count):
        for number, chunk in enumerate(streams.events(stream)):
            edges[stream, number], event_edges[stream, number] = place, event_place
            events.append(chunk)
            means.append(_means(chunk, together))
            place, event_place = place + len(means[-1]), event_place + len(chunk)
        edges[stream, -1], event_edges[stream, -1] = place, event_place
    reference = streams.problem.reference
    return {
        "events": np.concatenate(events),
        "event_edges": event_edges,
        "means": np.concatenate(means),
        "edges": edges,
        "reference": reference[-KSWIN_WINDOW:],
        "reference_means": _means(reference[: together * REFERENCE_MEANS], together),
    }


def mean_of(events: int) -> int:
    """Give the number of events in a mean, for chunks of so many.

    Examples
    --------
    >>> mean_of(2_000), mean_of(200), mean_of(20)
    (20, 4, 1)
    """
    return max(1, min(MEAN_OF, events // VALUES))


def _means(events: NDArray[np.float32], together: int) -> NDArray[np.float64]:
    whole = len(events) // together
    parts = events[: whole * together].reshape(whole, together, -1)
    return np.asarray(parts.mean(axis=1, dtype=np.float64) * together**0.5)
