r"""How large a difference is, beside how significant: the learned ratio's distance from 1 and shifts of the means.

With many events a harmless difference is significant, and with few a learned ratio is away from 1 by noise alone.
:math:`E = V^{-1} \sum_R v |\bar r - 1|` is therefore given with what is expected of it under H0 (ours): there
:math:`\bar r - 1` is to first order Gaussian at each point, with the variance

.. math:: \sigma^2(x) = \Lambda^{-1} \left[ \sum_j w_j \psi_j^2 / \mu_j -
          \Big( \sum_j \sqrt{u_j} \, m_j \psi_j / \mu_j \Big)^2 \right], \qquad
          w = \langle h^2 \rangle + \langle h \rangle^2 \Lambda / N_{eff}

with u = w in mode "shape", where psi - m stands for psi, since the ratio's mean is 1, and the second term of w, the
reference's error, in mode "rate". So
:math:`E_0 = V^{-1} \sum_R v \sqrt{2 / \pi} \, \sigma`. numpy and scipy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

from nplmon.nplm.basis import standardise
from nplmon.nplm.null import Nulls

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis
    from nplmon.nplm.null import Mode
    from nplmon.nplm.reference import Reference

MEAN_SAMPLE: Final = 4_000
"""Reference events over which the expectation is averaged: right to 1 or 2 %."""
PAIR_SAMPLE: Final = 300
"""Reference events whose pairs, 45,000, give the deviation."""


@dataclass(frozen=True, kw_only=True)
class EffectSize:
    """The weighted mean of |rbar - 1| over the reference, and what noise alone makes of it.

    Attributes
    ----------
    value:
        E; infinite where the ratio overflows.
    null_mean, null_deviation:
        Its expectation and standard deviation under H0, in closed form.
    """

    value: float
    null_mean: float
    null_deviation: float

    @property
    def excess(self) -> float:
        """What is left without noise: 0 on average under H0, and nearer to E the larger a difference is."""
        return self.value - self.null_mean


def effect_size(
    basis: Basis,
    features: NDArray[np.float32],
    weights: NDArray[np.float64],
    log_ratio: NDArray[np.float64],
    *,
    mode: Mode,
    expected: float,
    h: NDArray[np.float64],
    h_squared: NDArray[np.float64],
) -> EffectSize:
    """Give the effect size of an averaged ratio, with its closed-form null.

    Parameters
    ----------
    basis:
        The reference eigenbasis.
    features:
        psi at the reference events, float32 (N_R, r).
    weights:
        v, float64 (N_R,).
    log_ratio:
        log rbar at the reference events, float64 (N_R,), in mode "shape" of mean 1.
    mode:
        "shape" or "rate".
    expected, h, h_squared:
        As for `Nulls.aggregated`.

    Examples
    --------
    >>> from nplmon.nplm.preparation import prepare
    >>> events = np.random.default_rng(0).normal(size=(20_000, 1))
    >>> basis = prepare(events, centres=50, lambda_=1e-4)
    >>> h = basis.shrinkage(500.0)
    >>> noise = effect_size(
    ...     basis, basis.features(events), np.ones(20_000), np.zeros(20_000),
    ...     mode="shape", expected=500.0, h=h, h_squared=h**2,
    ... )
    >>> noise.value, round(noise.null_mean, 2)
    (0.0, 0.04)
    """
    with np.errstate(over="ignore"):
        value = float(weights @ np.abs(np.expm1(log_ratio))) / basis.sum_weights
    component = Nulls(basis=basis, mode=mode).divergence_weights(expected, h, h_squared)
    scale = np.sqrt(component / (expected * basis.second_moment))
    shared = component if mode == "shape" else component - h_squared
    q = basis.mean_feature * np.sqrt(shared / (component * basis.second_moment))

    def noise(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Give v, standardised psi and its part along q, for about `count` reference events."""
        rows = slice(None, None, max(1, len(weights) // count))
        psi = features[rows].astype(np.float64)
        scaled = (psi - basis.mean_feature if mode == "shape" else psi) * scale
        return weights[rows], scaled, scaled @ q

    v, psi, along = noise(MEAN_SAMPLE)
    sigma = np.sqrt(np.maximum((psi**2).sum(axis=1) - along**2, 0.0))
    mean = float(np.sqrt(2 / np.pi) * (v @ sigma) / v.sum())

    # E |f f'| of two Gaussian numbers with correlation rho (Nabeya 1951).
    v, psi, along = noise(PAIR_SAMPLE)
    covariance = psi @ psi.T - np.outer(along, along)
    sigma = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    product = np.outer(sigma, sigma)
    rho = np.clip(np.divide(covariance, product, out=np.zeros_like(product), where=product > 0), -1, 1)
    excess = product * (np.sqrt(1 - rho**2) + rho * np.arcsin(rho) - 1)
    # Among all events hardly any pair is one event twice; in the sample too many would be.
    np.fill_diagonal(excess, 0.0)
    variance = float(2 / np.pi * (v @ excess @ v) / (v.sum() ** 2 - v @ v))
    return EffectSize(value=value, null_mean=mean, null_deviation=max(variance, 0.0) ** 0.5)


@dataclass(frozen=True, kw_only=True)
class MeanShifts:
    """Shifts of the features' means, data minus reference, in standard deviations of the reference.

    Attributes
    ----------
    shift, error:
        Float64 (d,); the error has both samples' in it.
    low, high:
        Confidence interval of each feature by itself, float64 (d,).
    """

    shift: NDArray[np.float64]
    error: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class FeatureSums:
    """What the mean shifts need of a run: its chunks' sums add up.

    Attributes
    ----------
    events:
        N.
    sums, squares:
        Sums of z and z^2 over the events, z = (x - mean) / scale with the reference's mean and scale, float64 (d,).

    Examples
    --------
    >>> from nplmon.nplm.preparation import prepare
    >>> from nplmon.nplm.reference import Reference
    >>> rng = np.random.default_rng(0)
    >>> reference = Reference(rng.normal(size=(20_000, 2)))
    >>> basis = prepare(reference.events, centres=20)
    >>> run = FeatureSums.of(basis, rng.normal(size=(500, 2)))
    >>> run += FeatureSums.of(basis, rng.normal((0.5, 0.0), size=(500, 2)))
    >>> found = run.shifts(reference_mean_error(basis, reference))
    >>> found.error.round(3).tolist(), bool(found.low[0] < 0.25 < found.high[0])
    ([0.033, 0.032], True)
    """

    events: int
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def of(cls, basis: Basis, events: NDArray[np.floating]) -> FeatureSums:
        """Sum over the events (N, d), in feature units."""
        z = standardise(events, basis.mean, basis.scale)
        return cls(len(z), z.sum(axis=0), (z**2).sum(axis=0))

    def __add__(self, other: FeatureSums) -> FeatureSums:
        """Sum over both."""
        return FeatureSums(self.events + other.events, self.sums + other.sums, self.squares + other.squares)

    def shifts(self, reference_error: NDArray[np.float64], confidence: float = 0.95) -> MeanShifts:
        """Give the shifts of the means with intervals (Welch 1947: both samples' variances, neither known).

        Each interval is for one feature; of d features without a shift about d (1 - confidence) exclude 0. They assume
        that the mean of N events is nearly Gaussian.

        Parameters
        ----------
        reference_error:
            What `reference_mean_error` gives.
        confidence:
            Of the intervals.

        Raises
        ------
        ValueError
            If there are fewer than two events: one has no spread.
        """
        if self.events < 2:
            raise ValueError(f"{self.events} events: an error of their mean takes at least two")
        if not 0 < confidence < 1:
            raise ValueError(f"a confidence of {confidence}: give one between 0 and 1")
        shift = self.sums / self.events
        # Rounding may leave less than 0 of a constant feature.
        spread = np.maximum(self.squares / self.events - shift**2, 0.0)
        variance = spread / (self.events - 1)
        error = np.sqrt(variance + reference_error**2)
        # The reference's own degrees of freedom are taken to be without limit; so are those of a constant feature.
        degrees = (self.events - 1) / np.maximum(variance / error**2, 1e-6) ** 2
        half = stats.t.isf((1 - confidence) / 2, degrees) * error
        return MeanShifts(shift=shift, error=error, low=shift - half, high=shift + half)


def reference_mean_error(basis: Basis, reference: Reference) -> NDArray[np.float64]:
    """Give the standard error of the reference's means in its standard deviations, float64 (d,).

    sqrt(sum v^2 z^2) / V: weights that depend on a feature are accounted for, as 1 / sqrt(N_eff) does not.
    """
    z = standardise(reference.events, basis.mean, basis.scale)
    if reference.weights is None:
        return np.asarray(np.sqrt((z**2).sum(axis=0)) / len(z))
    v = reference.weights
    return np.asarray(np.sqrt(v**2 @ z**2) / v.sum())
