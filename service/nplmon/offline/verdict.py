r"""A statistic with its p-value, and where that comes from: the closed-form null, toys, or neither.

With n toys of which k reach the value, :math:`p = (1 + k) / (n + 1)`; it cannot be below its resolution 1 / (n + 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from nplmon.nplm.null import significance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.nplm.statistic import TestStatistic
    from nplmon.nplm.widths import JointP

State = Literal["closed form", "toys", "uncalibrated", "invalid"]
SMALLEST_LOG_P = -700.0
"""exp of less is 0 in float64; p is given no smaller, Z from the logarithm."""
LARGEST_LOG_P = -1e-16
"""p = 1 has no finite Z; this is Z = -8.2."""


@dataclass(frozen=True, kw_only=True)
class ClosedForm:
    """A value seen against its closed-form null; mean and deviation are those of the null."""

    log_p: float
    mean: float
    deviation: float
    statistic: TestStatistic = field(repr=False)

    @property
    def p(self) -> float:
        """The p-value."""
        return math.exp(max(self.log_p, SMALLEST_LOG_P))

    @property
    def z(self) -> float:
        """The same as a one-sided Gaussian significance."""
        return significance(min(self.log_p, LARGEST_LOG_P))


@dataclass(frozen=True, kw_only=True)
class Toys:
    """A value seen against toys.

    Attributes
    ----------
    values:
        The statistic of each toy, float64 (n,).
    exceeding:
        How many of them reach the observed value.
    closed_form_p:
        p of a Kolmogorov-Smirnov test of the toys against the closed form; None where there is no closed form.

    Examples
    --------
    >>> toys = Toys(values=np.arange(99.0), exceeding=4)
    >>> toys.p, toys.resolution, round(toys.z, 3)
    (0.05, 0.01, 1.645)
    """

    values: NDArray[np.float64] = field(repr=False)
    exceeding: int
    closed_form_p: float | None = None

    @property
    def resolution(self) -> float:
        """The smallest p that so many toys can tell, 1 / (n + 1)."""
        return 1 / (len(self.values) + 1)

    @property
    def p(self) -> float:
        """(1 + k) / (n + 1)."""
        return (1 + self.exceeding) * self.resolution

    @property
    def p_error(self) -> float:
        """Binomial standard error of p."""
        return math.sqrt(self.p * (1 - self.p) / len(self.values))

    @property
    def z(self) -> float:
        """The same as a one-sided Gaussian significance."""
        return significance(min(math.log(self.p), LARGEST_LOG_P))

    @property
    def mean(self) -> float:
        """Mean of the toys."""
        return float(self.values.mean())

    @property
    def deviation(self) -> float:
        """Standard deviation of the toys."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else 0.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One statistic: value, p, Z and the state of p.

    Attributes
    ----------
    kind, value:
        Name and value; the value is on the scale of 2 log likelihood ratio.
    state:
        What p is from; "uncalibrated" and "invalid" have none.
    closed_form, toys:
        The value against each null there is.
    note:
        What a reader must know besides.
    joint:
        p over several kernel widths, of which this value is the one with the smallest p; None for one width.
    """

    kind: str
    value: float
    state: State
    closed_form: ClosedForm | None = None
    toys: Toys | None = None
    note: str = ""
    joint: JointP | None = None

    @property
    def source(self) -> ClosedForm | Toys | None:
        """Where p is from."""
        return {"closed form": self.closed_form, "toys": self.toys}.get(self.state)

    @property
    def p(self) -> float | None:
        """The p-value."""
        if self.joint is not None:
            return self.joint.p
        return None if self.source is None else self.source.p

    @property
    def z(self) -> float | None:
        """The same as a one-sided Gaussian significance."""
        if self.joint is not None:
            return significance(min(math.log(self.joint.p), LARGEST_LOG_P))
        return None if self.source is None else self.source.z


def judge(
    kind: str,
    value: float,
    statistic: TestStatistic | None,
    toys: NDArray[np.float64] | None = None,
    *,
    reason: str = "",
) -> Verdict:
    """Give a statistic its p-value: from toys where they resolve it, else from the closed form.

    Parameters
    ----------
    kind, value:
        Name and observed value.
    statistic:
        The same with its closed-form null; None where there is none, for the `reason`.
    toys:
        The statistic of each toy, float64 (n,); None where there were none.
    reason:
        Why there is no closed form.

    Examples
    --------
    >>> from nplmon.nplm.null import ChiSquareSum
    >>> from nplmon.nplm.statistic import TestStatistic
    >>> one = TestStatistic(value=20.0, null=ChiSquareSum(np.ones(1), np.full(1, 5.0)), chunks=1)
    >>> judge("t_full", 20.0, one).state, round(judge("t_full", 20.0, one).p, 5)
    ('closed form', 0.00125)
    >>> judge("t_full", 20.0, None, reason="too few events").state
    'uncalibrated'
    """
    if not math.isfinite(value):
        overflow = "the density ratio overflows: the data are where the reference has nothing"
        return Verdict(kind=kind, value=value, state="invalid", note=overflow)
    closed = None if statistic is None else _closed_form(statistic)
    drawn = None if toys is None else _drawn(value, toys, statistic)
    if drawn is not None and (drawn.exceeding or closed is None):
        below = "" if drawn.exceeding else "no toy reaches the value: p is at most the resolution of the toys"
        return Verdict(kind=kind, value=value, state="toys", closed_form=closed, toys=drawn, note=below)
    if closed is None:
        return Verdict(kind=kind, value=value, state="uncalibrated", note=reason)
    note = (
        ""
        if drawn is None
        else f"none of {len(drawn.values):,} toys reaches the value: p is the closed form's, below their resolution"
    )
    return Verdict(kind=kind, value=value, state="closed form", closed_form=closed, toys=drawn, note=note)


def _closed_form(statistic: TestStatistic) -> ClosedForm:
    return ClosedForm(
        log_p=statistic.log_p,
        mean=statistic.null.mean + statistic.excess,
        deviation=statistic.null.deviation,
        statistic=statistic,
    )


def _drawn(value: float, toys: NDArray[np.float64], statistic: TestStatistic | None) -> Toys:
    agreement = None
    if statistic is not None:
        null, excess = statistic.null, statistic.excess
        below = np.array([-np.expm1(null.log_tail(max(float(toy) - excess, 0.0))) for toy in toys])
        # The probability transform is uniform where toys and closed form agree.
        agreement = float(stats.kstest(below, "uniform").pvalue)
    return Toys(values=toys, exceeding=int(np.count_nonzero(toys >= value)), closed_form_p=agreement)
