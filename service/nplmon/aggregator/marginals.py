"""Marginals: data, reference and learned density ratio along each feature, the features ranked."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from nplmon.aggregator.binning import BINS
from nplmon.aggregator.overflow import told
from nplmon.aggregator.part import Applied, Part
from nplmon.broker.findings import FeatureRatio
from nplmon.nplm.contribution import BinnedFeatures
from nplmon.nplm.effect import FeatureSums, reference_mean_error
from nplmon.nplm.errors import StateError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.aggregator.binning import Binning
    from nplmon.broker.messages import Monitor, Snapshot
    from nplmon.nplm.aggregation import Aggregation
    from nplmon.nplm.contribution import Contribution
    from nplmon.prepared import Prepared


class Marginals(Part):
    """Histograms and means of one run against its reference.

    Parameters
    ----------
    monitor:
        Names and units of the features.
    prepared:
        The monitor's prepared reference.
    binning:
        The bins.
    """

    name = "marginals"

    def __init__(self, monitor: Monitor, prepared: Prepared, binning: Binning) -> None:
        self._monitor = monitor
        self._prepared = prepared
        # Moments and sizes of the reference, which all widths share.
        self._basis = prepared.widths[0].basis
        self._binned: dict[int, BinnedFeatures] = {}
        self._binning = binning
        self._weights = prepared.reference.v
        self._reference = self._histograms(self._weights)
        self._reference_squares = self._histograms(self._weights**2)
        features = len(monitor.features)
        self.counts = np.zeros((features, BINS))
        """Events of the run per feature and bin, float64 (d, BINS)."""
        self.sums = FeatureSums(0, np.zeros(features), np.zeros(features))

    @cached_property
    def _mean_error(self) -> NDArray[np.float64]:
        return reference_mean_error(self._basis, self._prepared.reference)

    def add(self, chunk: Applied) -> None:
        """Count the events of one chunk."""
        self.counts += [np.bincount(bins, minlength=BINS) for bins in self._binning.of(chunk.events)]
        self.sums += FeatureSums.of(self._basis, chunk.events)

    def to_bytes(self) -> bytes:
        """Serialise counts and sums, float64."""
        return self.counts.tobytes() + self.sums.sums.tobytes() + self.sums.squares.tobytes()

    def restore(self, body: bytes) -> None:
        """Continue from what `to_bytes` gave."""
        features = len(self.counts)
        if len(body) != self.counts.nbytes + 2 * 8 * features:
            raise StateError(f"{len(body)} bytes of marginals for {features} features: reset the run")
        values = np.frombuffer(body).copy()
        self.counts = values[: self.counts.size].reshape(self.counts.shape)
        sums, squares = values[self.counts.size :].reshape(2, features)
        self.sums = FeatureSums(int(self.counts[0].sum()), sums, squares)

    def shown(self, snapshot: Snapshot, run: Aggregation, log_ratio: NDArray[np.float64]) -> Snapshot:
        """Give the snapshot with the features."""
        scale = run.expected / self._basis.sum_weights
        ratio = [[told(r) for r in row.tolist()] for row in self._learned(log_ratio)]
        contributions = self._contributions(snapshot.winner, run, ratio)
        shifts = self.sums.shifts(self._mean_error) if self.sums.events > 1 else None
        features = []
        for j, (name, unit) in enumerate(zip(self._monitor.features, self._monitor.units, strict=True)):
            found = contributions[j]
            features.append(
                FeatureRatio(
                    name=name,
                    unit=unit,
                    edges=tuple(self._binning.edges[j].tolist()),
                    data=tuple(self.counts[j].tolist()),
                    reference=tuple((scale * self._reference[j]).tolist()),
                    reference_error=tuple((scale * np.sqrt(self._reference_squares[j])).tolist()),
                    learned=tuple(ratio[j]),
                    shift=float(self.sums.sums[j]) / self.sums.events,
                    shift_error=None if shifts is None else float(shifts.error[j]),
                    shift_low=None if shifts is None else float(shifts.low[j]),
                    shift_high=None if shifts is None else float(shifts.high[j]),
                    contribution=None if None in ratio[j] else found.value,
                    contribution_null_mean=found.null_mean,
                    contribution_null_deviation=found.null_deviation,
                )
            )
        return msgspec.structs.replace(snapshot, features=ranked(features))

    def _learned(self, log_ratio: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the mean of rbar over the reference in each bin, 1 in an empty one."""
        learned = self._histograms(self._weights * np.exp(log_ratio))
        empty = self._reference <= 0
        return np.asarray(np.where(empty, 1.0, learned / np.where(empty, 1.0, self._reference)))

    def _contributions(
        self, winner: int, run: Aggregation, ratio: list[list[float | None]]
    ) -> list[Contribution]:
        if winner not in self._binned:  # seconds for large references, and not needed before it is shown
            self._binned[winner] = BinnedFeatures.of(
                run.basis, run.reference_features, self._weights, self._binning.reference, BINS
            )
        h, h_squared = run.shrinkage_means
        finite = np.array([[1.0 if r is None else r for r in row] for row in ratio])
        return self._binned[winner].contributions(
            finite, mode=run.mode, expected=run.expected, h=h, h_squared=h_squared
        )

    def _histograms(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([np.bincount(bins, weights, BINS) for bins in self._binning.reference])


def ranked(features: list[FeatureRatio]) -> tuple[FeatureRatio, ...]:
    """Give the features, in their order, with their ranks.

    The first is the one whose contribution exceeds that of noise most. Where the learned ratio overflows, and says
    nothing any more, it is the one whose mean is moved by most of its errors.
    """

    def importance(place: int) -> float:
        one = features[place]
        if all(other.contribution is not None for other in features):
            return (one.contribution or 0.0) - one.contribution_null_mean
        return abs(one.shift) / one.shift_error if one.shift_error else 0.0

    order = sorted(range(len(features)), key=importance, reverse=True)
    return tuple(
        msgspec.structs.replace(one, rank=order.index(place) + 1) for place, one in enumerate(features)
    )
