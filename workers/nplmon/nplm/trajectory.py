r"""Trajectories of t_score under H0 in closed form: whole runs of toys without an event and without a fit.

In the quadratic regime the scores of chunks are Gaussian with a known covariance (ours). With
:math:`q_j = m_j / \sqrt{\mu_j}`, S = 1 - q q', and S in place of T in mode "shape", where the count is conditioned on,
1 in mode "rate",

.. math:: c_{kj} / \sqrt{\mu_j} = x_{kj}, \qquad
          x_k = \sqrt{\lambda_k} \, T^{1/2} g_k - \frac{\lambda_k}{\sqrt{N_{eff}}} S^{1/2} g_0

with independent standard normal vectors g: one for each chunk, and :math:`g_0`, the reference's own error, which all
chunks of a run share. With the sums :math:`X = \sum_k x_k` and :math:`Y_j = \sum_k h_{kj} x_{kj}`,
:math:`t_{score} = (2 X \cdot Y - Y \cdot Y) / \Lambda`. numpy and scipy only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from nplmon.nplm.null import ChiSquareSum, Nulls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis
    from nplmon.nplm.null import Mode

BLOCK_ELEMENTS: Final = 200_000
"""Of one array of toys x components: a handful of them stay in a core's cache, whatever the number of toys."""


def null_trajectories(
    basis: Basis, mode: Mode, expected: Sequence[float], toys: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw t_score after each chunk of runs under H0, each with its own draw of the reference's error.

    Its distribution after chunk n is `Nulls.aggregated` (for chunks of unequal sizes its mean is). Beside the result
    the memory used does not depend on the number of toys.

    Parameters
    ----------
    basis:
        The reference eigenbasis.
    mode:
        "shape" or "rate".
    expected:
        lam_k of each chunk, (n,).
    toys:
        The number of runs.
    rng:
        Random numbers; the same state gives the same trajectories.

    Returns
    -------
    NDArray[np.float64]
        (toys, n).

    Raises
    ------
    ValueError
        If there are no chunks or toys, or an expected count is not positive.

    Examples
    --------
    >>> from nplmon.nplm.preparation import prepare
    >>> basis = prepare(np.random.default_rng(1).exponential(size=(20_000, 1)), centres=100, sigma=0.7)
    >>> t = null_trajectories(basis, "shape", [500.0] * 20, 4_000, np.random.default_rng(2))
    >>> null = null_sequence(basis, "shape", [500.0] * 20)[-1]
    >>> t.shape, bool(abs(t[:, -1].mean() - null.mean) < 4 * null.deviation / 4_000**0.5)
    ((4000, 20), True)
    """
    lam = _counts(expected)
    if toys < 1:
        raise ValueError(f"{toys} toys: give at least one")
    h = _shrinkage(basis, lam)
    total = np.cumsum(lam)
    q = basis.mean_feature / np.sqrt(basis.second_moment)
    norm = float(q @ q)
    # The root of 1 - q q' is 1 - pull q q'; rounding may bring |q| above 1, which is its bound.
    pull = (1 - max(0.0, 1 - norm) ** 0.5) / norm if norm > 0 else 0.0

    def vectors(count: int, *, centred: bool) -> NDArray[np.float64]:
        g = rng.standard_normal((count, basis.size))
        if centred:
            g -= np.outer(g @ (pull * q), q)
        return g

    result = np.empty((toys, lam.size))
    step = max(1, BLOCK_ELEMENTS // basis.size)
    for first in range(0, toys, step):
        rows = slice(first, min(first + step, toys))
        count = rows.stop - first
        shared = vectors(count, centred=True) / basis.effective_events**0.5
        x, y = np.zeros((2, count, basis.size))
        for k in range(lam.size):
            score = vectors(count, centred=mode == "shape")
            score *= lam[k] ** 0.5
            score -= lam[k] * shared
            x += score
            score *= h[k]
            y += score
            result[rows, k] = np.einsum("ij,ij->i", 2 * x - y, y) / total[k]
    return result


def null_sequence(basis: Basis, mode: Mode, expected: Sequence[float]) -> list[ChiSquareSum]:
    """Give the null of t_score (and of t_agg) after each chunk; see `Nulls.aggregated`.

    Parameters
    ----------
    basis, mode, expected:
        As for `null_trajectories`.
    """
    lam = _counts(expected)
    nulls = Nulls(basis=basis, mode=mode)
    if np.ptp(lam) == 0 and mode == "shape":
        # For equal chunks all are one, scaled by the exposure: one diagonalisation serves.
        one = nulls.chunk(float(lam[0]))
        exposure = 1 + np.cumsum(lam) / basis.effective_events
        return [ChiSquareSum(one.weights * (e / exposure[0]), one.degrees) for e in exposure]
    return list(_one_by_one(nulls, lam))


def _one_by_one(nulls: Nulls, lam: NDArray[np.float64]) -> Iterator[ChiSquareSum]:
    h = _shrinkage(nulls.basis, lam)
    total, first, second = 0.0, np.zeros(h.shape[1]), np.zeros(h.shape[1])
    for k in range(lam.size):
        total += lam[k]
        first += lam[k] * h[k]
        second += lam[k] * h[k] ** 2
        yield nulls.aggregated(total, first / total, second / total)


def _shrinkage(basis: Basis, lam: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give h_kj = lam_k mu_j / (lam_k mu_j + Lam_k), float64 (n, r)."""
    fitted = np.outer(lam, basis.second_moment)
    penalty = basis.lambda_ * (basis.events + lam)
    return np.asarray(fitted / (fitted + penalty[:, None]))


def _counts(expected: Sequence[float]) -> NDArray[np.float64]:
    lam = np.asarray(expected, dtype=np.float64)
    if lam.ndim != 1 or not lam.size or not (np.isfinite(lam) & (lam > 0)).all():
        raise ValueError(f"expected counts {lam.tolist()[:5]}: give at least one chunk, and positive counts")
    return lam
