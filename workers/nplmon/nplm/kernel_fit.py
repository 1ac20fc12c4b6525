"""What a fit of the kernel model gives: coefficients in the eigenbasis, and the statistic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import safetensors.numpy

from nplmon.nplm.errors import StateError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis


@dataclass(frozen=True, kw_only=True)
class KernelFit:
    """A fitted log density ratio f = sum_j a_j psi_j and its test statistic.

    Attributes
    ----------
    basis:
        The eigenbasis.
    expected:
        lam, the expected count under H0.
    coefficients:
        a, float64 (r,).
    score:
        c = sum_D psi - w sum_R v psi, float64 (r,): the gradient at f = 0, with the sign reversed.
    statistic:
        t of the chunk.
    iterations:
        Newton steps taken.
    resolution:
        How far t may still be from its value at the minimum: the share of its last change, predicted, that the
        solution of a Newton step leaves. Above the tolerance only where t is enormous (see `KernelModel.fit`).
    """

    basis: Basis
    expected: float
    coefficients: NDArray[np.float64]
    score: NDArray[np.float64]
    statistic: float
    iterations: int
    resolution: float

    def log_ratio(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Evaluate f at the points x (N, d), in feature units; float64 (N,)."""
        return self.basis.features(x).astype(np.float64) @ self.coefficients

    def to_bytes(self) -> bytes:
        """Serialise with safetensors: coefficients and score, bound to their eigenbasis by its digest."""
        scalars = [self.expected, self.statistic, self.iterations, self.resolution]
        return safetensors.numpy.save(
            {
                "coefficients": self.coefficients,
                "score": self.score,
                "scalars": np.array(scalars, dtype=np.float64),
                "basis": np.frombuffer(self.basis.digest.encode(), dtype=np.uint8),
            }
        )

    @classmethod
    def from_bytes(cls, basis: Basis, body: bytes) -> KernelFit:
        """Read what `to_bytes` wrote.

        Raises
        ------
        StateError
            If the bytes are no fit, or one in another eigenbasis.
        """
        try:
            arrays = safetensors.numpy.load(body)
            expected, statistic, iterations, resolution = arrays["scalars"].tolist()
            digest = arrays["basis"].tobytes().decode()
            coefficients, score = arrays["coefficients"], arrays["score"]
        except (safetensors.SafetensorError, KeyError, ValueError) as error:
            raise StateError(f"{len(body)} bytes are no fit of a kernel model ({error})") from error
        if digest != basis.digest:
            raise StateError(
                "the fit belongs to another eigenbasis: prepare with the settings that it was made with"
            )
        return cls(
            basis=basis,
            expected=expected,
            coefficients=coefficients,
            score=score,
            statistic=statistic,
            iterations=int(iterations),
            resolution=resolution,
        )
