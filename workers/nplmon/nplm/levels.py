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

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from scipy import interpolate, special, stats

from nplmon.nplm.null import ChiSquareSum, Nulls
from nplmon.nplm.run_length import CONFIDENCE, AlarmLevels, PValueThresholds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis
    from nplmon.nplm.null import Mode

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
LEADING: Final = 16
"""Components that are drawn one by one; of all others the sum is drawn."""
NEGLIGIBLE: Final = 1e-6
"""Of the largest variance: a direction that moves no form."""
NOTHING: Final = 1e-6
"""Of a mean: a deviation that is rounding."""
FEWEST, MOST = 8.0, 1e6
"""Degrees of freedom of a chi-square that stands for many small terms."""
BLOCK_ELEMENTS: Final = 100_000
"""Of one array of toys x components, in float32: it stays in a core's cache."""
NODES, FINE = 60, 4_000
DEEPEST: Final = 1e-9
"""p below which no threshold lies: where the table of log p ends."""


class Process(Protocol):
    """A statistic of runs under H0: a function of a stationary Gaussian Markov process."""

    @property
    def orders(self) -> NDArray[np.float32]:
        """For each component of z the power of rho that is its correlation in time, float32 (dimension,)."""
        ...

    def variance(self, chunk: int) -> float:
        """v_n: the correlation of z_m and z_n, m < n, is sqrt(v_n / v_m)."""
        ...

    def log_p(self, z: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give log p, the smallest over the widths, float64 (toys,), of z (toys, dimension)."""
        ...


@dataclass(frozen=True)
class Form:
    """One width's t_score over its exposure factor: a form of the leading directions, and the sum of all others.

    Attributes
    ----------
    directions:
        What of the leading components the form looks at, float32 (leading, r); None for a form that is diagonal.
    weights:
        Its eigenvalues, float32 (r,).
    rest:
        Offset, scale and degrees of freedom of the other directions' sum: offset + scale x a chi-square, with the mean,
        the variance and the skewness of what they add; a scale of 0 stands for a constant.
    values, log_p:
        log p of the whole form, tabulated, float64 (nodes,) both.
    """

    directions: NDArray[np.float32] | None
    weights: NDArray[np.float32]
    rest: tuple[float, float, float]
    values: NDArray[np.float64]
    log_p: NDArray[np.float64]

    def at(self, z: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give log p of leading components z (toys, leading) and a standard normal y (toys,) for the rest."""
        seen = z if self.directions is None else z @ self.directions
        value = (seen * seen) @ self.weights
        offset, scale, degrees = self.rest
        if scale > 0:
            # Wilson and Hilferty's cube: a chi-square of tens of degrees of freedom as a function of a normal number.
            width = (2 / (9 * degrees)) ** 0.5
            value += np.float32(scale * degrees) * (np.float32(1 - width**2) + np.float32(width) * y) ** 3
        return np.interp(value + np.float32(offset), self.values, self.log_p)


@dataclass(frozen=True)
class ScoreProcess:
    """t_score of one or several widths after each of equal chunks.

    Attributes
    ----------
    forms:
        One for each width.
    leading:
        The number of components that are drawn one by one; the widths' rests follow them.
    mixing:
        The root of the correlation of the widths' rests, float32 (widths, widths).
    expected, effective_events:
        lambda and N_eff.
    """

    forms: tuple[Form, ...]
    leading: int
    mixing: NDArray[np.float32]
    expected: float
    effective_events: float

    @classmethod
    def of(
        cls,
        bases: Sequence[Basis],
        mode: Mode,
        expected: float,
        moments: NDArray[np.float64] | None = None,
    ) -> ScoreProcess:
        """Make the process of a monitor.

        Parameters
        ----------
        bases:
            The eigenbasis of each width; all of one reference.
        mode:
            "shape" or "rate".
        expected:
            lam of a chunk.
        moments:
            For several widths the weighted mean of psi psi' over the reference, the components of all widths one after
            the other, float64 (R, R); see `cross_moments`.

        Raises
        ------
        ValueError
            If there is no basis, the expected count is not positive, or several come without their moments.
        """
        if not bases:
            raise ValueError("no eigenbasis: give one for each width")
        if not (np.isfinite(expected) and expected > 0):
            raise ValueError(f"chunks of {expected} expected events: give a positive count")
        exposure = 1 + expected / bases[0].effective_events
        nulls = []
        for basis in bases:
            one = Nulls(basis=basis, mode=mode).chunk(expected)
            nulls.append(ChiSquareSum(one.weights / exposure, one.degrees))
        if len(bases) == 1:
            forms = [np.diag(np.sort(nulls[0].weights)[::-1])]
        elif moments is None or moments.shape != 2 * (sum(basis.size for basis in bases),):
            raise ValueError(
                f"{len(bases)} widths without the moments of their components: see cross_moments"
            )
        else:
            forms = _joint_forms(bases, mode, expected, moments)
        leading = min(LEADING, len(forms[0]))
        inner = [form[:leading, :leading] for form in forms]
        # What all directions add to the covariance of the widths, less what the leading ones do.
        rest = np.array([[2 * float(np.sum(a * b)) for b in forms] for a in forms]) - np.array(
            [[2 * float(np.sum(a * b)) for b in inner] for a in inner]
        )
        deviation = np.sqrt(np.maximum(np.diag(rest), 0.0))
        safe = np.where(deviation > 0, deviation, 1.0)
        value, vector = np.linalg.eigh(rest / np.outer(safe, safe))
        made = []
        for form, own, null, spread in zip(forms, inner, nulls, deviation.tolist(), strict=True):
            mean = float(np.trace(form) - np.trace(own))
            third = 8 * float(np.sum((form @ form) * form) - np.sum((own @ own) * own))
            made.append(_form(own, _chi_square(mean, spread, third), null))
        return cls(
            tuple(made),
            leading,
            (vector * np.sqrt(np.maximum(value, 0.0))).T.astype(np.float32),
            expected,
            bases[0].effective_events,
        )

    @property
    def orders(self) -> NDArray[np.float32]:
        """1 for the leading components, 2 for sums of squares, whose correlation in time is the square."""
        return np.repeat(np.array([1, 2], dtype=np.float32), (self.leading, len(self.forms)))

    def variance(self, chunk: int) -> float:
        """v_n = 1 / n lambda + 1 / N_eff."""
        return 1 / (chunk * self.expected) + 1 / self.effective_events

    def log_p(self, z: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the smallest log p over the widths."""
        leading, rests = z[:, : self.leading], z[:, self.leading :] @ self.mixing
        found = self.forms[0].at(leading, rests[:, 0])
        for i, form in enumerate(self.forms[1:], 1):
            np.minimum(found, form.at(leading, rests[:, i]), out=found)
        return found


@dataclass(frozen=True)
class SumProcess:
    """t_sum after each chunk, in the Gaussian limit of many degrees of freedom: a sum of independent chunks."""

    @property
    def orders(self) -> NDArray[np.float32]:
        """One component."""
        return np.ones(1, dtype=np.float32)

    def variance(self, chunk: int) -> float:
        """v_n = 1 / n."""
        return 1 / chunk

    def log_p(self, z: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give log p of the standardised sum."""
        return np.asarray(special.log_ndtr(-z[:, 0].astype(np.float64)))


def cross_moments(
    features: Sequence[NDArray[np.floating]], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give the weighted mean of psi psi' over the reference for the components of all widths, float64 (R, R).

    Parameters
    ----------
    features:
        For each width psi at the reference events, (N_R, r).
    weights:
        v, float64 (N_R,).
    """
    share = (weights / weights.sum()).astype(np.float32)
    # The product of two widths' features at a time: no copy of all features side by side.
    return np.block(
        [[((left.T * share) @ right).astype(np.float64) for right in features] for left in features]
    )


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


def _form(own: NDArray[np.float64], rest: tuple[float, float, float], null: ChiSquareSum) -> Form:
    weights, directions = np.linalg.eigh(own)
    diagonal = not np.any(own - np.diag(np.diag(own)))
    top = null.quantile(DEEPEST)
    # Denser where the null is: its deviation is the scale of log p.
    nodes = top * np.linspace(0, 1, NODES) ** 1.5
    found = interpolate.PchipInterpolator(nodes, [null.log_tail(t) for t in nodes])
    values = np.linspace(0, top, FINE)
    return Form(
        None if diagonal else directions.astype(np.float32),
        (np.diag(own) if diagonal else weights).astype(np.float32),
        rest,
        values,
        np.asarray(found(values)),
    )


def _chi_square(mean: float, deviation: float, third: float) -> tuple[float, float, float]:
    """Give offset, scale and degrees of freedom of a chi-square with these three cumulants.

    The degrees are no fewer than those for which Wilson's and Hilferty's cube serves: with fewer, one direction
    outweighs all others of the rest, which then is a small part of the whole.
    """
    if deviation <= NOTHING * mean:
        return mean, 0.0, 1.0
    largest, smallest = (deviation / (2 * degrees) ** 0.5 for degrees in (FEWEST, MOST))
    scale = float(np.clip(third / (4 * deviation**2), smallest, largest))
    degrees = deviation**2 / (2 * scale**2)
    return mean - scale * degrees, scale, degrees


def _joint_forms(
    bases: Sequence[Basis], mode: Mode, expected: float, moments: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Give each width's form of one standard normal z, float64 (k, k), its largest directions first."""
    mean = np.concatenate([basis.mean_feature for basis in bases])
    mu = np.concatenate([basis.second_moment for basis in bases])
    h = np.concatenate(
        [expected * b.second_moment / (expected * b.second_moment + b.penalty(expected)) for b in bases]
    )
    covariance = moments - np.outer(mean, mean) if mode == "shape" else moments
    scale = np.sqrt((2 * h - h**2) / mu)
    value, vector = np.linalg.eigh(covariance * np.outer(scale, scale))
    kept = np.flatnonzero(value > NEGLIGIBLE * value.max())[::-1]
    root = vector[:, kept] * np.sqrt(value[kept])
    cuts = np.cumsum([basis.size for basis in bases])[:-1]
    return [rows.T @ rows for rows in np.split(root, cuts, axis=0)]
