r"""Trajectories of the smallest p over several widths in closed form, fast enough for a service to draw them.

For equal chunks and several widths i, :math:`t_i(n) = G_n' M_i G_n`, with one Gaussian process for all (ours): the
mean score so far, in units of its deviation, has the variance :math:`v_n = 1/n + \lambda / N_{eff}` and, from the last
chunk back to the first, independent increments of variance :math:`1 / n (n + 1)`. Of the matrices

.. math:: M_i = C^{1/2}_{\cdot i} \, \mathrm{diag}(s_i) \, C^{1/2}_{i \cdot}, \qquad
          C = \mathrm{cov}_R(\psi_i / \sqrt{\mu_i}, \psi_{i'} / \sqrt{\mu_{i'}})

what is diagonal in the eigenvectors of their sum is kept, which is all for one width and most for kernels of several
widths; directions with nearly the same weights are put into groups, whose squared radius takes two random numbers for a
step, however many directions it has. Each p is that of the reduced statistic, so that it stays uniform at each n, and
the smallest of several is brought to the quantiles that it has without the reduction: what is left of the reduction is
how fast p moves from chunk to chunk. So is that in mode "rate" the number of events, in which a reference has no error,
is treated as the other directions, in which it has. numpy and scipy only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import interpolate
from scipy.cluster import hierarchy

from nplmon.nplm.null import ChiSquareSum, Nulls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis
    from nplmon.nplm.null import Mode

LOST: Final = 0.01
"""Share of the variance of each statistic that grouping may lose."""
SMALL: Final = 1e-3
"""Share of the variance in components that are left out before the covariance of several widths is formed."""
MATCHED: Final = 20_000
"""Draws that give the smallest p its quantiles."""
DEEP: Final = 50
"""Draws below the deepest quantile that is matched; beyond it the ratio of the two is kept."""
BLOCK: Final = 2_000
ROUNDING: Final = 1e-6
"""Of the largest eigenvalue: below it there is what float32 leaves."""
NODES: Final = 60
FINE: Final = 20_000
REACH: Final = 30.0
"""Deviations above the mean that are tabulated."""
FEW: Final = 16
"""Degrees of freedom up to which a chi-square is a sum of exponentials; beyond it is drawn as a gamma number."""


@dataclass(frozen=True)
class JointNull:
    r"""The null of t_score of one or several widths as :math:`t_i = \sum_g w_{ig} Q_g` with shared Q_g.

    Attributes
    ----------
    weights:
        w, float64 (widths, groups), without the factor of the exposure.
    degrees:
        Degrees of freedom of each group, int64 (groups,).
    kept:
        Share of each statistic's variance that is kept, float64 (widths,).
    exposure:
        lam / N_eff, of one chunk.
    factors:
        Of several widths, what gives each statistic without the reduction, as squared lengths of the image of standard
        normal numbers, float32 (L, r_i) each.
    """

    weights: NDArray[np.float64]
    degrees: NDArray[np.int64]
    kept: NDArray[np.float64]
    exposure: float
    factors: tuple[NDArray[np.float32], ...] = field(default=(), repr=False)

    @classmethod
    def of(
        cls,
        bases: Sequence[Basis],
        mode: Mode,
        expected: float,
        features: Sequence[NDArray[np.float32]] = (),
        weights: NDArray[np.float64] | None = None,
        lost: float = LOST,
    ) -> JointNull:
        """Form it from the eigenbases of all widths.

        Parameters
        ----------
        bases:
            Of one reference.
        mode:
            "shape" or "rate".
        expected:
            lam, the expected count of a chunk.
        features:
            psi of each width at the reference events or at a random part of them, (N, r_i); needed for several widths.
        weights:
            v of these events, or None for 1.
        lost:
            Share of the variance that may be lost by grouping.

        Raises
        ------
        ValueError
            If there are no bases, the features do not fit them, or the expected count is not positive.

        Examples
        --------
        >>> from nplmon.nplm.preparation import prepare
        >>> events = np.random.default_rng(1).exponential(size=(20_000, 1))
        >>> basis = prepare(events, centres=100, sigma=0.7)
        >>> null = JointNull.of([basis], "shape", 500.0)
        >>> int(null.degrees.sum()), null.degrees.size < 8, bool(null.kept[0] > 0.98)
        (18, True, True)
        """
        if not bases or not (np.isfinite(expected) and expected > 0):
            raise ValueError(f"{len(bases)} widths, chunks of {expected} events: give at least one of each")
        factors: tuple[NDArray[np.float32], ...] = ()
        if len(bases) == 1:
            null = _shrunk(bases[0], mode, expected)
            diagonals, whole = null.weights[None, :], np.array([null.weights @ null.weights])
        else:
            factors = _factors(bases, mode, expected, features, weights)
            diagonals, whole = _diagonals(factors)
        groups, degrees = _grouped(diagonals, whole, lost)
        kept = (groups**2 @ degrees) / whole
        return cls(groups, degrees, kept, expected / bases[0].effective_events, factors)

    @property
    def widths(self) -> int:
        """The number of widths."""
        return len(self.weights)

    def nulls(self) -> list[ChiSquareSum]:
        """Give the reduced null of each width, without the factor of the exposure."""
        degrees = self.degrees.astype(np.float64)
        return [ChiSquareSum(one[one > 0], degrees[one > 0]) for one in self.weights]

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw log p of each width at one n; the law is the same at each. Of several widths nothing is reduced.

        Returns
        -------
        NDArray[np.float64]
            (count, widths).
        """
        if not self.factors:
            return self._reduced(count, rng)
        found = np.empty((count, self.widths))
        own = [np.linalg.eigvalsh((one.T @ one).astype(np.float64)) for one in self.factors]
        tails = [LogTails(ChiSquareSum(one[one > 0], np.ones(np.count_nonzero(one > 0)))) for one in own]
        for first in range(0, count, BLOCK):
            z = rng.standard_normal((min(BLOCK, count - first), len(self.factors[0])), dtype=np.float32)
            for width, (factor, tail) in enumerate(zip(self.factors, tails, strict=True)):
                image = z @ factor
                found[first : first + len(z), width] = tail(np.einsum("ij,ij->i", image, image))
        return found

    def _reduced(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        squares = np.stack([rng.chisquare(m, size=count) for m in self.degrees.tolist()], axis=1)
        tails = [LogTails(null) for null in self.nulls()]
        return np.stack(
            [tail(t) for tail, t in zip(tails, (squares @ self.weights.T).T, strict=True)], axis=1
        )

    def smallest(self, chunks: int, toys: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw log p_min after each chunk of runs under H0.

        Parameters
        ----------
        chunks, toys:
            Chunks of a run, and the number of runs.
        rng:
            Random numbers; the same state gives the same trajectories.

        Returns
        -------
        NDArray[np.float32]
            (toys, chunks).
        """
        tails = [LogTails(null) for null in self.nulls()]
        w = self.weights.astype(np.float32)
        result = np.empty((chunks, toys), dtype=np.float32)
        v = 1 / chunks + self.exposure
        squares = np.stack([v * rng.chisquare(m, size=toys) for m in self.degrees.tolist()]).astype(
            np.float32
        )
        for n in range(chunks, 0, -1):
            v = 1 / n + self.exposure
            if n < chunks:
                step = np.float32((n * (n + 1)) ** -0.5)
                for square, m in zip(squares, self.degrees.tolist(), strict=True):
                    _advance(square, m, step, rng)
            t = w @ squares
            t /= np.float32(v)
            np.minimum.reduce([tail(one) for tail, one in zip(tails, t, strict=True)], out=result[n - 1])
        if self.widths > 1:
            self._match(result, rng)
        return np.ascontiguousarray(result.T)

    def _match(self, log_p: NDArray[np.float32], rng: np.random.Generator) -> None:
        """Bring the smallest p of the reduced widths to the quantiles of the others, in place."""
        reduced, whole = (
            np.sort(draws.min(axis=1)) for draws in (self._reduced(MATCHED, rng), self.draw(MATCHED, rng))
        )
        ranks = np.unique(np.geomspace(DEEP, MATCHED, 100).astype(np.int64)) - 1
        for k in range(len(log_p)):
            log_p[k] += np.interp(log_p[k], reduced[ranks], whole[ranks] - reduced[ranks])
        np.minimum(log_p, 0, out=log_p)


def _advance(square: NDArray[np.float32], degrees: int, step: np.float32, rng: np.random.Generator) -> None:
    """Move Gaussian vectors by a Gaussian step and give their squared lengths: along them, and across."""
    np.sqrt(square, out=square)
    along = rng.standard_normal(square.size, dtype=np.float32)
    along *= step
    square += along
    square *= square
    if degrees > 1:
        across = _chi_square(degrees - 1, square.size, rng)
        across *= step * step
        square += across


def _chi_square(degrees: int, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    if degrees > FEW:
        return 2 * rng.standard_gamma(degrees / 2, size=size, dtype=np.float32)
    total = np.zeros(size, dtype=np.float32)
    for _ in range(degrees // 2):
        total += rng.standard_exponential(size, dtype=np.float32)
    total *= 2
    if degrees % 2:
        total += rng.standard_normal(size, dtype=np.float32) ** 2
    return total


class LogTails:
    """Log tail probabilities of a null for many values, from a table fine enough to be linear.

    30 deviations above the mean it ends: beyond it the tail is that of its end.

    Examples
    --------
    >>> null = ChiSquareSum(np.ones(1), np.full(1, 4.0))
    >>> bool(abs(LogTails(null)(np.array([9.0]))[0] - null.log_tail(9.0)) < 1e-4)
    True
    """

    def __init__(self, null: ChiSquareSum) -> None:
        self._end = null.mean + REACH * null.deviation
        t = self._end * np.linspace(0, 1, NODES) ** 1.5
        found = interpolate.PchipInterpolator(t, [null.log_tail(x) for x in t.tolist()])
        self._step = self._end / FINE
        self._table = np.minimum(found(np.arange(FINE + 2) * self._step), 0.0)

    def __call__(self, t: NDArray[np.floating]) -> NDArray[np.floating]:
        """Give log P(T >= t)."""
        place = np.minimum(t / self._step, FINE)
        left = place.astype(np.int32)
        low = self._table[left]
        return low + (place - left) * (self._table[left + 1] - low)


def _shrunk(basis: Basis, mode: Mode, expected: float) -> ChiSquareSum:
    mu = basis.second_moment
    h = expected * mu / (expected * mu + basis.penalty(expected))
    return Nulls(basis=basis, mode=mode).quadratic(2 * h - h**2)


def _factors(
    bases: Sequence[Basis],
    mode: Mode,
    expected: float,
    features: Sequence[NDArray[np.float32]],
    weights: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float32], ...]:
    """Give C^1/2 diag(s)^1/2 of each width, float32 (L, r_i)."""
    if len(features) != len(bases) or len({len(one) for one in features}) != 1:
        raise ValueError(
            f"{len(bases)} widths, features of {len(features)}: give those of each at the same reference events"
        )
    parts = []
    for basis, psi in zip(bases, features, strict=True):
        mu = basis.second_moment
        h = expected * mu / (expected * mu + basis.penalty(expected))
        s = 2 * h - h**2
        order = np.argsort(s)[::-1]
        rest = 1 - np.cumsum(s[order] ** 2) / (s @ s)
        used = np.sort(order[: int(np.count_nonzero(rest > SMALL)) + 1])
        part = psi[:, used] * np.sqrt(s[used] / mu[used]).astype(np.float32)
        parts.append(part - np.average(part, axis=0, weights=weights) if mode == "shape" else part)
    joint = np.concatenate(parts, axis=1)
    v = np.ones(len(joint)) if weights is None else weights
    moment = (joint.T @ (joint * (v / v.sum())[:, None].astype(np.float32))).astype(np.float64)
    value, vector = np.linalg.eigh((moment + moment.T) / 2)
    there = value > ROUNDING * value[-1]
    root = (vector[:, there] * np.sqrt(value[there])).T.astype(np.float32)
    return tuple(np.split(root, np.cumsum([part.shape[1] for part in parts])[:-1], axis=1))


def _diagonals(
    factors: Sequence[NDArray[np.float32]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give what is diagonal of the M_i in common directions, (widths, L), and tr M_i^2 of all of it, (widths,)."""
    matrices = [(one @ one.T).astype(np.float64) for one in factors]
    whole = np.array([float(np.sum(one * one)) for one in matrices])
    _, common = np.linalg.eigh(
        np.sum([m / size**0.5 for m, size in zip(matrices, whole, strict=True)], axis=0)
    )
    diagonals = np.stack([np.einsum("ij,ij->j", common, one @ common) for one in matrices])
    return np.maximum(diagonals, 0.0), whole


def _grouped(
    diagonals: NDArray[np.float64], whole: NDArray[np.float64], lost: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Put directions with nearly the same weights together: mean weights (widths, groups), and their numbers."""
    scaled = (diagonals / np.sqrt(whole)[:, None]).T
    budget = lost * (diagonals**2).sum(axis=1) / whole
    size = len(scaled)
    if size == 1:
        return diagonals, np.ones(1, dtype=np.int64)
    tree = hierarchy.linkage(scaled, method="ward")
    low, high = 1, size
    while low < high:
        groups = (low + high) // 2
        label = hierarchy.fcluster(tree, groups, criterion="maxclust")
        loss = ((scaled - _means(scaled, label)[label - 1]) ** 2).sum(axis=0)
        low, high = (low, groups) if (loss <= budget).all() else (groups + 1, high)
    label = hierarchy.fcluster(tree, low, criterion="maxclust")
    return (_means(scaled, label) * np.sqrt(whole)).T, np.bincount(label)[1:]


def _means(scaled: NDArray[np.float64], label: NDArray[np.int32]) -> NDArray[np.float64]:
    count = np.bincount(label)[1:]
    return np.stack([np.bincount(label, column)[1:] / count for column in scaled.T], axis=1)
