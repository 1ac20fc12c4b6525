"""What closed-form levels are found for: statistics of runs under H0 as functions of a Gaussian Markov process.

The formulas are told in `nplmon.nplm.levels`. numpy and scipy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from scipy import interpolate, special

from nplmon.nplm.null import ChiSquareSum, Nulls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis
    from nplmon.nplm.null import Mode

LEADING: Final = 16
"""Components that are drawn one by one; of all others the sum is drawn."""
NEGLIGIBLE: Final = 1e-6
"""Of the largest variance: a direction that moves no form."""
NOTHING: Final = 1e-6
"""Of a mean: a deviation that is rounding."""
FEWEST, MOST = 8.0, 1e6
"""Degrees of freedom of a chi-square that stands for many small terms."""
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

    Examples
    --------
    >>> wide, narrow = np.array([[1.0], [3.0]]), np.array([[0.0], [2.0]])
    >>> cross_moments([wide, narrow], np.array([3.0, 1.0])).tolist()
    [[3.0, 1.5], [1.5, 1.0]]
    """
    share = (weights / weights.sum()).astype(np.float32)
    # The product of two widths' features at a time: no copy of all features side by side.
    return np.block(
        [[((left.T * share) @ right).astype(np.float64) for right in features] for left in features]
    )


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
    h = np.concatenate([basis.shrinkage(expected) for basis in bases])
    covariance = moments - np.outer(mean, mean) if mode == "shape" else moments
    scale = np.sqrt((2 * h - h**2) / mu)
    value, vector = np.linalg.eigh(covariance * np.outer(scale, scale))
    kept = np.flatnonzero(value > NEGLIGIBLE * value.max())[::-1]
    root = vector[:, kept] * np.sqrt(value[kept])
    cuts = np.cumsum([basis.size for basis in bases])[:-1]
    return [rows.T @ rows for rows in np.split(root, cuts, axis=0)]
