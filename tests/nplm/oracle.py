"""A slow, obvious solution of the same problem: explicit Gaussian kernels, float64 throughout, scipy's minimiser.

It shares with the package the centres, the kernel's width and the floor under the kernel matrix's eigenvalues, and
no code: its model is f = K_M alpha with the penalty (Lam / 2) alpha' K_MM alpha, on all eigenvectors above the floor.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize
from scipy.spatial.distance import cdist

from nplmon.nplm.basis import CENTRE_FLOOR, Basis

Array = NDArray[np.float64]


class Solution(NamedTuple):
    """A minimum: t, and f at the reference and at the data events."""

    statistic: float
    at_reference: Array
    at_events: Array


class Oracle:
    """The NP loss of one reference, minimised directly."""

    def __init__(self, basis: Basis, events: NDArray[np.floating], weights: Array | None = None) -> None:
        x = np.asarray(events, dtype=np.float64)
        self.v = np.ones(len(x)) if weights is None else weights
        self.mean = np.average(x, axis=0, weights=self.v)
        self.scale = np.sqrt(np.average((x - self.mean) ** 2, axis=0, weights=self.v))
        self.sigma, self.centres, self.lambda_ = basis.sigma, basis.centres, basis.lambda_
        e, u = linalg.eigh(self.kernel_of(self.centres))
        kept = e > CENTRE_FLOOR * e[-1]
        self.whiten = u[:, kept] / np.sqrt(e[kept])
        self.reference = self.features(x)

    def kernel_of(self, standardised: Array) -> Array:
        return np.exp(-cdist(standardised, self.centres, "sqeuclidean") / (2 * self.sigma**2))

    def features(self, x: NDArray[np.floating]) -> Array:
        return self.kernel_of((np.asarray(x, dtype=np.float64) - self.mean) / self.scale) @ self.whiten

    def fit(self, events: NDArray[np.floating], expected: float) -> Solution:
        data, w = self.features(events), expected / self.v.sum()
        penalty = self.lambda_ * (len(self.reference) + len(events))
        observed = data.sum(axis=0)

        def loss(b: Array) -> float:
            with np.errstate(over="ignore"):
                excess = w * self.v @ np.expm1(self.reference @ b)
            return float(excess - observed @ b + 0.5 * penalty * b @ b)

        def gradient(b: Array) -> Array:
            density = w * self.v * np.exp(self.reference @ b)
            return np.asarray(self.reference.T @ density - observed + penalty * b)

        def hessian(b: Array) -> Array:
            density = w * self.v * np.exp(self.reference @ b)
            return np.asarray(self.reference.T @ (self.reference * density[:, None])) + penalty * np.eye(
                b.size
            )

        found = optimize.minimize(
            loss,
            np.zeros(observed.size),
            jac=gradient,
            hess=hessian,
            method="trust-exact",
            options={"gtol": 1e-3, "initial_trust_radius": 10.0, "max_trust_radius": 1e4},
        )
        b = found.x
        for _ in range(3):  # polish: the trust region stops where rounding hides the loss's decrease
            b = b - linalg.solve(hessian(b), gradient(b), assume_a="pos")
        remaining = gradient(b) @ linalg.solve(hessian(b), gradient(b), assume_a="pos")
        assert remaining < 1e-10, remaining
        f = self.reference @ b
        statistic = 2 * (observed @ b - w * self.v @ np.expm1(f))
        return Solution(float(statistic), f, data @ b)
