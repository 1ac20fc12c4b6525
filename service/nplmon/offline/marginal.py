"""Marginals: data, reference and learned density ratio along each feature, in bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BINS = 40
COVERED = (0.001, 0.999)
"""Quantiles of the reference, and of the data, between which the bins are."""
ONE_SIGMA = 0.682689492137086


@dataclass(frozen=True, kw_only=True)
class Marginal:
    """Counts along one feature; events beyond the outer edges are counted in the outermost bins.

    Attributes
    ----------
    name, unit:
        Of the feature; the unit is "" where it is not known.
    edges:
        float64 (B + 1,), in feature units.
    data:
        Data events in each bin, float64 (B,).
    reference, reference_error:
        Reference scaled to the expected count, and its statistical error.
    learned:
        The reference scaled and reweighted by the learned density ratio.
    shift, shift_error:
        Difference of the means, data minus reference, in standard deviations of the reference, and its
        statistical error.
    """

    name: str
    unit: str
    edges: NDArray[np.float64]
    data: NDArray[np.float64]
    reference: NDArray[np.float64]
    reference_error: NDArray[np.float64]
    learned: NDArray[np.float64]
    shift: float
    shift_error: float

    @property
    def data_interval(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        r"""Lower and upper end of the central 68 % Poisson interval of each bin (Garwood 1936).

        From :math:`P^{-1}(n, \alpha / 2)` to :math:`P^{-1}(n + 1, 1 - \alpha / 2)` with the regularised incomplete
        gamma function P; from 0 where n = 0.
        """
        n, half = self.data, (1 - ONE_SIGMA) / 2
        low = np.where(n > 0, special.gammaincinv(np.maximum(n, 1), half), 0.0)
        return low, np.asarray(special.gammaincinv(n + 1, 1 - half))


def marginals(
    reference: NDArray[np.floating],
    weights: NDArray[np.float64] | None,
    log_ratio: NDArray[np.float64],
    data: NDArray[np.floating],
    expected: float,
    *,
    features: Sequence[str],
    units: Sequence[str],
) -> list[Marginal]:
    """Bin data and reference along each feature.

    Parameters
    ----------
    reference, weights:
        Events (N_R, d) and their weights (N_R,); None for 1 each.
    log_ratio:
        Log of the learned ratio at the reference events, float64 (N_R,).
    data:
        Events (N, d).
    expected:
        Of them under H0: what the reference is scaled to.
    features, units:
        Names and units of the d columns.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(1_000, 1))
    >>> (one,) = marginals(x, None, np.zeros(1_000), x[:100], 100.0, features=["x"], units=["mm"])
    >>> float(one.data.sum()), round(float(one.reference.sum()), 9), bool(np.all(one.learned == one.reference))
    (100.0, 100.0, True)
    """
    v = np.ones(len(reference)) if weights is None else weights
    total, squares = float(v.sum()), float(v @ v)
    scale = expected / total
    learned = v * np.exp(log_ratio)
    result = []
    for name, unit, r, x in zip(features, units, reference.T, data.T, strict=True):
        edges = _edges(r, x)
        mean = float(v @ r) / total
        deviation = float(np.sqrt(v @ (r - mean) ** 2 / total))
        result.append(
            Marginal(
                name=name,
                unit=unit,
                edges=edges,
                data=_count(x, edges),
                reference=scale * _count(r, edges, v),
                reference_error=scale * np.sqrt(_count(r, edges, v**2)),
                learned=scale * _count(r, edges, learned),
                shift=(float(x.mean(dtype=np.float64)) - mean) / deviation,
                shift_error=float(np.sqrt(1 / len(x) + squares / total**2)),
            )
        )
    return result


def _edges(reference: NDArray[np.floating], data: NDArray[np.floating]) -> NDArray[np.float64]:
    """Choose equal bins; around each whole number where the reference has few values, all of them whole."""
    values = np.unique(reference)
    if len(values) <= BINS and np.all(values == np.round(values)) and np.ptp(values) <= BINS:
        return np.arange(values[0], values[-1] + 2, dtype=np.float64) - 0.5
    covered = np.concatenate([np.quantile(reference, COVERED), np.quantile(data, COVERED)])
    low, high = float(covered.min()), float(covered.max())
    if low == high:  # nearly all events have one value
        low, high = float(values[0]), float(values[-1])
    return np.linspace(low, high, BINS + 1)


def _count(
    x: NDArray[np.floating], edges: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    bins = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
    return np.bincount(bins, weights=weights, minlength=len(edges) - 1).astype(np.float64)
