r"""The reference eigenbasis: what makes a fit fast, and all that a reader needs to evaluate a fitted ratio.

With Gaussian kernels :math:`k(x, c) = \exp(-|x - c|^2 / 2 \sigma^2)` on M Nystrom centres drawn from the reference,
:math:`K_{MM} = U \mathrm{diag}(e) U^T` gives RKHS-orthonormal features
:math:`\phi(x) = \mathrm{diag}(e)^{-1/2} U^T k_M(x)`; diagonalising their weighted second moment over the reference,
:math:`V^{-1} \sum_R v \phi \phi^T = Q \mathrm{diag}(\mu) Q^T`, gives :math:`\psi = Q^T \phi`. A log density ratio is
:math:`f(x) = \sum_j a_j \psi_j(x)`, its RKHS norm is :math:`|a|`, and the Hessian of the NP loss at f = 0 is diagonal.

This module needs numpy only: readers import it, and the API starts faster without scipy.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import safetensors.numpy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FORMAT: Final = "1"
BLOCK_ELEMENTS: Final = (
    4_000_000  # kernel elements per block: 32 MB in float64, inside the reach of the caches' prefetch
)
PAIR_SAMPLE: Final = 2_000
TRUNCATION: Final = 0.01  # of lambda: a component below it moves t by less than 0.02 N_k / N_R
SMALLEST_SIGMA: Final = 1e-6  # above what rounding leaves between events that coincide
CENTRE_FLOOR: Final = 1e-13  # of the largest kernel eigenvalue: below it, float64 holds only noise


def basis_key(
    features: tuple[str, ...],
    centres: int,
    lambda_: float,
    sigma: float | None,
    sigma_quantile: float,
    seed: int,
) -> str:
    """Give the key under which the eigenbasis of one reference is stored: a hash of all else that it depends on.

    Examples
    --------
    >>> basis_key(("x",), 1000, 1e-6, None, 0.9, 0)[:8]
    '3779835b'
    """
    settings = [FORMAT, list(features), centres, lambda_, sigma, None if sigma else sigma_quantile, seed]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Basis:
    """The eigenbasis of one reference under one kernel.

    Attributes
    ----------
    mean, scale:
        Weighted mean and standard deviation of the reference, float64 (d,), in feature units.
    sigma:
        Kernel width, in reference standard deviations.
    centres:
        Standardised Nystrom centres, float64 (M, d).
    projection:
        float64 (M, r): psi(x) = k(x, centres) @ projection.
    second_moment:
        mu, float64 (r,), decreasing: the reference's weighted mean of psi_j^2.
    mean_feature:
        m, float64 (r,): the reference's weighted mean of psi.
    lambda_:
        Penalty of the kernel model, dimensionless.
    events, sum_weights, effective_events:
        N_R, V and N_eff = V^2 / sum v^2 of the reference.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    sigma: float
    centres: NDArray[np.float64]
    projection: NDArray[np.float64]
    second_moment: NDArray[np.float64]
    mean_feature: NDArray[np.float64]
    lambda_: float
    events: int
    sum_weights: float
    effective_events: float

    @property
    def size(self) -> int:
        """r, the number of components kept."""
        return self.second_moment.size

    @property
    def digest(self) -> str:
        """Tell apart eigenbases of the same size: their components, and so all coefficients, mean other things."""
        return hashlib.sha256(self.second_moment.tobytes() + self.mean_feature.tobytes()).hexdigest()[:32]

    def penalty(self, events: float) -> float:
        """Lam = lambda (N_R + N_k), the penalty of a fit to `events` data events (arXiv:2204.02317, eq. 13)."""
        return self.lambda_ * (self.events + events)

    def features(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Evaluate psi at the points x.

        The kernel is evaluated and projected in float64, because the projection's columns are large and of both
        signs; the result is kept in float32.

        Parameters
        ----------
        x:
            Points in feature units, shape (N, d).

        Returns
        -------
        NDArray[np.float32]
            psi, shape (N, r).
        """
        result = np.empty((len(x), self.size), dtype=np.float32)
        for rows, kernel in _kernel_blocks(standardise(x, self.mean, self.scale), self.centres, self.sigma):
            result[rows] = kernel @ self.projection
        return result

    def to_bytes(self) -> bytes:
        """Serialise with safetensors; the scalars are in the metadata."""
        arrays = {
            "mean": self.mean,
            "scale": self.scale,
            "centres": self.centres,
            "projection": np.ascontiguousarray(self.projection),
            "second_moment": self.second_moment,
            "mean_feature": self.mean_feature,
            "scalars": np.array(
                [self.sigma, self.lambda_, self.events, self.sum_weights, self.effective_events],
                dtype=np.float64,
            ),
        }
        return safetensors.numpy.save(arrays, metadata={"format": FORMAT})

    @classmethod
    def from_bytes(cls, body: bytes) -> Basis:
        """Read what `to_bytes` wrote.

        Raises
        ------
        safetensors.SafetensorError
            If the bytes are not a safetensors file.
        """
        arrays = safetensors.numpy.load(body)
        sigma, lambda_, events, sum_weights, effective_events = arrays.pop("scalars").tolist()
        return cls(
            **arrays,
            sigma=sigma,
            lambda_=lambda_,
            events=int(events),
            sum_weights=sum_weights,
            effective_events=effective_events,
        )


def prepare(
    events: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
    *,
    centres: int = 1000,
    lambda_: float = 1e-6,
    sigma: float | None = None,
    sigma_quantile: float = 0.9,
    seed: int = 0,
) -> Basis:
    """Prepare the eigenbasis of a reference sample, streaming over its events in blocks.

    Parameters
    ----------
    events:
        Reference events in feature units, shape (N_R, d).
    weights:
        Event weights v >= 0, shape (N_R,); None means 1 for each.
    centres:
        M, the number of Nystrom centres, drawn without replacement with probability proportional to v.
    lambda_:
        Penalty.
    sigma:
        Kernel width in reference standard deviations; None takes the `sigma_quantile` of the distances between
        pairs in a subsample of 2,000 events.
    sigma_quantile:
        Used where sigma is None.
    seed:
        Seed of the subsample and of the centres.

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
    if not (lambda_ > 0 and centres > 0 and (sigma is None or sigma > 0) and 0 < sigma_quantile < 1):
        raise ValueError(
            f"lambda {lambda_}, centres {centres}, sigma {sigma}, sigma_quantile {sigma_quantile}: "
            "give positive ones, and a quantile below 1"
        )
    count = len(events)
    v = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
    total = float(v.sum())
    spread = np.ptp(
        events[v > 0], axis=0
    )  # exact, where a rounded mean leaves a constant a deviation of 1e-17
    if not np.isfinite(spread).all():
        raise ValueError(
            f"feature {int(np.argmin(np.isfinite(spread)))} of the reference is not finite: remove such events"
        )
    if not np.all(spread > 0):
        raise ValueError(f"feature {int(np.argmin(spread))} of the reference is constant: remove it")
    mean = np.average(events, axis=0, weights=v).astype(np.float64)
    scale = np.sqrt(np.average((events - mean) ** 2, axis=0, weights=v)).astype(np.float64)
    x = standardise(events, mean, scale)
    rng = np.random.default_rng(seed)
    share = None if weights is None else v / total
    available = int(np.count_nonzero(v))
    if sigma is None:
        pairs = rng.choice(count, size=min(PAIR_SAMPLE, available), replace=False, p=share)
        sigma = float(np.quantile(_pair_distances(x[pairs]), sigma_quantile))
        if sigma < SMALLEST_SIGMA:
            raise ValueError(
                f"the {sigma_quantile} quantile of the pair distances is {sigma:.2g}: give sigma"
            )
    c = x[rng.choice(count, size=min(centres, available), replace=False, p=share)]

    e, u = np.linalg.eigh(gaussian_kernel(c, c, sigma))
    # Small eigenvalues are kept down to that floor: they carry what the model can say beyond the outermost centres.
    kept = e > CENTRE_FLOOR * e[-1]
    whiten = u[:, kept] / np.sqrt(e[kept])
    second = np.zeros((whiten.shape[1],) * 2)
    first = np.zeros(whiten.shape[1])
    for rows, kernel in _kernel_blocks(x, c, sigma):
        phi = kernel @ whiten
        first += v[rows] @ phi
        second += phi.T @ (phi if weights is None else phi * v[rows, None])
    mu, q = np.linalg.eigh(second / total)
    mu, q = mu[::-1], q[:, ::-1]
    r = max(1, int(np.count_nonzero(mu > TRUNCATION * lambda_)))
    return Basis(
        mean=mean,
        scale=scale,
        sigma=sigma,
        centres=c,
        projection=whiten @ q[:, :r],
        second_moment=np.ascontiguousarray(mu[:r]),
        mean_feature=(first / total) @ q[:, :r],
        lambda_=lambda_,
        events=count,
        sum_weights=total,
        effective_events=total**2 / float(v @ v),
    )


def standardise(
    x: NDArray[np.floating], mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(x - mean) / scale in float64, shape (N, d)."""
    return (np.asarray(x, dtype=np.float64) - mean) / scale


def gaussian_kernel(
    x: NDArray[np.float64], centres: NDArray[np.float64], sigma: float
) -> NDArray[np.float64]:
    """exp(-|x - c|^2 / (2 sigma^2)), shape (N, M), for x (N, d) and centres (M, d)."""
    scaled_x, scaled_c = x / sigma, centres / sigma
    exponent = scaled_x @ scaled_c.T
    exponent -= 0.5 * np.einsum("ij,ij->i", scaled_x, scaled_x)[:, None]
    exponent -= 0.5 * np.einsum("ij,ij->i", scaled_c, scaled_c)
    np.minimum(exponent, 0.0, out=exponent)
    return np.exp(exponent, out=exponent)


def _pair_distances(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean distances of all pairs i < j of the points x (N, d), shape (N (N - 1) / 2,)."""
    squares = np.einsum("ij,ij->i", x, x)
    distances = squares[:, None] + squares - 2 * (x @ x.T)
    return np.asarray(np.sqrt(np.maximum(distances[np.triu_indices(len(x), k=1)], 0.0)))


def _kernel_blocks(
    x: NDArray[np.float64], centres: NDArray[np.float64], sigma: float
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    step = max(1, BLOCK_ELEMENTS // len(centres))
    for start in range(0, len(x), step):
        rows = slice(start, min(start + step, len(x)))
        yield rows, gaussian_kernel(x[rows], centres, sigma)
