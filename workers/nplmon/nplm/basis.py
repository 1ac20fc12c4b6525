r"""The reference eigenbasis: what makes a fit fast, and all that a reader needs to evaluate a fitted ratio.

With Gaussian kernels :math:`k(x, c) = \exp(-|x - c|^2 / 2 \sigma^2)` on M Nystrom centres drawn from the reference,
of which S span the others' kernels to rounding, the Cholesky factor of :math:`K_{SS} = L L^T` gives RKHS-orthonormal
features :math:`\phi(x) = L^{-1} k_S(x)`; diagonalising their weighted second moment over the reference,
:math:`V^{-1} \sum_R v \phi \phi^T = Q \mathrm{diag}(\mu) Q^T`, gives :math:`\psi = Q^T \phi`. A log density ratio is
:math:`f(x) = \sum_j a_j \psi_j(x)`, its RKHS norm is :math:`|a|`, and the Hessian of the NP loss at f = 0 is diagonal.

This module needs numpy only: readers import it, and the API starts faster without scipy.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import safetensors.numpy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

FORMAT: Final = "2"
BLOCK_ELEMENTS: Final = 1_000_000
"""Kernel elements per block: 8 MB in float64."""


class Arrays(NamedTuple):
    """Where arrays live and are worked on: numpy here, or torch tensors on a device.

    Attributes
    ----------
    xp:
        The module with `exp` and `clip`.
    place:
        Brings a float64 array there.
    host:
        Brings one back.
    """

    xp: Any
    place: Callable[[NDArray[np.float64]], Any]
    host: Callable[[Any], NDArray[np.float64]]


NUMPY: Final = Arrays(np, np.asarray, np.asarray)


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
    '3ae6492e'
    """
    settings = [FORMAT, list(features), centres, lambda_, sigma, None if sigma else sigma_quantile, seed]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:32]


def basis_keys(
    features: tuple[str, ...],
    centres: int,
    lambda_: float,
    sigmas: tuple[float, ...],
    sigma_quantiles: tuple[float, ...],
    seed: int,
) -> tuple[str, ...]:
    """Give the key of the eigenbasis of each kernel width, in the order of the widths; `sigmas` win where given.

    Examples
    --------
    >>> quantiles = (0.25, 0.9)
    >>> basis_keys(("x",), 1000, 1e-6, (), quantiles, 0)[1] == basis_key(("x",), 1000, 1e-6, None, 0.9, 0)
    True
    >>> len(basis_keys(("x",), 1000, 1e-6, (0.7,), quantiles, 0))
    1
    """
    return tuple(
        basis_key(features, centres, lambda_, sigma, quantile, seed)
        for sigma, quantile in kernel_widths(sigmas, sigma_quantiles)
    )


def kernel_widths(
    sigmas: tuple[float, ...], sigma_quantiles: tuple[float, ...]
) -> list[tuple[float | None, float]]:
    """Give sigma and quantile of each kernel width, as `prepare` takes them: the quantile counts where sigma is None.

    Examples
    --------
    >>> kernel_widths((0.3, 2.0), (0.5,)), kernel_widths((), (0.5,))
    ([(0.3, 0.5), (2.0, 0.5)], [(None, 0.5)])
    """
    if sigmas:
        return [(sigma, 0.5) for sigma in sigmas]
    return [(None, quantile) for quantile in sigma_quantiles]


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
        Standardised Nystrom centres that span the kernels of all M drawn, float64 (S, d), S <= M.
    projection:
        float64 (S, r): psi(x) = k(x, centres) @ projection.
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

    def shrinkage(self, expected: float) -> NDArray[np.float64]:
        """h_j = lam mu_j / (lam mu_j + Lam), what the penalty leaves of each component of a chunk, float64 (r,)."""
        fitted = expected * self.second_moment
        return fitted / (fitted + self.penalty(expected))

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
        points = standardise(x, self.mean, self.scale)
        for rows, kernel in kernel_blocks(points, self.centres, self.sigma):
            result[rows] = kernel @ self.projection
        return result

    def values(self, x: NDArray[np.floating], coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate models at the points x, f = sum_j a_j psi_j, all in float64.

        Where the models are fewer than the components, they are projected to the centres first: the work is then that
        of so many components, and psi itself is never computed.

        Parameters
        ----------
        x:
            Points in feature units, shape (N, d).
        coefficients:
            a of each model, shape (K, r).

        Returns
        -------
        NDArray[np.float64]
            f, shape (K, N).

        Examples
        --------
        >>> from nplmon.nplm.preparation import prepare
        >>> events = np.random.default_rng(0).normal(size=(500, 1))
        >>> basis, a = prepare(events, centres=20), np.array([[1.0, -2.0, 0.5]])
        >>> padded = np.pad(a, ((0, 0), (0, basis.size - 3)))
        >>> np.allclose(basis.values(events, padded)[0], basis.features(events)[:, :3] @ a[0], atol=1e-4)
        True
        """
        few = len(coefficients) < self.size
        projected = self.projection @ coefficients.T if few else self.projection
        result = np.empty((len(coefficients), len(x)))
        points = standardise(x, self.mean, self.scale)
        for rows, kernel in kernel_blocks(points, self.centres, self.sigma):
            found = kernel @ projected
            result[:, rows] = found.T if few else coefficients @ found.T
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


def standardise(
    x: NDArray[np.floating], mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(x - mean) / scale in float64, shape (N, d)."""
    return (np.asarray(x, dtype=np.float64) - mean) / scale


def gaussian_kernel(x: Any, centres: Any, sigma: float, xp: Any = np) -> Any:  # noqa: ANN401 (numpy or torch)
    """exp(-|x - c|^2 / (2 sigma^2)), shape (N, M), for float64 arrays x (N, d) and centres (M, d) of the module xp."""
    scaled_x, scaled_c = x / sigma, centres / sigma
    exponent = scaled_x @ scaled_c.T
    exponent -= 0.5 * (scaled_x * scaled_x).sum(1)[:, None]
    exponent -= 0.5 * (scaled_c * scaled_c).sum(1)
    xp.clip(exponent, None, 0.0, out=exponent)
    return xp.exp(exponent, out=exponent)


def kernel_blocks(
    x: NDArray[np.float64],
    centres: Any,  # noqa: ANN401 (numpy or torch)
    sigma: float,
    arrays: Arrays = NUMPY,
) -> Iterator[tuple[slice, Any]]:
    """Evaluate the kernel at the standardised points x (N, d), a block of them at a time."""
    step = max(1, BLOCK_ELEMENTS // len(centres))
    for start in range(0, len(x), step):
        rows = slice(start, min(start + step, len(x)))
        yield rows, gaussian_kernel(arrays.place(x[rows]), centres, sigma, arrays.xp)
