"""A slow, obvious solution of the same problem: explicit Gaussian kernels, float64 throughout, scipy's minimiser.

It shares with the package the kernel's width and the centres, and no code: its model is f = K_S alpha with the penalty
(Lam / 2) alpha' K_SS alpha. That these centres span what all the drawn ones do is a test of its own.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize
from scipy.spatial.distance import cdist

from nplmon.nplm.basis import Basis

Array = NDArray[np.float64]


class Solution(NamedTuple):
    """A minimum: t, and f at the reference and at the data events."""

    statistic: float
    at_reference: Array
    at_events: Array


class Oracle:
    """The loss of one reference, minimised directly."""

    def __init__(
        self,
        basis: Basis,
        events: NDArray[np.floating],
        weights: Array | None = None,
        loss: Literal["likelihood", "logistic"] = "likelihood",
    ) -> None:
        x = np.asarray(events, dtype=np.float64)
        self.v = np.ones(len(x)) if weights is None else weights
        self.mean = np.average(x, axis=0, weights=self.v)
        self.scale = np.sqrt(np.average((x - self.mean) ** 2, axis=0, weights=self.v))
        self.sigma, self.centres, self.lambda_ = basis.sigma, basis.centres, basis.lambda_
        e, u = linalg.eigh(self.kernel_of(self.centres))
        assert e[0] > 0
        self.whiten = u / np.sqrt(e)
        self.reference = self.features(x)
        self.logistic = loss == "logistic"

    def kernel_of(self, standardised: Array) -> Array:
        return np.exp(-cdist(standardised, self.centres, "sqeuclidean") / (2 * self.sigma**2))

    def features(self, x: NDArray[np.floating]) -> Array:
        return self.kernel_of((np.asarray(x, dtype=np.float64) - self.mean) / self.scale) @ self.whiten

    def fit(self, events: NDArray[np.floating], expected: float) -> Solution:
        data, w = self.features(events), expected / self.v.sum()
        penalty = self.lambda_ * (len(self.reference) + len(events))

        def loss(b: Array) -> float:
            f, g = self.reference @ b, data @ b
            with np.errstate(over="ignore"):
                if self.logistic:
                    value = w * self.v @ np.logaddexp(0, f) + np.logaddexp(0, -g).sum()
                    value -= np.log(2) * (w * self.v.sum() + len(g))
                else:
                    value = w * self.v @ np.expm1(f) - g.sum()
            return float(value + 0.5 * penalty * b @ b)

        def gradient(b: Array) -> Array:
            f, g = self.reference @ b, data @ b
            if self.logistic:
                at_reference, at_data = 1 / (1 + np.exp(-f)), -1 / (1 + np.exp(g))
            else:
                at_reference, at_data = np.exp(f), -np.ones(len(g))
            return np.asarray(self.reference.T @ (w * self.v * at_reference) + data.T @ at_data + penalty * b)

        def hessian(b: Array) -> Array:
            f, g = self.reference @ b, data @ b
            total = penalty * np.eye(b.size)
            if self.logistic:
                total += data.T @ (data * (0.25 / np.cosh(g / 2) ** 2)[:, None])
                density = w * self.v * 0.25 / np.cosh(f / 2) ** 2
            else:
                density = w * self.v * np.exp(f)
            return np.asarray(total + self.reference.T @ (self.reference * density[:, None]))

        found = optimize.minimize(
            loss,
            np.zeros(data.shape[1]),
            jac=gradient,
            hess=hessian,
            method="trust-exact",
            options={"gtol": 1e-3, "initial_trust_radius": 10.0, "max_trust_radius": 1e4},
        )
        b = found.x
        for _ in range(3):  # polish: the trust region stops where rounding hides the loss's decrease
            b = b - linalg.solve(hessian(b), gradient(b), assume_a="pos")
        remaining = gradient(b) @ linalg.solve(hessian(b), gradient(b), assume_a="pos")
        assert remaining < 1e-9, remaining
        at_reference, at_events = self.reference @ b, data @ b
        statistic = 2 * (at_events.sum() - w * self.v @ np.expm1(at_reference))
        return Solution(float(statistic), at_reference, at_events)
