"""river's detectors, run by the interpreter of their environment: one for each feature of a stream.

Each begins with the reference. ADWIN and PageHinkley are given means of some consecutive events; KSWIN has all events
in its window and is asked at the end of each chunk.
"""

from __future__ import annotations

import copy
import math
import time
from typing import Any

import numpy as np
from benchmarks.detection.answers import serve
from river import drift

NEVER = 0
TINY = 1e-300


class PageHinkley(drift.PageHinkley):  # type: ignore[misc]  # of a package without types
    """Remembers the largest statistic instead of raising an alarm; begins at the reference's mean with sums of 0."""

    largest = 0.0

    def begun(self) -> PageHinkley:
        """Forget the sums, and keep the mean."""
        self._sum_increase = self._sum_decrease = self._min_increase = self._max_decrease = self.largest = 0.0
        return self

    def _test_both(self, test_increase: float, test_decrease: float) -> bool:
        self.largest = max(self.largest, test_increase, test_decrease)
        return False


def page_hinkley(events: str, delta: float) -> dict[str, Any]:
    """Give the largest statistic until the end of each chunk, over features; (streams, chunks)."""
    reference, means, edges = _read(events, "reference_means", "means", "edges")
    begun = []
    for column in reference.T:
        detector = PageHinkley(delta=delta)
        for value in column.tolist():
            detector.update(value)
        begun.append(detector)
    start = time.process_time()
    values = np.empty((len(edges), edges.shape[1] - 1))
    for row, cuts in zip(values, edges, strict=True):
        detectors = [copy.deepcopy(one).begun() for one in begun]
        for chunk in range(len(row)):
            part = means[cuts[chunk] : cuts[chunk + 1]]
            for detector, column in zip(detectors, part.T, strict=True):
                for value in column.tolist():
                    detector.update(value)
            row[chunk] = max(detector.largest for detector in detectors)
    return {"values": values, "seconds": (time.process_time() - start) / values.size}


def kswin(events: str, window: int, size: int, enough: float) -> dict[str, Any]:
    """Give -log of the smallest p over features at the end of each chunk; (streams, chunks)."""
    reference, data, edges = _read(events, "reference", "events", "event_edges")
    start = time.process_time()
    values, seen = np.empty((len(edges), edges.shape[1] - 1)), 0
    for number, (row, cuts) in enumerate(zip(values, edges, strict=True)):
        detectors = [
            drift.KSWIN(
                alpha=0.0, window_size=window, stat_size=size, seed=number, window=column[:window].tolist()
            )
            for column in reference.T
        ]
        for chunk in range(len(row)):
            part = data[cuts[chunk] : cuts[chunk + 1]]
            least = 1.0
            for detector, column in zip(detectors, part.T.tolist(), strict=True):
                # Every event enters the window; the test is made with the last.
                detector.window.extend(column[:-1])
                detector.update(column[-1])
                least = min(least, detector.p_value)
            row[chunk] = -math.log(max(least, TINY))
            seen += 1
            if row[chunk] >= enough:
                row[chunk:] = row[chunk]
                break
    return {"values": values, "seconds": (time.process_time() - start) / seen}


def adwin(events: str, delta: float) -> dict[str, Any]:
    """Give the chunk, from 1, in which a detector first raises an alarm, over features; (streams,)."""
    reference, means, edges = _read(events, "reference_means", "means", "edges")
    first = np.full(len(edges), NEVER)
    start, seen = time.process_time(), 0
    for number, cuts in enumerate(edges):
        detectors = []
        for column in reference.T.tolist():
            detectors.append(drift.ADWIN(delta=delta))
            for value in column:
                detectors[-1].update(value)
        for chunk in range(len(cuts) - 1):
            part = means[cuts[chunk] : cuts[chunk + 1]].T.tolist()
            seen += 1
            if any(_alarmed(one, column) for one, column in zip(detectors, part, strict=True)):
                first[number] = chunk + 1
                break
    return {"first": first, "seconds": (time.process_time() - start) / max(seen, 1)}


def _alarmed(detector: Any, values: list[float]) -> bool:  # noqa: ANN401 (of a package without types)
    alarmed = False
    for value in values:
        detector.update(value)
        alarmed = alarmed or detector.drift_detected
    return alarmed


_FILES: dict[str, dict[str, Any]] = {}


def _read(path: str, *names: str) -> list[Any]:
    if path not in _FILES:
        _FILES.clear()
        with np.load(path) as file:
            _FILES[path] = dict(file)
    return [_FILES[path][name] for name in names]


if __name__ == "__main__":
    serve({"page_hinkley": page_hinkley, "kswin": kswin, "adwin": adwin})
