"""Marginals: data, reference and learned density ratio along each feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from nplmon.aggregator.part import Applied, Part
from nplmon.broker.messages import FeatureRatio
from nplmon.nplm.errors import StateError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.broker.messages import Monitor, Snapshot
    from nplmon.nplm.aggregation import Aggregation
    from nplmon.nplm.basis import Basis
    from nplmon.nplm.reference import Reference

BINS = 40
COVERED = (0.001, 0.999)
"""Quantiles of the reference between which the bins are; events outside are counted in the outermost bins."""


class Marginals(Part):
    """Histograms of one run against its reference.

    Parameters
    ----------
    monitor:
        Names and units of the features.
    reference:
        The reference, (N_R, d).
    basis:
        Its eigenbasis, for means, deviations and N_eff.
    """

    name = "marginals"

    def __init__(self, monitor: Monitor, reference: Reference, basis: Basis) -> None:
        self._monitor = monitor
        self._basis = basis
        events = reference.events
        self._weights = reference.v
        self._edges = [_edges(column) for column in events.T]
        self._bins = [_bin(column, edges) for column, edges in zip(events.T, self._edges, strict=True)]
        self._reference = self._histograms(self._weights)
        self._reference_squares = self._histograms(self._weights**2)
        self.counts = np.zeros((len(self._edges), BINS))
        """Events of the run per feature and bin, float64 (d, BINS)."""
        self.sums = np.zeros(len(self._edges))
        """Sum over the run's events of (x - mean) / scale, float64 (d,)."""

    def add(self, chunk: Applied) -> None:
        """Count the events of one chunk."""
        events = chunk.events
        for j, (column, edges) in enumerate(zip(events.T, self._edges, strict=True)):
            self.counts[j] += np.bincount(_bin(column, edges), minlength=BINS)
        self.sums += ((events.astype(np.float64) - self._basis.mean) / self._basis.scale).sum(axis=0)

    def to_bytes(self) -> bytes:
        """Serialise counts and sums, float64."""
        return self.counts.tobytes() + self.sums.tobytes()

    def restore(self, body: bytes) -> None:
        """Continue from what `to_bytes` gave."""
        if len(body) != self.counts.nbytes + self.sums.nbytes:
            raise StateError(f"{len(body)} bytes of marginals for {self.sums.size} features: reset the run")
        values = np.frombuffer(body).copy()
        self.counts = values[: self.counts.size].reshape(self.counts.shape)
        self.sums = values[self.counts.size :]

    def shown(self, snapshot: Snapshot, run: Aggregation, log_ratio: NDArray[np.float64]) -> Snapshot:
        """Give the snapshot with the features."""
        return msgspec.structs.replace(snapshot, features=self.against(log_ratio, run.expected))

    def against(self, log_ratio: NDArray[np.float64], expected: float) -> tuple[FeatureRatio, ...]:
        """Compare with the reference, scaled to the run's expected count.

        Parameters
        ----------
        log_ratio:
            log rbar at the reference events, float64 (N_R,).
        expected:
            Lambda.
        """
        scale = expected / self._basis.sum_weights
        learned = self._histograms(self._weights * np.exp(log_ratio))
        events = float(self.counts[0].sum())
        shift_error = float(np.sqrt(1 / events + 1 / self._basis.effective_events))
        result = []
        for j, (name, unit) in enumerate(zip(self._monitor.features, self._monitor.units, strict=True)):
            empty = self._reference[j] <= 0
            ratio = np.where(empty, 1.0, learned[j] / np.where(empty, 1.0, self._reference[j]))
            result.append(
                FeatureRatio(
                    name=name,
                    unit=unit,
                    edges=tuple(self._edges[j].tolist()),
                    data=tuple(self.counts[j].tolist()),
                    reference=tuple((scale * self._reference[j]).tolist()),
                    reference_error=tuple((scale * np.sqrt(self._reference_squares[j])).tolist()),
                    learned=tuple(ratio.tolist()),
                    shift=float(self.sums[j]) / events,
                    shift_error=shift_error,
                )
            )
        return tuple(result)

    def _histograms(self, weights: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        return [np.bincount(bins, weights=weights, minlength=BINS).astype(np.float64) for bins in self._bins]


def _edges(column: NDArray[np.float32]) -> NDArray[np.float64]:
    low, high = np.quantile(column, COVERED).astype(np.float64)
    if low == high:  # nearly all of the reference has one value
        low, high = float(column.min()), float(column.max())
    return np.linspace(low, high, BINS + 1)


def _bin(column: NDArray[np.float32], edges: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.clip(np.searchsorted(edges, column, side="right") - 1, 0, BINS - 1)
