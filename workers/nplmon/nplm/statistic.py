r"""The cumulative test statistics: their formulas, once for all model families, and a value with its null.

With the averaged ratio :math:`\bar r` of a run, :math:`\Lambda` its expected count and :math:`W = \Lambda / V`
(Grosso, arXiv:2407.01249, section 3; weights by exposure are ours):

- :math:`t_{agg} = 2 [\sum_{\cup D_k} \log \bar r - W \sum_R v (\bar r - 1)]`;
- :math:`t_{ref} = 2 W \sum_R v (\bar r \log \bar r - \bar r + 1)`.

numpy and scipy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis
    from nplmon.nplm.null import ChiSquareSum, Mode

LEVERAGE_SAMPLE: Final = 10_000


@dataclass(frozen=True, kw_only=True)
class TestStatistic:
    """One statistic of a run with its closed-form null.

    Attributes
    ----------
    value:
        The statistic, on the scale of 2 log likelihood ratio.
    null:
        Its distribution under H0 at the present n.
    chunks:
        The number of chunks in it; smaller than the run's where `frozen`.
    frozen:
        True where the cap on kept events has stopped it.
    excess:
        What the value is expected to lie above the null by, in the next order; only t_agg has any.

    Examples
    --------
    >>> from nplmon.nplm.null import ChiSquareSum
    >>> one = TestStatistic(value=3.0, null=ChiSquareSum(np.ones(1), np.ones(1)), chunks=1, excess=0.5)
    >>> round(float(np.exp(one.log_p)), 4), round(one.threshold(0.05), 3)
    (0.1138, 4.341)
    """

    value: float
    null: ChiSquareSum
    chunks: int
    frozen: bool = False
    excess: float = 0.0

    @property
    def log_p(self) -> float:
        """Logarithm of the p-value, the excess taken off."""
        return self.null.log_tail(self.value - self.excess)

    def threshold(self, p: float) -> float:
        """Give the value that is reached with probability p under H0, the excess included."""
        return self.null.quantile(p) + self.excess


def log_mean(log_ratio: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Give the log of a ratio's mean over the reference: what the averaged ratio is divided by in mode "shape".

    Parameters
    ----------
    log_ratio:
        log r at the reference events, float64 (N_R,).
    weights:
        v, float64 (N_R,).

    Examples
    --------
    >>> round(log_mean(np.log([1.0, 3.0]), np.ones(2)), 6)
    0.693147
    """
    return float(special.logsumexp(log_ratio, b=weights) - np.log(weights.sum()))


def t_agg(
    at_events: NDArray[np.float64],
    log_ratio: NDArray[np.float64],
    weights: NDArray[np.float64],
    expected: float,
    mode: Mode,
) -> float:
    """Compute t_agg of events under an averaged ratio.

    Parameters
    ----------
    at_events:
        log rbar at the events, float64 (N,).
    log_ratio:
        log rbar at the reference events, float64 (N_R,), in mode "shape" of mean 1.
    weights:
        v, float64 (N_R,).
    expected:
        Lambda, the expected count of these events.
    mode:
        In mode "shape" the second term vanishes.

    Examples
    --------
    >>> t_agg(np.zeros(3), np.log([0.5, 2.0]), np.ones(2), 4.0, "rate")
    -2.0
    """
    found = float(np.sum(at_events))
    if mode == "rate":
        found -= expected / float(weights.sum()) * float(weights @ np.expm1(log_ratio))
    return 2 * found


def t_ref(log_ratio: NDArray[np.float64], weights: NDArray[np.float64], expected: float) -> float:
    """Compute t_ref: how far an averaged ratio is from 1 over the reference, for Lambda expected events.

    Parameters
    ----------
    log_ratio:
        log rbar at the reference events, float64 (N_R,).
    weights:
        v, float64 (N_R,).
    expected:
        Lambda.

    Examples
    --------
    >>> t_ref(np.zeros(5), np.ones(5), 10.0)
    0.0
    """
    ratio = np.exp(log_ratio)
    distance = float(weights @ (ratio * log_ratio - np.expm1(log_ratio)))
    return 2 * expected / float(weights.sum()) * distance


def excess(
    basis: Basis,
    reference_features: NDArray[np.float32],
    weights: NDArray[np.float64],
    chunks: NDArray[np.float64],
    sizes: NDArray[np.float64],
) -> NDArray[np.float64]:
    r"""Give what t_agg is expected to exceed its null by, :math:`(1 - 1/n) \, N \, E_R[q^2]`.

    The average of :math:`e^{f_k}` contains the variance of the :math:`f_k`, and each f_k is larger at the events
    that it was fitted to; with the leverage :math:`q(x) = \sum_j \psi_j(x)^2 / (N \mu_j + \Lambda^{pen})` of one
    event this is the leading term in 1/N (ours). It is an upper estimate: an event of leverage above 1 moves f by
    less than its leverage. The expectation is over 10,000 reference events.

    Parameters
    ----------
    basis:
        The reference eigenbasis.
    reference_features:
        psi at the reference events, float32 (N_R, r).
    weights:
        v, float64 (N_R,).
    chunks, sizes:
        n and N, the mean count of a chunk, float64 (k,).

    Returns
    -------
    NDArray[np.float64]
        (k,).
    """
    rows = slice(None, None, max(1, len(weights) // LEVERAGE_SAMPLE))
    v, psi = weights[rows], reference_features[rows]
    curvature = np.outer(sizes, basis.second_moment) + basis.lambda_ * (basis.events + sizes[:, None])
    leverage = psi**2 @ (1 / curvature).astype(np.float32).T
    return np.asarray((1 - 1 / chunks) * sizes * (v @ leverage.astype(np.float64) ** 2) / v.sum())
