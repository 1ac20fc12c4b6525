"""Binning: which bin of each feature an event is in, the same for all that is counted of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.nplm.reference import Reference

BINS = 40
COVERED = (0.001, 0.999)
"""Quantiles of the reference between which the bins are; events outside are counted in the outermost bins."""


class Binning:
    """Equal bins along each feature.

    Parameters
    ----------
    reference:
        The reference, (N_R, d).
    """

    def __init__(self, reference: Reference) -> None:
        self.edges = [_edges(column) for column in reference.events.T]
        """Float64 (BINS + 1,) of each feature."""
        self.reference = self.of(reference.events)
        """Of the reference events, uint8 (d, N_R)."""

    def of(self, events: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Give the bin of each event (N, d) in each feature, uint8 (d, N)."""
        found = np.empty(events.T.shape, dtype=np.uint8)
        for row, column, edges in zip(found, events.T, self.edges, strict=True):
            row[:] = np.clip(np.searchsorted(edges, column, side="right") - 1, 0, BINS - 1)
        return found


def _edges(column: NDArray[np.floating]) -> NDArray[np.float64]:
    low, high = np.quantile(column, COVERED).astype(np.float64)
    if low == high:  # nearly all of the reference has one value
        low, high = float(column.min()), float(column.max())
    return np.linspace(low, high, BINS + 1)
