r"""Fit of one chunk: the maximum-likelihood (NP) loss in the reference eigenbasis, by Newton's method.

Loss of a chunk D with expected count lam, :math:`w = \lambda_k / V` (D'Agnolo & Wulzer, arXiv:1806.02350,
eq. 14, with the kernel penalty of arXiv:2204.02317):

.. math:: L(a) = w \sum_R v (e^f - 1) - \sum_D f + \frac{\Lambda}{2} |a|^2, \qquad f = \sum_j a_j \psi_j

and the test statistic :math:`t = 2 [\sum_D f - w \sum_R v (e^f - 1)]` at the minimum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import safetensors.numpy
import torch

from nplmon.nplm.basis import Basis, prepare
from nplmon.nplm.errors import FitError, StateError
from nplmon.nplm.model import check_chunk
from nplmon.nplm.reference import Reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIRECT_SIZE = 64  # up to here forming and factorising the Hessian is cheaper than conjugate gradients
MAX_NEWTON_STEPS = 50
VIOLENT_STEPS = 25  # after these, a chunk beyond doubt is no longer refined
MAX_HALVINGS = 60
CONJUGATE_STEPS_SHARE = (
    8  # size / 8 conjugate steps, of two passes each, cost about as much as a direct solution
)
BLOCK_ROWS = 16_384
ROUNDING = 1e-9  # of the loss: what float32 features leave uncertain in it
LOOSE = 1e-3  # of t: the resolution that float32 always reaches, whatever the tolerance asked for
FORCING = (
    0.1  # relative residual of a Newton step: less costs more passes over the features than it saves steps
)


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
        except (safetensors.SafetensorError, KeyError, ValueError) as error:
            raise StateError(f"{len(body)} bytes are no fit of a kernel model ({error})") from error
        if digest != basis.digest:
            raise StateError(
                "the fit belongs to another eigenbasis: prepare with the settings that it was made with"
            )
        return cls(
            basis=basis,
            expected=expected,
            coefficients=arrays["coefficients"],
            score=arrays["score"],
            statistic=statistic,
            iterations=int(iterations),
            resolution=resolution,
        )


class KernelModel:
    """Gaussian kernels on fixed centres: the eigenbasis of a reference and its cached features, on a device.

    Parameters
    ----------
    basis:
        The reference's eigenbasis.
    features:
        psi at the reference events, float32 (N_R, r); `basis.features(events)`.
    weights:
        Event weights v (N_R,), or None for 1.
    device:
        A torch device.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> model = KernelModel.prepare(Reference(rng.exponential(size=(20_000, 1))), centres=200, sigma=0.7)
    >>> fitted = model.fit(rng.exponential(size=(500, 1)), expected=500.0)
    >>> fitted.statistic > 0, fitted.coefficients.shape == (model.basis.size,)
    (True, True)
    """

    def __init__(
        self,
        reference: Reference,
        basis: Basis,
        features: NDArray[np.float32] | None = None,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        self.reference = reference
        self.basis = basis
        self.device = torch.device(device)
        self.features = basis.features(reference.events) if features is None else features
        self._psi = torch.from_numpy(self.features).to(self.device)
        v = np.ones(len(self.features)) if reference.weights is None else reference.weights
        self._v = torch.from_numpy(v).to(self.device)
        self._mu = torch.from_numpy(basis.second_moment).to(self.device)
        self._m = torch.from_numpy(basis.mean_feature).to(self.device)

    @classmethod
    def prepare(
        cls,
        reference: Reference,
        *,
        centres: int = 1000,
        lambda_: float = 1e-6,
        sigma: float | None = None,
        sigma_quantile: float = 0.9,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> KernelModel:
        """Prepare the eigenbasis of a reference and the features of its events; see `nplmon.nplm.basis.prepare`."""
        basis = prepare(
            reference.events,
            reference.weights,
            centres=centres,
            lambda_=lambda_,
            sigma=sigma,
            sigma_quantile=sigma_quantile,
            seed=seed,
        )
        return cls(reference, basis, device=device)

    def read(self, body: bytes) -> KernelFit:
        """Read what `KernelFit.to_bytes` wrote for a fit in this eigenbasis."""
        return KernelFit.from_bytes(self.basis, body)

    def fit(self, events: NDArray[np.floating], expected: float, *, tolerance: float = 3e-4) -> KernelFit:
        """Fit one chunk.

        Sums over the reference are of e^f - 1, small where the data agree, so that float32 features leave t right
        to about 1e-6; the known sums at f = 0 come from the eigenbasis in float64.

        Where most data lie outside the reference, the minimum is at |f| of thousands and Newton's steps are
        short. -2 L bounds t at the minimum from below at every step, and t under H0 has a mean of at most r; once
        -2 L exceeds 10 r + 1000 and the steps are many, the fit is returned as it stands, with its resolution.

        Parameters
        ----------
        events:
            Data events in feature units, shape (N_k, d).
        expected:
            lam_k, the expected count under H0: N_k in mode "shape", rate x exposure in mode "rate".
        tolerance:
            Stop with the step that leaves t right to this, as predicted, relative to t where t > 1.

        Raises
        ------
        ValueError
            If there are no events, they have another number of features or are not finite, or `expected` is not
            positive.
        FitError
            If the loss cannot be brought down to its minimum; the message says where it stopped.
        """
        check_chunk(events, expected, self.basis.mean.size)
        beyond_doubt = 10 * self.basis.size + 1000
        psi_d = torch.from_numpy(self.basis.features(events)).to(self.device)
        w = expected / self.basis.sum_weights
        penalty = self.basis.penalty(len(events))
        score = psi_d.sum(dim=0, dtype=torch.float64) - expected * self._m
        preconditioner = expected * self._mu + penalty
        a, f = torch.zeros_like(score), torch.zeros_like(self._v)
        loss = 0.0
        for step in range(1, MAX_NEWTON_STEPS + 1):
            gradient = w * self._project(self._v * torch.expm1(f)) - score + penalty * a
            direction, f_step = self._newton_step(
                gradient, w * self._v * torch.exp(f), penalty, preconditioner
            )
            # t lacks the penalty that L is stationary with, so it changes to first order with a:
            # dt = -2 (grad L - Lam a) . da
            slope = float(gradient @ direction)
            change = abs(2 * float((gradient - penalty * a) @ direction)) - slope
            for halvings in range(MAX_HALVINGS):
                scale = 0.5**halvings
                a_new, f_new = a + scale * direction, f + scale * f_step
                # e^f - 1 - f is of second order: its sum is exact where e^f - 1 and f would cancel.
                curvature = w * float(self._v @ (torch.expm1(f_new) - f_new))
                new = curvature - float(score @ a_new) + 0.5 * penalty * float(a_new @ a_new)
                if new <= loss + 1e-4 * scale * slope + ROUNDING * (1 + abs(loss)):
                    break
            else:
                raise FitError(
                    f"no step lowers the loss {loss:.6g} at Newton step {step} (slope {slope:.3g})"
                )
            a, f, loss = a_new, f_new, new
            # A full step leaves the share FORCING of itself, and the square of what it moved.
            if halvings == 0 and FORCING * change <= tolerance * max(1.0, 2 * abs(loss)):
                break
            if step >= VIOLENT_STEPS and -2 * loss > beyond_doubt:
                break
        else:
            if change > LOOSE * max(1.0, 2 * abs(loss)):
                raise FitError(
                    f"not converged in {MAX_NEWTON_STEPS} Newton steps: t, now {-2 * loss:.6g} or more, may still "
                    f"change by {change:.3g}; a larger lambda than {self.basis.lambda_:g} makes the fit easier"
                )
        return KernelFit(
            basis=self.basis,
            expected=expected,
            coefficients=a.cpu().numpy(),
            score=score.cpu().numpy(),
            statistic=2 * (float(score @ a) - curvature),
            iterations=step,
            resolution=FORCING * change,
        )

    def _along(self, a: torch.Tensor) -> torch.Tensor:
        """Psi a, float64 (N_R,)."""
        return torch.mv(self._psi, a.to(torch.float32)).to(torch.float64)

    def _project(self, u: torch.Tensor) -> torch.Tensor:
        """Psi' u, float64 (r,): partial sums of a block in float32, over blocks in float64."""
        total = torch.zeros_like(self._mu)
        for rows in _blocks(len(u)):
            total += torch.mv(self._psi[rows].T, u[rows].to(torch.float32))
        return total

    def _newton_step(
        self,
        gradient: torch.Tensor,
        density: torch.Tensor,
        penalty: float,
        preconditioner: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Solve (Psi' diag(density) Psi + penalty) da = -gradient; give da and Psi da.

        Conjugate gradients, preconditioned with the Hessian at f = 0, to the relative residual FORCING; directly
        where that is cheaper, or where the density ratio has moved so far from 1 that they converge slowly.
        """
        solution, residual = torch.zeros_like(gradient), -gradient
        f_step = torch.zeros_like(density)
        z = residual / preconditioner
        direction, norm = z, float(residual @ z)
        goal = FORCING**2 * norm
        for _ in range(self.basis.size // CONJUGATE_STEPS_SHARE if self.basis.size > DIRECT_SIZE else 0):
            along = self._along(direction)
            image = self._project(density * along) + penalty * direction
            length = norm / float(direction @ image)
            solution = solution + length * direction
            f_step = f_step + length * along
            residual = residual - length * image
            z = residual / preconditioner
            previous, norm = norm, float(residual @ z)
            if norm <= goal:
                return solution, f_step
            direction = z + (norm / previous) * direction
        hessian = penalty * torch.eye(self.basis.size, dtype=torch.float64, device=self.device)
        for rows in _blocks(len(density)):
            psi = self._psi[rows].to(torch.float64)
            hessian += psi.T @ (psi * density[rows, None])
        solution = -torch.cholesky_solve(gradient[:, None], torch.linalg.cholesky(hessian))[:, 0]
        return solution, self._along(solution)


def _blocks(count: int) -> list[slice]:
    return [slice(start, min(start + BLOCK_ROWS, count)) for start in range(0, count, BLOCK_ROWS)]
