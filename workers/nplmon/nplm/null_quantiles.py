r"""Several quantiles of one closed-form null at once, as a band needs them. numpy and scipy only.

`ChiSquareSum.log_tail` gives each value a path of integration of its own, through that value's saddle point, and is
right at any depth. The quantiles of a band are not deep, and one path serves them all (ours): the cumulant generating
function :math:`K(s)`, which is the work, is computed once at its nodes, and what a value adds, :math:`e^{-s t} / s`, is
a small matrix. Newton's method then moves all values together, for a Gaussian's quantile of the tail, which is nearly
a straight line of the value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.null import ChiSquareSum

DEEPEST: Final = 1e-4
"""The smallest probability, and the distance of the largest from 1."""
FEWEST_NODES: Final = 65
MOST_NODES: Final = 1025
SLANT: Final = 0.5  # see `null.SLANT`: below 1, so that a nearly Gaussian sum meets no growth
REST: Final = 34.0  # exp(-34): where the path ends
ACCURACY: Final = 1e-3
"""By how much every second node may change the smaller of P and 1 - P, relative; the error is about its square."""
SETTLED: Final = 1e-7
"""In deviations of a Gaussian: Newton's method ends below."""
STEPS: Final = 20


def quantiles(null: ChiSquareSum, probabilities: Sequence[float]) -> NDArray[np.float64]:
    """Give the values q with P(T <= q) = each of the probabilities.

    They are those of `ChiSquareSum.quantile` to 1e-3 standard deviations of the null (seen: 1e-7), at about a
    thirtieth of the cost. What one path does not resolve, a sum with P(T < 0) > 0 for example, is left to it.

    Parameters
    ----------
    null:
        The distribution.
    probabilities:
        Between 1e-4 and 1 - 1e-4.

    Returns
    -------
    NDArray[np.float64]
        One value for each probability, in their order.

    Raises
    ------
    ValueError
        If a probability is outside.

    Examples
    --------
    >>> from scipy import stats
    >>> from nplmon.nplm.null import ChiSquareSum
    >>> ten = ChiSquareSum(np.ones(10), np.ones(10))
    >>> quantiles(ten, [0.16, 0.5, 0.84]).round(4).tolist()
    [5.6976, 9.3418, 14.294]
    >>> stats.chi2.ppf([0.16, 0.5, 0.84], 10).round(4).tolist()
    [5.6976, 9.3418, 14.294]
    """
    wanted = np.asarray(probabilities, dtype=np.float64)
    outside = wanted[~((wanted >= DEEPEST) & (wanted <= 1 - DEEPEST))]
    if outside.size:
        raise ValueError(f"quantiles are given between {DEEPEST} and {1 - DEEPEST}, not at {outside[0]}")
    t = _near(null, wanted)
    nodes = FEWEST_NODES
    while nodes <= MOST_NODES:
        path = _Path(null, float(t.min()) / 2, nodes)
        t, good = path.solved(t, special.ndtri(wanted))
        if good:
            return t
        nodes = 2 * nodes - 1
    return np.array([null.quantile(1 - p) for p in wanted.tolist()])


def reached(null: ChiSquareSum, tails: Sequence[float]) -> list[float]:
    """Give the values that are reached with each of these probabilities: `quantiles`, the deep ones one by one.

    Parameters
    ----------
    null:
        The distribution.
    tails:
        P(T >= t), between 0 and 1.

    Raises
    ------
    ValueError
        If a probability is not between 0 and 1.

    Examples
    --------
    >>> from nplmon.nplm.null import ChiSquareSum
    >>> [round(t, 3) for t in reached(ChiSquareSum(np.ones(10), np.ones(10)), [0.5, 0.01, 1e-7])]
    [9.342, 23.209, 52.31]
    """
    near = [i for i, p in enumerate(tails) if DEEPEST <= 1 - p <= 1 - DEEPEST]
    together = quantiles(null, [1 - tails[i] for i in near]).tolist() if near else []
    values = dict(zip(near, together, strict=True))
    return [values[i] if i in values else null.quantile(p) for i, p in enumerate(tails)]


