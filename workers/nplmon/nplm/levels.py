r"""Alarm levels by expected run length in closed form: in seconds, for any run length and one or several widths.

For equal chunks the score's mean is a Markov process (ours): standardised, after chunk n it is

.. math:: z_n = \rho_n z_{n-1} + \sqrt{1 - \rho_n^2} \, g_n, \qquad \rho_n^2 = v_n / v_{n-1}, \qquad
          v_n = 1 / n \lambda + 1 / N_{eff}

with independent standard normal vectors g, and :math:`t_{score} = (1 + n \lambda / N_{eff}) \, z_n^T A z_n` with one A
for all n. Several widths are several forms A of one z, because their scores are sums over the same events. So toys need
one vector, no fit and no sum. The leading directions are drawn; all others of a width together are a chi-square with
their mean, variance and skewness, a function of one more normal number whose correlation in time is :math:`\rho^2`.
In mode "rate" the count of the events, one direction of all, has no error from the reference; here it is taken to move
like the others, which matters where the exposure is well above 1.

A threshold for each chunk from the toys that cross there would need many of them: 10 ERT for 30 %. The thresholds are
smooth in log n, so a window of chunks is taken at once, log p = level + slope log n, whose level is chosen such that
the share of the toys crosses in the window that is wanted there. The later, the wider the windows and the fewer the
toys, and the work grows like ERT, not like its square. numpy and scipy only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

from nplmon.nplm.run_length import CONFIDENCE, AlarmLevels, PValueThresholds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.nplm.level_process import Process

CROSSING: Final = 50
"""Toys that cross in a window: its level is known to a seventh in p, the mean of ten windows to a twentieth. For an ERT
above 1,000 they are fewer, as its root, so that the work grows like the root too."""
FEWEST_CROSSING: Final = 10
WIDEST: Final = 0.15
"""Of its first chunk: the width of a late window, in which log p is straight in log n."""
SLOPE: Final = 0.75
"""Of log p in log n within a window; it is between 0.5 at the first chunks and 1 late."""
MOST_TOYS: Final = 50_000
LEAST_TOYS: Final = 700
LENGTH: Final = 6
"""Chunks with thresholds, in run lengths: 2 in 1,000 runs under H0 go further."""
LATEST: Final = 0.25
"""Of the run length: the widest window."""
LONGEST: Final = 5_000
"""Chunks with thresholds, at most."""
BLOCK_ELEMENTS: Final = 100_000
"""Of one array of toys x components, in float32: it stays in a core's cache."""


def closed_form_levels(process: Process, *, warning: float, alarm: float, seed: int = 0) -> AlarmLevels:
    """Choose the thresholds of a warning and of an alarm on log p, the smallest over the widths.

    Parameters
    ----------
    process:
        What is watched.
    warning, alarm:
        Expected run lengths, in chunks, at least 2; the alarm's no shorter than the warning's.
    seed:
        The same gives the same thresholds.

    Raises
    ------
    ValueError
        If a run length is too short, or the alarm's is the shorter one.

    Examples
    --------
    >>> from nplmon.nplm.level_process import ScoreProcess
    >>> from nplmon.nplm.preparation import prepare
    >>> basis = prepare(np.random.default_rng(1).exponential(size=(50_000, 1)), centres=100, sigma=0.7)
    >>> levels = closed_form_levels(ScoreProcess.of([basis], "shape", 500.0), warning=20, alarm=200)
    >>> [[round(float(np.exp(level.at(n))), 2) for n in (1, 10)] for level in (levels.warning, levels.alarm)]
    [[0.06, 0.23], [0.0, 0.02]]
    """
    if not (np.isfinite(warning) and np.isfinite(alarm) and 2 <= warning <= alarm):
        raise ValueError(
            f"expected run lengths of {warning:g} (warning) and {alarm:g} (alarm): give at least 2, and the alarm the "
            "longer one"
        )
    return AlarmLevels(
        warning=_thresholds(process, warning, np.random.default_rng([seed, 1])),
        alarm=_thresholds(process, alarm, np.random.default_rng([seed, 2])),
    )


def _thresholds(process: Process, run_length: float, rng: np.random.Generator) -> PValueThresholds:
    last = int(min(LENGTH * run_length, LONGEST))
    toys = int(min(_crossing(run_length) * run_length, MOST_TOYS))
    z = rng.standard_normal((toys, process.orders.size), dtype=np.float32)
    log_p = np.empty((3, last))
    first, carry = 0, 0.0
    while first < last:
        end = min(last, first + _width(first, run_length))
        chunks = np.arange(first + 1, end + 1)
        shape = SLOPE * np.log(chunks / end)
        lowest = _lowest(process, z, chunks, shape, rng)
        share = -np.expm1(chunks.size * np.log1p(-1 / run_length))
        wanted = z.shape[0] * share + carry
        crossing = int(np.clip(round(wanted), 1, z.shape[0]))
        ordered = np.sort(lowest)
        few, many = stats.binom.interval(CONFIDENCE, z.shape[0], share)
        for row, count in enumerate((crossing, min(few, crossing), max(many, crossing))):
            log_p[row, first:end] = shape + (
                ordered[min(int(count), ordered.size) - 1] if count >= 1 else -np.inf
            )
        carry = wanted - crossing
        staying = z[lowest > ordered[crossing - 1]]
        needed = int(max(_crossing(run_length) * run_length / _width(end, run_length), LEAST_TOYS))
        if not len(staying):
            first = end
            break
        if 2 * len(staying) < LEAST_TOYS:
            # Late, those that stay are few: each goes on as several, which part soon.
            staying = np.tile(staying, (-(-LEAST_TOYS // len(staying)), 1))
        # They are in random order, so that the first ones are any.
        z, first = staying[:needed], end
    return PValueThresholds(
        run_length=float(run_length),
        toys=toys,
        log_p=np.minimum(log_p[0, :first], 0.0),
        lower=log_p[1, :first],
        upper=np.minimum(log_p[2, :first], 0.0),
    )


def _width(first: int, run_length: float) -> int:
    """Give the chunks of the window after `first`."""
    if not first:
        return 1  # the first chunk's threshold is p = 1 / ERT: nothing before it matters
    late = min(WIDEST * first, LATEST * run_length)
    return int(max(1, late, _crossing(run_length) * run_length / MOST_TOYS))


def _crossing(run_length: float) -> float:
    return max(FEWEST_CROSSING, CROSSING * min(1.0, (1000 / run_length) ** 0.5))


def _lowest(
    process: Process,
    z: NDArray[np.float32],
    chunks: NDArray[np.int64],
    shape: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Move z to the window's end; give the smallest of log p - shape of each toy."""
    lowest = np.full(len(z), np.inf)
    orders = process.orders
    step = max(1, BLOCK_ELEMENTS // orders.size)
    for start in range(0, len(z), step):
        rows = slice(start, start + step)
        state = z[rows]
        noise = np.empty_like(state)
        for chunk, offset in zip(chunks.tolist(), shape.tolist(), strict=True):
            if chunk > 1:
                kept = (process.variance(chunk) / process.variance(chunk - 1)) ** orders
                rng.standard_normal(dtype=np.float32, out=noise)
                noise *= np.sqrt(1 - kept).astype(np.float32)
                state *= np.sqrt(kept).astype(np.float32)
                state += noise
            np.minimum(lowest[rows], process.log_p(state) - offset, out=lowest[rows])
    return lowest
