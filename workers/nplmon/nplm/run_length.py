r"""Thresholds for looking after every chunk: how many chunks pass on average between false alarms.

The user sets the expected run length ERT. After chunk n the threshold is the value that, of the toys that have not
crossed an earlier one, the share 1/ERT reaches: the hazard of a false alarm is 1/ERT at every chunk, and the number of
chunks until one is geometric with mean ERT.

What follows for the p-value at the threshold (ours). For equal chunks and averaged over references the score's mean
C / Lambda is, backwards in time, a Brownian motion with variance :math:`v_n = 1 / \Lambda_n + 1 / N_{eff}`; t_score is
a function of it divided by :math:`\sqrt{v_n}`, stationary in the clock :math:`u_n = - \log v_n`. A constant p is
therefore crossed at a constant rate in u, and u advances by :math:`1 / n (1 + n \lambda / N_{eff})` in chunk n: under a
constant p the hazard falls like 1/n. A constant hazard makes p rise with n, from 1/ERT at the first chunk to order one
near n = ERT, where without an alarm a run is unusually quiet. numpy and scipy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.null import ChiSquareSum

TOYS_PER_CHUNK: Final = 10
"""Toys needed for each chunk of the run length: this many cross at the first chunk."""
CONFIDENCE: Final = 0.95
LAST_PART: Final = 0.1
"""Of the chunks with toys: their median p is kept beyond them."""


@dataclass(frozen=True, kw_only=True)
class RunLengthThresholds:
    """Thresholds of a statistic after each chunk, for one expected run length.

    Attributes
    ----------
    run_length:
        ERT, in chunks.
    toys:
        The number of toys.
    values:
        The threshold after chunk n = 1, 2, ..., float64 (n,); it is reached where the statistic is at least as large.
        There are as many as the trajectories have, or until fewer than ERT toys are left.
    lower, upper:
        95 % intervals of the thresholds from the number of toys, float64 (n,); `upper` is infinite where fewer
        than four toys are expected to cross.
    left:
        Toys that had not crossed before chunk n, int64 (n,).
    """

    run_length: float
    toys: int
    values: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    left: NDArray[np.int64]

    @property
    def length(self) -> int:
        """The last chunk with a threshold."""
        return self.values.size

    def at(self, chunk: int) -> float:
        """Give the threshold after a number of chunks.

        Raises
        ------
        ValueError
            If it is undefined there: beyond the toys.
        """
        if not 1 <= chunk <= self.length:
            raise ValueError(
                f"no threshold after chunk {chunk}: the {self.toys} toys give them for 1 to {self.length}; "
                "use longer toys, or thresholds on p, which are extended"
            )
        return float(self.values[chunk - 1])

    def in_p(self, nulls: Sequence[ChiSquareSum]) -> PValueThresholds:
        """Express the thresholds as p-values under the nulls after each chunk.

        In this form they hold for runs whose chunks are not exactly those of the toys, and beyond the toys' length.

        Parameters
        ----------
        nulls:
            The null of the trajectories after chunk 1, 2, ...; at least as many as thresholds.
        """
        if len(nulls) < self.length:
            raise ValueError(f"{len(nulls)} nulls for {self.length} thresholds: give one for each chunk")

        def log_p(values: NDArray[np.float64]) -> NDArray[np.float64]:
            pairs = zip(nulls, values.tolist(), strict=False)  # there may be more nulls than thresholds
            return np.array([null.log_tail(t) if np.isfinite(t) else -np.inf for null, t in pairs])

        return PValueThresholds(
            run_length=self.run_length,
            toys=self.toys,
            log_p=log_p(self.values),
            lower=log_p(self.upper),
            upper=log_p(self.lower),
        )


@dataclass(frozen=True, kw_only=True)
class PValueThresholds:
    """Thresholds on the p-value after each chunk: an alarm where log p is at most `at(n)`.

    Attributes
    ----------
    run_length:
        ERT, in chunks.
    toys:
        The number of toys.
    log_p:
        Logarithm of the p-value at the threshold after chunk n = 1, 2, ..., float64 (n,).
    lower, upper:
        Its 95 % intervals from the number of toys, float64 (n,).
    """

    run_length: float
    toys: int
    log_p: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]

    @property
    def length(self) -> int:
        """The last chunk with toys."""
        return self.log_p.size

    @property
    def beyond(self) -> float:
        """What log p is kept at beyond the toys: its median over the last tenth of their chunks."""
        return float(np.median(self.log_p[-max(1, int(LAST_PART * self.length)) :]))

    def at(self, chunk: int) -> float:
        """Give log p at the threshold after a number of chunks.

        Beyond the toys p is kept constant. The p that gives a hazard of 1/ERT goes on rising there, so that false
        alarms are rarer than asked for, and more so the longer the run: as 1/n.
        """
        if chunk < 1:
            raise ValueError(f"chunk {chunk}: they are counted from 1")
        return float(self.log_p[chunk - 1]) if chunk <= self.length else self.beyond


@dataclass(frozen=True, kw_only=True)
class AlarmLevels:
    """Two thresholds: a warning with the shorter run length, an alarm with the longer one.

    Attributes
    ----------
    warning, alarm:
        The thresholds on p.
    """

    warning: PValueThresholds
    alarm: PValueThresholds


def toys_needed(run_length: float) -> int:
    """Give how many toys thresholds for an expected run length need: 10 ERT.

    Raises
    ------
    ValueError
        If the run length is below 2 chunks or not finite.

    Examples
    --------
    >>> toys_needed(1_000)
    10000
    """
    if not (np.isfinite(run_length) and run_length >= 2):
        raise ValueError(f"an expected run length of {run_length} chunks: give at least 2")
    return int(np.ceil(TOYS_PER_CHUNK * run_length))


def run_length_thresholds(trajectories: NDArray[np.floating], run_length: float) -> RunLengthThresholds:
    """Choose thresholds with a hazard of 1/ERT among the toys that have not crossed.

    Where values of toys coincide, as those of a count do, no more than the share asked for cross; what is missing is
    made up for at a later chunk.

    Parameters
    ----------
    trajectories:
        A statistic after each chunk of toys under H0, larger where they are less like it, (toys, n).
    run_length:
        ERT, the expected number of chunks between false alarms, at least 2.

    Raises
    ------
    ValueError
        If there are fewer than 10 ERT toys, or a value is not finite.

    Examples
    --------
    >>> toys = np.cumsum(np.random.default_rng(0).normal(size=(2_000, 30)), axis=1) / np.arange(1, 31) ** 0.5
    >>> found = run_length_thresholds(toys, 50)
    >>> found.length, found.left[:3].tolist(), round(found.at(1), 2)
    (30, [2000, 1960, 1921], 2.13)
    """
    needed = toys_needed(run_length)
    if trajectories.ndim != 2 or not trajectories.size:
        raise ValueError(
            f"trajectories of shape {trajectories.shape}: give (toys, chunks), neither of them 0"
        )
    toys, chunks = trajectories.shape
    if toys < needed:
        raise ValueError(
            f"{toys} toys for an expected run length of {run_length:g} chunks: "
            f"give at least {needed}, or ask for a shorter one"
        )
    if not np.isfinite(trajectories).all():
        raise ValueError(
            "a value of the trajectories is not finite: leave out such toys, or find their cause"
        )
    hazard = 1 / run_length
    staying = np.arange(toys)
    found: list[tuple[float, float, float, int]] = []
    for k in range(chunks):
        if staying.size < run_length:
            break
        column = trajectories[staying, k]
        values = np.sort(column)[::-1].astype(np.float64)
        wanted = round(toys * (1 - (1 - hazard) ** (k + 1))) - (toys - staying.size)
        threshold = _reached_by(values, max(wanted, 0))
        few, many = stats.binom.interval(CONFIDENCE, staying.size, hazard)
        upper = float(values[int(few) - 1]) if few >= 1 else np.inf
        lower = float(values[min(int(many), values.size - 1)])
        found.append((threshold, min(lower, threshold), max(upper, threshold), staying.size))
        staying = staying[column < threshold]
    values, lower, upper, left = (np.array(column) for column in zip(*found, strict=True))
    return RunLengthThresholds(
        run_length=float(run_length), toys=toys, values=values, lower=lower, upper=upper, left=left
    )


def alarm_levels(
    trajectories: NDArray[np.floating], nulls: Sequence[ChiSquareSum], *, warning: float, alarm: float
) -> AlarmLevels:
    """Choose the thresholds of a warning and of an alarm from the same toys.

    Parameters
    ----------
    trajectories:
        As for `run_length_thresholds`; at least 10 toys for each chunk of the longer run length.
    nulls:
        The null after each chunk.
    warning, alarm:
        Their expected run lengths, the first smaller.

    Examples
    --------
    >>> from nplmon.nplm.preparation import prepare
    >>> from nplmon.nplm.trajectory import null_sequence, null_trajectories
    >>> basis = prepare(np.random.default_rng(1).exponential(size=(20_000, 1)), centres=100, sigma=0.7)
    >>> run = [500.0] * 20
    >>> toys = null_trajectories(basis, "shape", run, 2_000, np.random.default_rng(2))
    >>> levels = alarm_levels(toys, null_sequence(basis, "shape", run), warning=20, alarm=200)
    >>> [round(float(np.exp(level.at(1))), 2) for level in (levels.warning, levels.alarm)]
    [0.05, 0.01]
    """
    if not warning < alarm:
        raise ValueError(
            f"expected run lengths of {warning:g} (warning) and {alarm:g} (alarm): give the alarm the longer one"
        )
    strict = run_length_thresholds(trajectories, alarm).in_p(nulls)
    return AlarmLevels(warning=run_length_thresholds(trajectories, warning).in_p(nulls), alarm=strict)


def _reached_by(values: NDArray[np.float64], wanted: int) -> float:
    """Give the smallest threshold that at most `wanted` of the values, in decreasing order, reach."""
    if wanted >= values.size:
        return float(values[-1])
    # Those that equal the first one left out must not reach it.
    reached = int(np.count_nonzero(values > values[wanted]))
    return float(values[reached - 1]) if reached else float(np.nextafter(values[0], np.inf))