def _near(null: ChiSquareSum, p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the quantiles of a shifted gamma distribution with the same mean, variance and skewness (Pearson's III)."""
    skewness = 8 * float(null.degrees @ null.weights**3) / null.deviation**3
    if skewness > 0:
        shape = 4 / skewness**2
        z = (special.gammaincinv(shape, p) - shape) / shape**0.5
    else:
        z = special.ndtri(p)
    return np.maximum(null.mean + null.deviation * z, 1e-3 * null.deviation)


class _Path:
    """A hyperbola around the singularities of a null, with K at its nodes.

    Parameters
    ----------
    null:
        The distribution.
    least:
        The smallest value whose tail it is to give.
    nodes:
        Their number, odd: every second one tells the error.
    """

    def __init__(self, null: ChiSquareSum, least: float, nodes: int) -> None:
        self._least = least
        self._deviation = null.deviation
        self._largest = largest = float(null.weights.max())
        # Between the pole at 0 and the first branch point at 1/2, in units of 1 / largest.
        self._start = min(largest / null.deviation, 0.25)
        self._weights, self._degrees = null.weights / largest, null.degrees
        end = 8 * self._start
        while self._size(end, least / largest) > -REST:
            end *= 1.5
        u, step = np.linspace(0, np.arcsinh(end / self._start), nodes, retstep=True)
        self._s, tangent = self._at(self._start * np.sinh(u))
        weight = np.cosh(u) * (self._start * step / np.pi)
        weight[0] /= 2
        self._tangent = tangent * weight
        self._k = self._cumulants(self._s)

    def _at(self, y: NDArray[np.float64]) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Give s and ds / dy."""
        focus = 2 * self._start
        root = np.sqrt(focus**2 + y**2)
        return self._start + SLANT * (root - focus) + 1j * y, SLANT * y / root + 1j

    def _cumulants(self, s: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """K(s), by real logarithms and angles, which take a third of the time of complex ones."""
        x = 1 - 2 * np.outer(s.real, self._weights)
        y = -2 * np.outer(s.imag, self._weights)
        return np.asarray(
            -0.25 * (np.log(x**2 + y**2) @ self._degrees) - 0.5j * (np.arctan2(y, x) @ self._degrees)
        )

    def _size(self, y: float, x: float) -> float:
        """Give the logarithm of the integrand's modulus, times y."""
        s = self._at(np.array([y]))[0]
        return float((self._cumulants(s) - s * x).real[0] - np.log(abs(s[0]) / y))

    def solved(self, t: NDArray[np.float64], z: NDArray[np.float64]) -> tuple[NDArray[np.float64], bool]:
        """Move values to where a Gaussian's quantile of P(T <= t) is z; tell whether they are there, and resolved.

        Parameters
        ----------
        t, z:
            (k,).
        """
        moved = np.inf
        for _ in range(STEPS):
            values = np.exp(self._k - np.outer(t / self._largest, self._s)) * self._tangent
            density = values.imag.sum(axis=1) / self._largest
            parts = (values / self._s).imag
            if moved < SETTLED:
                break
            tail = np.clip(parts.sum(axis=1), DEEPEST**2, 1 - DEEPEST**2)
            gap = z + special.ndtri(tail)
            gaussian = np.exp(-(special.ndtri(tail) ** 2) / 2) / np.sqrt(2 * np.pi)
            slope = np.maximum(density * self._deviation, DEEPEST**2) / gaussian
            moved = float(np.abs(gap).max())
            step = np.clip(gap / slope, -1, 1) * self._deviation
            t = np.maximum(t + step, t / 4)
        tail = parts.sum(axis=1)
        # Half the nodes: twice the weight for those that stay, but for the last, where nothing is left.
        change = np.abs(2 * parts[:, ::2].sum(axis=1) - tail) / special.ndtr(-np.abs(z))
        return t, bool(moved < SETTLED and t.min() >= self._least and change.max() <= ACCURACY)
