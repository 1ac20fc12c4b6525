r"""The rate test of a shape-only monitor: whether there are as many events as there should be.

In mode "shape" the number of events is conditioned on, so it is free for a test of its own, exact at any count:

- the rate is known: :math:`N \sim Poisson(rate \cdot \tau)`;
- it is measured in a control exposure :math:`\tau_0` with :math:`N_0` events and their own Poisson error: given
  :math:`N + N_0`, :math:`N \sim Binomial(N + N_0, \tau / (\tau + \tau_0))` whatever the rate is
  (Przyborowski & Wilenski 1940).

Counts and exposures of chunks add, and with them both tests: the sum of a run's chunks is tested as one. The two-sided
p-value is twice that of the smaller tail (at most 1), the one that belongs to central confidence intervals. Counts are
discrete, so p <= a has a probability of at most a. numpy and scipy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import special

from nplmon.nplm.null import significance

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LARGEST_COUNT: Final = 10**12
"""A tail has about the square root of the count in terms."""
DIRECT: Final = 0.01
"""Tails above it are taken from the incomplete gamma and beta functions; those below are summed, since scipy's
incomplete gamma function is right to 1e-9 in absolute terms only where counts are large, and underflows."""
MOST_TERMS: Final = 200_000
"""Summed at once."""


@dataclass(frozen=True, kw_only=True)
class RateTest:
    """A count against what was expected.

    Attributes
    ----------
    observed:
        N.
    expected:
        What was expected of it; with a control, the control's count scaled to the same exposure.
    log_p:
        Logarithm of the two-sided p-value.
    z:
        Signed significance, positive for too many events: |z| has the two-sided Gaussian p-value p.
    """

    observed: int
    expected: float
    log_p: float
    z: float


@dataclass(frozen=True)
class Counted:
    """A number of events in an exposure; those of a run's chunks add up.

    Attributes
    ----------
    events:
        N, 0 to 10^12.
    exposure:
        tau, positive, in any unit (luminosity, time, triggers).

    Raises
    ------
    ValueError
        If either is out of range.

    Examples
    --------
    >>> chunks = [Counted(95, 1.0), Counted(80, 1.0), Counted(120, 1.5)]
    >>> run = chunks[0] + chunks[1] + chunks[2]
    >>> run, round(run.against_rate(100.0).z, 2)
    (Counted(events=295, exposure=3.5), -2.98)
    >>> round(run.against_control(Counted(1_000, 10.0)).z, 2)
    -2.58
    """

    events: int
    exposure: float

    def __post_init__(self) -> None:
        if not (0 <= self.events <= LARGEST_COUNT and self.events == int(self.events)):
            raise ValueError(f"{self.events} events: give a whole number from 0 to {LARGEST_COUNT:.0e}")
        if not (np.isfinite(self.exposure) and self.exposure > 0):
            raise ValueError(f"an exposure of {self.exposure}: give a positive one")

    def __add__(self, other: Counted) -> Counted:
        """Count both."""
        return Counted(self.events + other.events, self.exposure + other.exposure)

    def against_rate(self, rate: float) -> RateTest:
        """Test against a known rate, events per unit of exposure.

        Raises
        ------
        ValueError
            If the rate is not positive.
        """
        expected = rate * self.exposure
        if not (np.isfinite(expected) and expected > 0):
            raise ValueError(f"a rate of {rate}: give a positive one")
        return _two_sided(
            self.events,
            expected,
            few=_log_poisson_few(self.events, expected),
            many=_log_poisson_many(self.events, expected),
        )

    def against_control(self, control: Counted) -> RateTest:
        """Test against the rate of another exposure, whose events fluctuate too.

        Parameters
        ----------
        control:
            Events counted elsewhere, such as those of the reference, in the same unit of exposure.
        """
        total = self.events + control.events
        exposures = self.exposure + control.exposure
        share, rest = self.exposure / exposures, control.exposure / exposures
        return _two_sided(
            self.events,
            control.events * self.exposure / control.exposure,
            few=_log_binomial_many(control.events, total, rest, share),
            many=_log_binomial_many(self.events, total, share, rest),
        )


def combined_log_p(log_p_shape: float, log_p_rate: float) -> float:
    r"""Combine the p-values of shape and rate: the smaller one, corrected for having been chosen of two.

    Under H0 the events are independent of their number: given the count, the shape's p-value is uniform whatever the
    count is, so both are independent, and :math:`P(\min \le p) = 1 - (1 - p)^2 = p (2 - p)` exactly (at most, since
    counts are discrete). A dead channel moves the shape, a lost trigger the rate, seldom both: the minimum then costs
    a factor of 2, where Fisher's product costs one that grows as log 1/p, and the minimum tells which it was.

    Parameters
    ----------
    log_p_shape, log_p_rate:
        Logarithms of the p-values.

    Returns
    -------
    float
        Logarithm of the combined p-value.

    Raises
    ------
    ValueError
        If one is no logarithm of a probability.

    Examples
    --------
    >>> round(float(np.exp(combined_log_p(np.log(0.01), np.log(0.5)))), 4)
    0.0199
    """
    if not (log_p_shape <= 0 and log_p_rate <= 0):
        raise ValueError(f"log p of {log_p_shape} and {log_p_rate}: neither may be above 0")
    smaller = min(log_p_shape, log_p_rate)
    return min(smaller + float(np.log(2 - np.exp(smaller))), 0.0)


def _two_sided(observed: int, expected: float, *, few: float, many: float) -> RateTest:
    """Double the smaller tail: `few` is log P(<= N), `many` log P(>= N)."""
    tail = min(few, many)
    log_p = min(tail + float(np.log(2)), 0.0)
    z = significance(tail) if log_p < 0 else 0.0
    return RateTest(observed=observed, expected=expected, log_p=log_p, z=z if many <= few else -z)


def _log_poisson_many(n: int, mean: float) -> float:
    """Log P(N >= n)."""
    if n == 0:
        return 0.0
    direct = float(special.gammainc(n, mean))
    if direct > DIRECT:
        return float(np.log(direct))
    # P(n + i) / P(n) = mean^i / (n + 1) ... (n + i)
    return _log_poisson(n, mean) + _log_sum(lambda i: mean / (n + i))


def _log_poisson_few(n: int, mean: float) -> float:
    """Log P(N <= n)."""
    direct = float(special.gammaincc(n + 1, mean))
    if direct > DIRECT:
        return float(np.log(direct))
    return _log_poisson(n, mean) + _log_sum(lambda i: np.maximum(n - i + 1, 0) / mean)


def _log_binomial_many(k: int, total: int, share: float, rest: float) -> float:
    """Log P(K >= k) of `total` trials with probability `share`; `rest` is 1 - share, free of its rounding."""
    if k == 0:
        return 0.0
    # Whichever argument is small keeps its digits.
    direct = float(
        special.betainc(k, total - k + 1, share)
        if share <= rest
        else special.betaincc(total - k + 1, k, rest)
    )
    if direct > DIRECT:
        return float(np.log(direct))
    odds = share / rest
    terms = _log_sum(lambda i: np.maximum(total - k - i + 1, 0) / (k + i) * odds)
    return _log_binomial(k, total, share, rest) + terms


def _log_sum(ratio: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> float:
    """Log of 1 + r_1 + r_1 r_2 + ..., for ratios r_1, r_2, ... of successive terms that fall below 1."""
    total, last, first, count = 1.0, 1.0, 1, 64
    while last > 1e-17 * total:
        terms = last * np.cumprod(ratio(np.arange(first, first + count, dtype=np.float64)))
        total, last, first = total + float(terms.sum()), float(terms[-1]), first + count
        count = min(2 * count, MOST_TERMS)
    return float(np.log(total))


def _log_poisson(n: int, mean: float) -> float:
    """Log of the Poisson probability in the form whose large terms cancel on paper (Loader 2000)."""
    if n == 0:
        return -mean
    return -_stirling_error(n) - _deviance(n, mean) - 0.5 * float(np.log(2 * np.pi * n))


def _log_binomial(k: int, total: int, share: float, rest: float) -> float:
    """Log of the binomial probability, likewise; 0 < k."""
    if k == total:
        return total * float(np.log1p(-rest) if rest < 0.5 else np.log(share))
    other = total - k
    errors = _stirling_error(total) - _stirling_error(k) - _stirling_error(other)
    deviances = _deviance(k, total * share) + _deviance(other, total * rest)
    return errors - deviances + 0.5 * float(np.log(total / (2 * np.pi * k) / other))


def _deviance(n: int, mean: float) -> float:
    """N log(n / mean) + mean - n."""
    away = (n - mean) / mean
    return n * float(np.log1p(away)) - (n - mean)


def _stirling_error(n: int) -> float:
    """Log n! less Stirling's formula."""
    if n < 16:
        return float(special.gammaln(n + 1) - (n + 0.5) * np.log(n) + n - 0.5 * np.log(2 * np.pi))
    return (1 / 12 - (1 / 360 - 1 / 1260 / n**2) / n**2) / n
