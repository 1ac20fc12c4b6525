r"""Where the learned ratio is away from 1: its divergence in the bins of a feature, beside what noise makes of it.

With :math:`V_b` the weight of the reference in bin b and :math:`r_b` the mean of :math:`\bar r` there, a feature
contributes (ours)

.. math:: D = 2 W \sum_b V_b (r_b \log r_b - r_b + 1),

the part of t_ref that its marginal distribution alone shows: :math:`D \le t_{ref}`, since merging events into bins only
loses. Under H0 :math:`r_b - 1` is to first order Gaussian with the covariance

.. math:: C_{bb'} = \Lambda^{-1} \left[ \sum_j w_j \psi_{bj} \psi_{b'j} / \mu_j - u_b u_{b'} \right], \qquad
          u_b = \sum_j \sqrt{w'_j} \, m_j \psi_{bj} / \mu_j

where :math:`\psi_{bj}` is the mean of psi over the reference in the bin and w the weights of t_ref; in mode "shape"
psi - m stands for psi and w' = w, in mode "rate" w' is the reference's part of w, as for the effect size. So D has the
mean :math:`W \sum_b V_b C_{bb}` and the variance
:math:`2 W^2 \sum_{bb'} V_b V_{b'} C_{bb'}^2`. numpy and scipy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import special

from nplmon.nplm.null import Nulls

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis
    from nplmon.nplm.null import Mode

MOST_PRODUCTS: Final = 5e10
"""Multiplications, a second or two, for the bins' mean features: all reference events where that is enough (five
features, 100,000 events and 900 components take 2e10), else as many, evenly spaced. With n of them in a bin the null
mean is too large by about (degrees of freedom) / n."""
BLOCK: Final = 4096


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """The divergence of a learned marginal ratio, and what noise alone makes of it.

    Attributes
    ----------
    value:
        D, in the units of t.
    null_mean, null_deviation:
        Its expectation and standard deviation under H0, in closed form.
    """

    value: float
    null_mean: float
    null_deviation: float

    @property
    def excess(self) -> float:
        """What is left without noise: 0 on average under H0. Features are ranked by it."""
        return self.value - self.null_mean


@dataclass(frozen=True)
class BinnedFeatures:
    """What the noise in the bins of d features needs of the reference.

    Attributes
    ----------
    basis:
        The reference eigenbasis.
    weights:
        V_b, the weight of the reference in each bin, float64 (d, bins).
    means:
        The mean of psi over the reference in each bin, 0 in an empty one, float32 (d, bins, r).

    Examples
    --------
    >>> from nplmon.nplm.preparation import prepare
    >>> events = np.random.default_rng(0).normal(size=(20_000, 1))
    >>> basis = prepare(events, centres=50, lambda_=1e-4)
    >>> quarters = np.digitize(events.T, (-0.67, 0.0, 0.67)).astype(np.uint8)
    >>> binned = BinnedFeatures.of(basis, basis.features(events), np.ones(20_000), quarters, 4)
    >>> h = basis.shrinkage(500.0)
    >>> run = {"mode": "shape", "expected": 500.0, "h": h, "h_squared": h**2}
    >>> found = binned.contributions(np.array([[1.1, 1.0, 1.0, 0.9]]), **run)[0]
    >>> round(found.value, 1), round(found.null_mean, 1)
    (2.5, 1.2)
    """

    basis: Basis
    weights: NDArray[np.float64]
    means: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        basis: Basis,
        features: NDArray[np.float32],
        weights: NDArray[np.float64],
        bins: NDArray[np.uint8],
        count: int,
    ) -> BinnedFeatures:
        """Average the features of the reference in bins.

        Parameters
        ----------
        basis:
            The reference eigenbasis.
        features:
            psi at the reference events, float32 (N_R, r).
        weights:
            v, float64 (N_R,).
        bins:
            The bin of each event in each feature, uint8 (d, N_R).
        count:
            The number of bins.
        """
        total = np.array([np.bincount(row, weights, count) for row in bins])
        rows = slice(None, None, int(np.ceil(total.size * basis.size * len(weights) / MOST_PRODUCTS)))
        psi, v, sampled = features[rows], weights[rows].astype(np.float32), bins[:, rows]
        sums = np.zeros((total.size, basis.size))
        offsets = count * np.arange(len(bins))[:, None]
        for start in range(0, len(psi), BLOCK):
            block = slice(start, min(start + BLOCK, len(psi)))
            size = block.stop - block.start
            inside = np.zeros((total.size, size), dtype=np.float32)
            inside[sampled[:, block] + offsets, np.arange(size)] = v[block]
            sums += inside @ psi[block]
        kept = np.array([np.bincount(row, v, count) for row in sampled]).reshape(-1, 1)
        means = np.divide(sums, kept, out=np.zeros_like(sums), where=kept > 0)
        return cls(basis, total, means.reshape(*total.shape, basis.size).astype(np.float32))

    def contributions(
        self,
        ratio: NDArray[np.float64],
        *,
        mode: Mode,
        expected: float,
        h: NDArray[np.float64],
        h_squared: NDArray[np.float64],
    ) -> list[Contribution]:
        """Give each feature's contribution.

        Parameters
        ----------
        ratio:
            r_b, the reference's mean of rbar in each bin, float64 (d, bins); anything in empty bins.
        mode:
            "shape" or "rate".
        expected, h, h_squared:
            As for `Nulls.aggregated`.
        """
        basis, scale = self.basis, expected / self.basis.sum_weights
        component = Nulls(basis=basis, mode=mode).divergence_weights(expected, h, h_squared)
        noise = np.sqrt(component / (expected * basis.second_moment)).astype(np.float32)
        shared = component if mode == "shape" else component - h_squared
        q = (basis.mean_feature * np.sqrt(shared / (component * basis.second_moment))).astype(np.float32)
        found = []
        for means, weights, r in zip(self.means, scale * self.weights, ratio, strict=True):
            psi = (means - (basis.mean_feature if mode == "shape" else 0.0)).astype(np.float32) * noise
            along = (psi @ q).astype(np.float64)
            covariance = (psi @ psi.T).astype(np.float64) - np.outer(along, along)
            divergence = np.where(weights > 0, special.xlogy(r, r) - r + 1, 0.0)
            variance = 2 * float(weights @ covariance**2 @ weights)
            found.append(
                Contribution(
                    value=2 * float(weights @ divergence),
                    null_mean=float(weights @ np.diag(covariance)),
                    null_deviation=variance**0.5,
                )
            )
        return found
