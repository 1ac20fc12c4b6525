"""Pairs: counts in the cells of each two features, and a map of the pair that differs most."""

from __future__ import annotations

from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from nplmon.aggregator.binning import BINS
from nplmon.aggregator.overflow import told
from nplmon.aggregator.part import Applied, Part
from nplmon.broker.findings import PairMap
from nplmon.nplm.errors import StateError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.aggregator.binning import Binning
    from nplmon.broker.messages import Monitor, Snapshot
    from nplmon.nplm.aggregation import Aggregation
    from nplmon.nplm.reference import Reference

CELLS: Final = 20
"""Along each feature; each is two of its bins."""
MAPPED: Final = 24
"""Features whose pairs are counted, the first ones of a monitor: at most 276 pairs, 0.9 MB."""
SAMPLE: Final = 200_000
"""Reference events that tell what to expect in a cell."""
FEWEST: Final = 5.0
"""Cells with fewer expected events are taken together in the choice of the pair: few counts are not Gaussian."""


class Pairs(Part):
    """Counts of one run in two dimensions.

    Parameters
    ----------
    monitor:
        Names of the features, and the mode.
    reference:
        The reference, (N_R, d).
    binning:
        The bins.
    """

    name = "pairs"

    def __init__(self, monitor: Monitor, reference: Reference, binning: Binning) -> None:
        self._monitor = monitor
        self._weights = reference.v
        self._binning = binning
        self._pairs = list(combinations(range(min(len(monitor.features), MAPPED)), 2))
        self.counts = np.zeros((len(self._pairs), CELLS * CELLS), dtype=np.int64)
        """Events of the run per pair and cell, int64 (pairs, CELLS^2)."""

    @cached_property
    def _reference(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Shares of the reference's weight in each cell, and the squares of their errors; like `counts`."""
        rows = slice(None, None, -(-len(self._weights) // SAMPLE))
        cells, v = _cells(self._binning.reference[:, rows]), self._weights[rows] / self._weights[rows].sum()
        size = CELLS * CELLS
        shares = [np.bincount(cells[i] * CELLS + cells[j], v, size) for i, j in self._pairs]
        squares = [np.bincount(cells[i] * CELLS + cells[j], v**2, size) for i, j in self._pairs]
        return np.array(shares), np.array(squares)

    def add(self, chunk: Applied) -> None:
        """Count the events of one chunk."""
        cells = _cells(self._binning.of(chunk.events))
        for counts, (i, j) in zip(self.counts, self._pairs, strict=True):
            np.add(counts, np.bincount(cells[i] * CELLS + cells[j], minlength=CELLS * CELLS), out=counts)

    def to_bytes(self) -> bytes:
        """Serialise the counts, int64."""
        return self.counts.tobytes()

    def restore(self, body: bytes) -> None:
        """Continue from what `to_bytes` gave."""
        if len(body) != self.counts.nbytes:
            raise StateError(f"{len(body)} bytes of counts for {len(self._pairs)} pairs: reset the run")
        self.counts = np.frombuffer(body, dtype=np.int64).reshape(self.counts.shape).copy()

    def shown(self, snapshot: Snapshot, run: Aggregation, log_ratio: NDArray[np.float64]) -> Snapshot:
        """Give the snapshot with the map of the pair that differs most; none of a single feature."""
        if not self._pairs:
            return snapshot
        excesses = self._excesses(run.expected)
        best = int(np.argmax(excesses))
        i, j = self._pairs[best]
        cells = _cells(self._binning.reference[[i, j]])
        place = cells[0] * CELLS + cells[1]
        weights = np.bincount(place, self._weights, CELLS * CELLS)
        learned = np.bincount(place, self._weights * np.exp(log_ratio), CELLS * CELLS)
        ratio = np.where(weights > 0, learned / np.where(weights > 0, weights, 1.0), 1.0)
        expected = run.expected * weights / weights.sum()
        rows = range(0, CELLS * CELLS, CELLS)
        names, edges = self._monitor.features, self._binning.edges
        return msgspec.structs.replace(
            snapshot,
            pair=PairMap(
                x=names[i],
                y=names[j],
                x_edges=tuple(edges[i][:: BINS // CELLS].tolist()),
                y_edges=tuple(edges[j][:: BINS // CELLS].tolist()),
                data=tuple(tuple(self.counts[best, k : k + CELLS].tolist()) for k in rows),
                reference=tuple(tuple(expected[k : k + CELLS].tolist()) for k in rows),
                learned=tuple(tuple(told(r) for r in ratio[k : k + CELLS].tolist()) for k in rows),
                excess=float(excesses[best]),
            ),
        )

    def _excesses(self, expected: float) -> NDArray[np.float64]:
        """Give chi^2 of data and reference in the cells of each pair, less its mean, in standard deviations.

        In mode "shape" the numbers of events are the same, which takes one degree of freedom.
        """
        shares, squares = self._reference
        events = int(self.counts[0].sum()) if self._monitor.mode == "shape" else expected
        lam, variance = events * shares, events * shares + events**2 * squares
        full = lam >= FEWEST
        chi_squared = np.where(full, (self.counts - lam) ** 2 / np.where(full, variance, 1.0), 0.0).sum(
            axis=1
        )
        rest, error = ((self.counts - lam) * ~full).sum(axis=1), (variance * ~full).sum(axis=1)
        degrees = full.sum(axis=1) + (error > 0) - (self._monitor.mode == "shape")
        chi_squared += np.divide(rest**2, error, out=np.zeros_like(error), where=error > 0)
        return np.asarray((chi_squared - degrees) / np.sqrt(2 * np.maximum(degrees, 1)))


def _cells(bins: NDArray[np.uint8]) -> NDArray[np.intp]:
    return (bins // (BINS // CELLS)).astype(np.intp)
