"""Preparation of a reference: kernel width, Nystrom centres and the eigenbasis, once per reference and kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy import linalg

from nplmon.nplm.basis import NUMPY, Basis, gaussian_kernel, kernel_blocks, standardise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.nplm.basis import Arrays

PAIR_SAMPLE: Final = 2_000
PLACEMENT_SAMPLE: Final = 20_000
"""Events among which k-means++ chooses."""
TRUNCATION: Final = 0.01
"""Of lambda: a component with mu below it moves t by less than 0.02 N_k / N_R."""
SMALLEST_SIGMA: Final = 1e-6
"""Above what rounding leaves between events that coincide."""
SPAN: Final = 1e-12
"""Centres are left out whose kernel, of norm 1, is within this squared distance of the others' span."""

Placement = Literal["uniform", "k-means++"]
PLACEMENTS: Final[tuple[Placement, ...]] = ("uniform", "k-means++")


def prepare(
    events: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
    *,
    centres: int = 1000,
    placement: Placement = "uniform",
    lambda_: float = 1e-6,
    sigma: float | None = None,
    sigma_quantile: float = 0.9,
    seed: int = 0,
    arrays: Arrays = NUMPY,
) -> Basis:
    """Prepare the eigenbasis of a reference sample, streaming over its events in blocks.

    Gaussian kernels on many centres are nearly dependent. A pivoted Cholesky factorisation chooses the centres whose
    kernels span those of all the others (to `SPAN`), so that the model is that of all M and the cost that of the S
    chosen: 28 of 1,000 for EXPO-1D, about half for five features.

    Parameters
    ----------
    events:
        Reference events in feature units, shape (N_R, d).
    weights:
        Event weights v >= 0, shape (N_R,); None means 1 for each.
    centres:
        M, the number of Nystrom centres.
    placement:
        "uniform" draws them without replacement with probability proportional to v, "k-means++" with probability
        proportional to v times the squared distance from those drawn before (Arthur & Vassilvitskii 2007), which
        puts more of them into the tails.
    lambda_:
        Penalty.
    sigma:
        Kernel width in reference standard deviations; None takes the `sigma_quantile` of the distances between
        pairs in a subsample of 2,000 events.
    sigma_quantile:
        Used where sigma is None.
    seed:
        Seed of the subsample and of the centres.
    arrays:
        Where the sums over the reference are formed; numpy, or torch on a device.

    Raises
    ------
    ValueError
        If a feature is constant or not finite, or a setting is out of range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> basis = prepare(rng.exponential(size=(20_000, 1)), centres=200, sigma=0.7)
    >>> basis.features(np.array([[1.0], [2.0]])).shape == (2, basis.size)
    True
    """
    if placement not in PLACEMENTS:
        raise ValueError(f"placement {placement!r}: give one of {', '.join(PLACEMENTS)}")
    positive = lambda_ > 0 and centres > 0 and (sigma is None or 0 < sigma < np.inf)
    if not (positive and 0 < sigma_quantile < 1):
        raise ValueError(
            f"lambda {lambda_}, centres {centres}, sigma {sigma}, sigma_quantile {sigma_quantile}: "
            "give positive ones, and a quantile below 1"
        )
    v = np.ones(len(events)) if weights is None else np.asarray(weights, dtype=np.float64)
    total = float(v.sum())
    mean, scale = moments(events, v)
    x = standardise(events, mean, scale)
    share = None if weights is None else v / total
    if sigma is None:
        sigma = _width(x, share, sigma_quantile, seed)
    c = nystrom_centres(x, centres, placement=placement, share=share, seed=seed)
    c, whiten = _spanning(c, sigma)

    at, whitening = arrays.place(c), arrays.place(whiten)
    first, second = arrays.place(np.zeros(len(c))), arrays.place(np.zeros((len(c), len(c))))
    for rows, kernel in kernel_blocks(x, at, sigma, arrays):
        phi = kernel @ whitening
        some = arrays.place(v[rows])
        first += some @ phi
        second += phi.T @ (phi if weights is None else phi * some[:, None])
    mu, q = np.linalg.eigh(arrays.host(second) / total)
    mu, q = mu[::-1], q[:, ::-1]
    r = max(1, int(np.count_nonzero(mu > TRUNCATION * lambda_)))
    return Basis(
        mean=mean,
        scale=scale,
        sigma=sigma,
        centres=c,
        projection=whiten @ q[:, :r].copy(),
        second_moment=mu[:r].copy(),
        mean_feature=(arrays.host(first) / total) @ q[:, :r],
        lambda_=lambda_,
        events=len(events),
        sum_weights=total,
        effective_events=total**2 / float(v @ v),
    )


