r"""The averaged density ratio as a reader sees it: evaluated at any point, without torch.

Two finite forms. *mixture*: the models of all chunks,
:math:`\bar r(x) = \sum_k \lambda_k e^{f_k(x)} / \sum_k \lambda_k`, exact. *projection*: one coefficient vector, the
regularised least-squares projection of :math:`\log \bar r` on the eigenbasis over the reference; O(r) however many
chunks, and exact for a single model up to the damping of components with mu below lambda.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import safetensors.numpy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis


@dataclass(frozen=True, kw_only=True)
class AveragedRatio:
    """A weighted average of density ratios in one eigenbasis.

    Attributes
    ----------
    coefficients:
        a_k of each model, float64 (n, r).
    log_weights:
        log lam_k, float64 (n,).
    log_normalisation:
        Subtracted from the log ratio: the log of its mean over the reference in mode "shape", 0 in mode "rate".
    basis:
        Digest of the eigenbasis that the coefficients belong to; "" where it is not told.

    Examples
    --------
    >>> from nplmon.nplm.preparation import prepare
    >>> basis = prepare(np.random.default_rng(0).normal(size=(1000, 2)), centres=50)
    >>> flat = AveragedRatio(coefficients=np.zeros((3, basis.size)), log_weights=np.zeros(3))
    >>> flat.log_ratio(basis, np.zeros((1, 2))).tolist()
    [0.0]
    """

    coefficients: NDArray[np.float64]
    log_weights: NDArray[np.float64]
    log_normalisation: float = 0.0
    basis: str = ""

    @property
    def form(self) -> Literal["mixture", "projection"]:
        """How the ratio is represented."""
        return "projection" if self.log_weights.size == 0 else "mixture"

    def log_ratio(self, basis: Basis, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Evaluate log rbar at the points x (N, d), in feature units; float64 (N,)."""
        f = basis.features(x).astype(np.float64) @ self.coefficients.T
        if self.form == "projection":
            return np.asarray(f[:, 0] - self.log_normalisation)
        average = np.logaddexp.reduce(f + self.log_weights, axis=1) - np.logaddexp.reduce(self.log_weights)
        return np.asarray(average - self.log_normalisation)

    def to_bytes(self) -> bytes:
        """Serialise with safetensors."""
        return safetensors.numpy.save(
            {
                "coefficients": self.coefficients,
                "log_weights": self.log_weights,
                "log_normalisation": np.array([self.log_normalisation]),
                "basis": np.frombuffer(self.basis.encode(), dtype=np.uint8),
            }
        )

    @classmethod
    def from_bytes(cls, body: bytes) -> AveragedRatio:
        """Read what `to_bytes` wrote."""
        arrays = safetensors.numpy.load(body)
        return cls(
            coefficients=arrays["coefficients"],
            log_weights=arrays["log_weights"],
            log_normalisation=float(arrays["log_normalisation"][0]),
            basis=arrays["basis"].tobytes().decode(),
        )


def project(
    basis: Basis,
    features: NDArray[np.float32],
    weights: NDArray[np.float64],
    log_ratio: NDArray[np.float64],
) -> AveragedRatio:
    r"""Project a log ratio known at the reference events on the eigenbasis.

    :math:`b_j = V^{-1} \sum_R v \, \psi_j \log \bar r \, / (\mu_j + \lambda)`.

    Parameters
    ----------
    basis:
        The reference eigenbasis.
    features:
        psi at the reference events, float32 (N_R, r).
    weights:
        v, float64 (N_R,).
    log_ratio:
        log rbar at the reference events, float64 (N_R,).
    """
    moment = ((weights * log_ratio).astype(np.float32) @ features).astype(np.float64) / basis.sum_weights
    b = moment / (basis.second_moment + basis.lambda_)
    return AveragedRatio(coefficients=b[None, :], log_weights=np.empty(0), basis=basis.digest)
