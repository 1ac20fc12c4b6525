r"""The loss of a few Gaussian kernels as a function of their coefficients a and their locations m.

With :math:`k_j(x) = \exp(-|x - m_j|^2 / 2 \sigma^2)`, :math:`f = \sum_j a_j k_j` and the penalties of SparKer
(Grosso et al. 2024; the entropy as in the public code, github.com/GaiaGrosso/NPLM-GWAK):

.. math::
    L(a, m) = w \sum_R v (e^f - 1) - \sum_D f + \frac{\lambda_a}{M} |a|^2 - \lambda_H L_H(m), \qquad
    L_H = - \sum_j \bar k_j \log \bar k_j, \quad \bar k_j = \frac{1}{M} \sum_i k_i(m_j)

The loss is convex in a. The entropy is largest for :math:`\bar k_j = 1/e`: it keeps the kernels from all being in one
place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch
from scipy import linalg

from nplmon.nplm.basis import gaussian_kernel
from nplmon.nplm.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BLOCK_ELEMENTS: Final = 200_000
"""Kernel elements per block: 1.6 MB, which stay in the cache while they are worked on."""
SPAN: Final = 1e-12
"""Kernels are evaluated by way of others, whose span they are within this squared distance of."""
MAX_STEPS: Final = 100
MAX_HALVINGS: Final = 60
SUFFICIENT: Final = 1e-4
"""Share of the predicted decrease that a step must bring (Armijo)."""
ROUNDING: Final = {torch.float64: 1e-12, torch.float32: 1e-6}
"""Of 1 + |L|: what the sums leave uncertain."""


class Point(NamedTuple):
    """The loss and its derivatives at coefficients a and locations m.

    Attributes
    ----------
    value:
        L, with both penalties.
    statistic:
        t = 2 [sum_D f - w sum_R v (e^f - 1)].
    coefficients:
        a, float64 (M,).
    coefficient_gradient:
        dL/da, float64 (M,).
    location_gradient:
        dL/dm, float64 (M, d).
    """

    value: float
    statistic: float
    coefficients: NDArray[np.float64]
    coefficient_gradient: NDArray[np.float64]
    location_gradient: NDArray[np.float64]


def entropy(locations: NDArray[np.float64], sigma: float) -> tuple[float, NDArray[np.float64]]:
    """Give L_H and its gradient, (M, d), at standardised locations (M, d).

    Examples
    --------
    >>> together, _ = entropy(np.zeros((2, 1)), sigma=1.0)
    >>> apart, _ = entropy(np.array([[-2.0], [2.0]]), sigma=1.0)
    >>> bool(apart > together)
    True
    """
    kernel = gaussian_kernel(locations, locations, sigma)
    mean = kernel.mean(axis=1)
    slope = -(1 + np.log(mean))
    pull = -kernel * (slope[:, None] + slope) / (len(mean) * sigma**2)
    return float(-mean @ np.log(mean)), pull.sum(axis=1)[:, None] * locations - pull @ locations


class SparseLoss:
    """L of one chunk.

    Parameters
    ----------
    reference, events:
        Standardised events, float64 (N_R, d) and (N_k, d), on one device.
    weights:
        w v > 0, float64 (N_R,).
    sigma:
        Kernel width, in reference standard deviations.
    lambda_a, lambda_h:
        Strengths of the penalties.
    precision:
        Of products over the events; kernels are evaluated, and sums kept, in float64.

    Examples
    --------
    >>> x = torch.linspace(-2, 2, 401, dtype=torch.float64)[:, None]
    >>> loss = SparseLoss(x, x[200:240], torch.full((401,), 0.1).double(), sigma=1.0, lambda_a=1e-3, lambda_h=1e-3)
    >>> found = loss.minimise(np.array([[-1.0], [0.2]]))
    >>> found.statistic > 0, bool(np.abs(found.coefficient_gradient).max() < 0.1), found.location_gradient.shape
    (True, True, (2, 1))
    """

    def __init__(
        self,
        reference: torch.Tensor,
        events: torch.Tensor,
        weights: torch.Tensor,
        *,
        sigma: float,
        lambda_a: float,
        lambda_h: float,
        precision: torch.dtype = torch.float64,
    ) -> None:
        self._reference = reference
        self._events = events
        self._weights = weights
        self._sigma = sigma
        self._lambda_a = lambda_a
        self._lambda_h = lambda_h
        self._precision = precision

    def evaluate(self, coefficients: NDArray[np.float64], locations: NDArray[np.float64]) -> Point:
        """Evaluate L and its derivatives at a, float64 (M,), and m, standardised, float64 (M, d)."""
        located = self._located(locations)
        return self._point(located, located.columns.T @ coefficients, coefficients, locations)

    def minimise(
        self,
        locations: NDArray[np.float64],
        start: NDArray[np.float64] | None = None,
        tolerance: float = 1e-4,
    ) -> Point:
        """Minimise over the coefficients, by damped Newton steps.

        There dL/da = 0, so that `location_gradient` is also the gradient of the smallest L as a function of m.

        Parameters
        ----------
        locations:
            m, standardised, float64 (M, d).
        start:
            Coefficients to begin with, float64 (M,); 0 in place of None and of those that are worse than 0.
        tolerance:
            t is right to this, as predicted, relative where t > 1.

        Raises
        ------
        FitError
            If the loss cannot be brought down to its minimum; the message says where it stopped.
        """
        located, penalty = self._located(locations), self._lambda_a / len(locations)
        b, value = np.zeros(located.columns.shape[1]), 0.0
        terms = located.terms(b)
        if start is not None:
            trial = located.columns.T @ start
            there = located.terms(trial)
            if there.value + penalty * float(trial @ trial) < 0:
                b, terms, value = trial, there, there.value + penalty * float(trial @ trial)
        for _ in range(MAX_STEPS):
            gradient = terms.gradient + 2 * penalty * b
            step = _solve(terms.hessian, 2 * penalty, -gradient)
            decrease = -float(gradient @ step)
            if decrease <= tolerance * max(1.0, -value):
                break
            scale, goal = 1.0, SUFFICIENT * decrease
            for _ in range(MAX_HALVINGS):
                trial = b + scale * step
                there = located.terms(trial)
                new = there.value + penalty * float(trial @ trial)
                if new <= value - scale * goal:
                    break
                scale /= 2
            else:
                if decrease <= ROUNDING[self._precision] * (1 + abs(value)):
                    break
                raise FitError(f"no step lowers the loss {value:.6g}, whose slope is {-decrease:.3g}")
            b, terms, value = trial, there, new
        else:
            raise FitError(
                f"not converged in {MAX_STEPS} Newton steps: t, now {-2 * terms.value:.6g}, may still change by "
                f"{decrease:.3g}; a larger lambda_a makes the fit easier"
            )
        return self._point(located, b, located.columns @ b, locations, terms)

    def _point(
        self,
        located: _Located,
        b: NDArray[np.float64],
        a: NDArray[np.float64],
        locations: NDArray[np.float64],
        terms: _Terms | None = None,
    ) -> Point:
        terms = located.terms(b) if terms is None else terms
        penalty = self._lambda_a / len(a)
        spread, spread_gradient = entropy(locations, self._sigma)
        moment = located.columns @ located.moment(b)
        slope = located.columns @ terms.gradient
        pull = (a / self._sigma**2)[:, None] * (moment - slope[:, None] * locations)
        return Point(
            value=terms.value + penalty * float(a @ a) - self._lambda_h * spread,
            statistic=-2 * terms.value,
            coefficients=a,
            coefficient_gradient=slope + 2 * penalty * a,
            location_gradient=pull - self._lambda_h * spread_gradient,
        )

    def _located(self, locations: NDArray[np.float64]) -> _Located:
        return _Located(self._reference, self._events, self._weights, locations, self._sigma, self._precision)


class _Terms(NamedTuple):
    """Value, gradient (S,) and Hessian (S, S) of the NP loss with respect to b, float64 on the host."""

    value: float
    gradient: NDArray[np.float64]
    hessian: NDArray[np.float64]


class _Located:
    r"""The NP loss at fixed locations, in orthonormal coordinates of the coefficients that matter.

    A pivoted Cholesky factorisation :math:`K_{MM} = F F^T` finds S <= M locations whose kernels span those of all the
    others (to `SPAN`); with F = T R, T having orthonormal columns, :math:`k_M(x) = T \chi(x)`,
    :math:`\chi(x) = R L_{SS}^{-1} k_S(x)`. Coefficients orthogonal to T change no f: a = T b, and |a| = |b|.
    """

    def __init__(
        self,
        reference: torch.Tensor,
        events: torch.Tensor,
        weights: torch.Tensor,
        locations: NDArray[np.float64],
        sigma: float,
        precision: torch.dtype,
    ) -> None:
        factor, pivots, rank, _ = linalg.lapack.dpstrf(
            gaussian_kernel(locations, locations, sigma), tol=SPAN, lower=1
        )
        lower = np.tril(factor[:, :rank])
        full = np.empty_like(lower)
        full[pivots - 1] = lower
        self.columns, r = np.linalg.qr(full)
        """T, float64 (M, S)."""
        inverse = linalg.solve_triangular(lower[:rank], np.eye(rank), lower=True)
        self._x, self._weights = reference, weights
        self._step = max(64, BLOCK_ELEMENTS // rank)
        spanning = self._place(locations[pivots[:rank] - 1])
        projection = self._place(r @ inverse)

        def features(x: torch.Tensor) -> torch.Tensor:
            chi = torch.empty(rank, len(x), dtype=precision, device=x.device)
            for start in range(0, len(x), self._step):
                rows = slice(start, start + self._step)
                chi[:, rows] = projection @ gaussian_kernel(spanning, x[rows], sigma, torch)
            return chi

        self._chi = features(reference)
        at_events = features(events).to(torch.float64)
        self._observed = at_events.sum(dim=1)
        self._observed_moment = at_events @ events
        self._expected = weights.sum()

    def terms(self, b: NDArray[np.float64]) -> _Terms:
        """Give the loss and its derivatives at b, float64 (S,)."""
        at, size = self._place(b), len(b)
        value = -(self._observed @ at) - self._expected
        gradient = -self._observed
        hessian = torch.zeros(size, size, dtype=torch.float64, device=at.device)
        for _, chi, density in self._blocks(at):
            value = value + density.sum()
            gradient = gradient + chi @ density
            hessian += (chi * density) @ chi.T
        return _Terms(float(_host(value)), _host(gradient), _host(hessian))

    def moment(self, b: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give w sum_R v e^f chi x' - sum_D chi x', float64 (S, d)."""
        at = self._place(b)
        total = -self._observed_moment
        for rows, chi, density in self._blocks(at):
            total = total + chi @ (density[:, None] * self._x[rows])
        return _host(total)

    def _blocks(self, b: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
        """Give chi (S, n) and w v e^f (n,) of the reference, in float64, block by block."""
        rounded = b.to(self._chi.dtype)
        for start in range(0, self._chi.shape[1], self._step):
            rows = slice(start, start + self._step)
            chi = self._chi[:, rows]
            yield (
                rows,
                chi.to(torch.float64),
                self._weights[rows] * torch.exp((rounded @ chi).to(torch.float64)),
            )

    def _place(self, array: NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._x.device)


def _solve(hessian: NDArray[np.float64], penalty: float, right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve (H + penalty) x = right; where rounding has made H indefinite, with as much more penalty as it needs."""
    size = len(right)
    damping = 0.0
    for _ in range(20):
        try:
            factor = linalg.cho_factor(hessian + (penalty + damping) * np.eye(size))
        except linalg.LinAlgError:
            damping = max(10 * damping, 1e-15 * float(np.trace(hessian)))
        else:
            return np.asarray(linalg.cho_solve(factor, right))
    raise FitError(f"a Hessian of trace {np.trace(hessian):.3g} cannot be factorised")


def _host(tensor: torch.Tensor) -> NDArray[np.float64]:
    return np.asarray(tensor.cpu().numpy(), dtype=np.float64)