def nystrom_centres(
    x: NDArray[np.float64],
    count: int,
    *,
    placement: Placement = "uniform",
    share: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Draw at most `count` of the standardised events x (N_R, d), with probabilities `share` (N_R,), None for equal.

    Examples
    --------
    >>> x = np.arange(10.0)[:, None]
    >>> nystrom_centres(x, 3, placement="k-means++", seed=1).shape, len(nystrom_centres(x, 30))
    ((3, 1), 10)
    """
    rng = np.random.default_rng([seed, 1])
    available = len(x) if share is None else int(np.count_nonzero(share))
    count = min(count, available)
    if placement == "uniform":
        return x[rng.choice(len(x), size=count, replace=False, p=share)]
    weight = np.ones(len(x)) if share is None else share
    pool = rng.choice(np.flatnonzero(weight), size=min(PLACEMENT_SAMPLE, available), replace=False)
    x, weight = x[pool], weight[pool]
    chosen = np.empty(count, dtype=np.int64)
    distance = np.ones(len(pool))
    for k in range(count):
        if not distance.any():  # all that is left coincides with centres
            return x[chosen[:k]]
        chosen[k] = rng.choice(len(pool), p=weight * distance / (weight @ distance))
        away = ((x - x[chosen[k]]) ** 2).sum(axis=1)
        distance = away if k == 0 else np.minimum(distance, away)
    return x[chosen]


def moments(
    events: NDArray[np.floating], v: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the weighted mean and standard deviation of each feature of events (N, d) with weights v (N,).

    Raises
    ------
    ValueError
        If a feature is constant or not finite.
    """
    # Exact, where a rounded mean leaves a constant a deviation of 1e-17.
    spread = np.ptp(events[v > 0], axis=0)
    if not np.isfinite(spread).all():
        raise ValueError(
            f"feature {int(np.argmin(np.isfinite(spread)))} of the reference is not finite: remove such events"
        )
    if not np.all(spread > 0):
        raise ValueError(f"feature {int(np.argmin(spread))} of the reference is constant: remove it")
    mean = np.average(events, axis=0, weights=v).astype(np.float64)
    return mean, np.sqrt(np.average((events - mean) ** 2, axis=0, weights=v)).astype(np.float64)


def _width(x: NDArray[np.float64], share: NDArray[np.float64] | None, quantile: float, seed: int) -> float:
    """Quantile of the distances between pairs of a subsample, of those that differ.

    Where many events have one value, as a feature with few values has, or where a heavy event is drawn again, a low
    quantile of all pairs would be 0.
    """
    rng = np.random.default_rng([seed, 0])
    # With weights, an event that stands for many is drawn as often: without replacement the heavy ones would be missed.
    size = PAIR_SAMPLE if share is not None else min(PAIR_SAMPLE, len(x))
    sample = x[rng.choice(len(x), size=size, replace=share is not None, p=share)]
    squares = np.einsum("ij,ij->i", sample, sample)
    distances = squares[:, None] + squares - 2 * (sample @ sample.T)
    pairs = np.sqrt(np.maximum(distances[np.triu_indices(len(sample), k=1)], 0.0))
    pairs = pairs[pairs > SMALLEST_SIGMA]
    if not pairs.size:
        raise ValueError(f"all {len(sample)} events of a subsample coincide: give sigma")
    return float(np.quantile(pairs, quantile))


def _spanning(c: NDArray[np.float64], sigma: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Choose the centres that span all of c (M, d): (S, d), and L^-T (S, S) with K_SS = L L'."""
    factor, pivots, rank, _ = linalg.lapack.dpstrf(gaussian_kernel(c, c, sigma), tol=SPAN, lower=1)
    lower = np.tril(factor[:rank, :rank])
    inverse = linalg.solve_triangular(lower, np.eye(rank), lower=True)
    return c[pivots[:rank] - 1], np.ascontiguousarray(inverse.T)
