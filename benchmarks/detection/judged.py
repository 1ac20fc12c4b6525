"""A detector with its threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from benchmarks.detection.plain import Dummy
from benchmarks.detection.run_length import calibrated, first_alarm, run_length

if TYPE_CHECKING:
    from benchmarks.detection.problem import Streams
    from numpy.typing import NDArray

STEPS: Final = 40
FEW_STEPS: Final = 7
"""Of a bisection each step of which is another run."""


class Judged:
    """A detector set to a mean run length.

    Parameters
    ----------
    detector:
        See `LineUp.detectors`.
    wanted:
        The mean run length, in chunks.
    streams:
        Under H0.
    """

    def __init__(self, detector: Any, wanted: float, streams: Streams) -> None:  # noqa: ANN401 (one of many)
        self.detector = detector
        self.name: str = detector.name
        self.by_value = hasattr(detector, "values")
        self._values = detector.values(streams) if self.by_value else None
        self._streams = streams
        self.threshold = self.set_to(wanted)

    def set_to(self, wanted: float) -> float:
        """Give the threshold of a mean run length."""
        if isinstance(self.detector, Dummy):
            return self.detector.threshold(wanted)
        length = self._streams.length
        if self._values is not None:
            values = self._values
            finite = values[np.isfinite(values)]
            low, high = float(finite.min()), float(finite.max())
            # At the largest value there is an alarm: the threshold may be just above.
            high += 1e-9 * abs(high)
            return calibrated(lambda one: first_alarm(values, one), length, wanted, low, high, STEPS)

        def first(threshold: float) -> NDArray[np.int64]:
            return np.asarray(self.detector.first(self._streams, threshold))

        low, high = self.detector.lowest, self.detector.highest
        while run_length(first(high), length).mean < wanted and high < self.detector.utmost:
            low, high = high, 2 * high
        return calibrated(first, length, wanted, low, high, FEW_STEPS)

    def first(self, streams: Streams) -> NDArray[np.int64]:
        """Give the chunks of first alarms."""
        if self.by_value:
            return first_alarm(self.detector.values(streams), self.threshold)
        return np.asarray(self.detector.first(streams, self.threshold))
