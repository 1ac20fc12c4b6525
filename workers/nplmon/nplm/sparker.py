r"""SparKer: a few Gaussian kernels whose locations are learned (Grosso et al. 2024).

Coefficients a and locations m minimise, in turn, the loss of `nplmon.nplm.sparse_loss`: a convex step in a with the
penalty :math:`\lambda_a |a|^2 / M`, and steps along the gradient in m with the entropy term :math:`-\lambda_H L_H`.
By default the convex step goes to its minimum each time (damped Newton), and the locations follow the gradient of what
that leaves, :math:`\min_a L(a, m)`, by L-BFGS within the range of the events; both have the same stationary points as
the published alternation of Adam steps, which stops far from them and is there as `Alternation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import torch
from scipy import optimize

from nplmon.nplm.basis import gaussian_kernel, standardise
from nplmon.nplm.errors import FitError
from nplmon.nplm.model import check_chunk
from nplmon.nplm.preparation import prepare
from nplmon.nplm.saved_fit import model_digest, pack, unpack
from nplmon.nplm.sparse_loss import SparseLoss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.nplm.reference import Reference
    from nplmon.nplm.sparse_loss import Point

FORMAT: Final = "nplmon-sparker-1"
PRECISIONS: Final = {"float64": torch.float64, "float32": torch.float32}
SETTLED: Final = 1e-4
"""Relative change of the loss below which the locations rest."""
BLOCK_EVENTS: Final = 100_000


@dataclass(frozen=True, kw_only=True)
class Alternation:
    """The published optimisation: full-batch Adam steps in the coefficients and in the locations, in turn.

    It leaves t smaller than at the minimum, which acts as a further penalty; each step reads the whole reference.

    Attributes
    ----------
    epochs:
        500 in the paper for EXPO-1D; 2000 for twelve features of gravitational-wave data.
    coefficient_steps, location_steps:
        Steps of each kind in an epoch: 100 and 100; 10 and 10.
    learning_rate:
        Adam's: 1e-3; 4e-2.
    """

    epochs: int = 500
    coefficient_steps: int = 100
    location_steps: int = 100
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        if min(self.epochs, self.coefficient_steps, self.location_steps) < 1 or not self.learning_rate > 0:
            raise ValueError(f"{self}: give positive numbers")


@dataclass(frozen=True, kw_only=True)
class SparkerFit:
    """A fitted log density ratio f = sum_j a_j k_j and its test statistic.

    Attributes
    ----------
    model:
        Digest of the model that was fitted.
    mean, scale:
        Of the reference, float64 (d,), in feature units.
    sigma:
        Kernel width, in reference standard deviations.
    expected:
        lam, the expected count under H0.
    statistic:
        t of the chunk.
    coefficients:
        a, float64 (M,).
    locations:
        m, standardised, float64 (M, d).
    """

    model: str
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    sigma: float
    expected: float
    statistic: float
    coefficients: NDArray[np.float64]
    locations: NDArray[np.float64]

    def log_ratio(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Evaluate f at the points x (N, d), in feature units; float64 (N,)."""
        f = np.empty(len(x))
        for start in range(0, len(x), BLOCK_EVENTS):
            rows = slice(start, start + BLOCK_EVENTS)
            points = standardise(x[rows], self.mean, self.scale)
            f[rows] = gaussian_kernel(points, self.locations, self.sigma) @ self.coefficients
        return f

    def to_bytes(self) -> bytes:
        """Serialise with safetensors; the model's `read` reads it."""
        arrays = {"coefficients": self.coefficients, "locations": self.locations}
        return pack(FORMAT, self.model, self.expected, self.statistic, arrays)


class SparkerModel:
    """SparKer's settings, bound to a reference.

    Parameters
    ----------
    reference:
        The reference.
    kernels:
        M, the number of kernels: 10, 50 and 1000 in the paper for EXPO-1D, 20 for twelve features.
    lambda_a:
        Strength of the penalty on the coefficients: 1e-5, 1e-5 and 1e-6; 1e-2.
    lambda_h:
        Strength of the entropy term: 1e-3, 1e-3 and 1e-2; 1e-1.
    sigma, sigma_quantile:
        Kernel width in reference standard deviations; None takes this quantile of the pair distances.
    moves:
        Steps of the locations, at most; with 0 they stay where they begin. More than the default bring t closer to its
        minimum, and no more power.
    alternation:
        The published optimisation in place of the default one.
    seed:
        Of the events that the locations begin at, and of the pairs for sigma.
    precision:
        "float64", or "float32" for the products over the reference.
    device:
        A torch device.

    Raises
    ------
    ValueError
        If a setting is out of range, or a feature of the reference is constant.

    Examples
    --------
    >>> from nplmon.nplm.reference import Reference
    >>> rng = np.random.default_rng(0)
    >>> model = SparkerModel(Reference(rng.exponential(size=(20_000, 1))), kernels=5)
    >>> fitted = model.fit(rng.exponential(size=(500, 1)), expected=500.0)
    >>> fitted.statistic > 0, fitted.locations.shape
    (True, (5, 1))
    >>> model.read(fitted.to_bytes()).statistic == fitted.statistic
    True
    """

    def __init__(
        self,
        reference: Reference,
        *,
        kernels: int = 10,
        lambda_a: float = 1e-5,
        lambda_h: float = 1e-3,
        sigma: float | None = None,
        sigma_quantile: float = 0.9,
        moves: int = 20,
        alternation: Alternation | None = None,
        seed: int = 0,
        precision: Literal["float64", "float32"] = "float64",
        device: torch.device | str = "cpu",
    ) -> None:
        if kernels < 1 or moves < 0 or not (lambda_a > 0 and lambda_h >= 0):
            raise ValueError(
                f"kernels {kernels}, moves {moves}, lambda_a {lambda_a}, lambda_h {lambda_h}: give positive ones"
            )
        if precision not in PRECISIONS:
            raise ValueError(f"precision {precision!r}: choose one of {', '.join(PRECISIONS)}")
        self.reference = reference
        self.device = torch.device(device)
        self._kernels = kernels
        self._lambda_a = lambda_a
        self._lambda_h = lambda_h
        self._moves = moves
        self._alternation = alternation
        self._seed = seed
        self._precision = PRECISIONS[precision]
        # For its moments and width: they are then those of a kernel model with the same settings.
        like = prepare(
            reference.events,
            reference.weights,
            centres=1,
            sigma=sigma,
            sigma_quantile=sigma_quantile,
            seed=seed,
        )
        self.mean, self.scale, self.sigma = like.mean, like.scale, like.sigma
        used = reference.weighted()
        standard = standardise(used.events, self.mean, self.scale)
        self._low, self._high = standard.min(axis=0), standard.max(axis=0)
        self._x = self._place(standard)
        self._v = self._place(used.v)
        settings = [
            FORMAT,
            kernels,
            lambda_a,
            lambda_h,
            self.sigma,
            moves,
            repr(alternation),
            seed,
            precision,
        ]
        self.digest = model_digest(reference, settings)
        """Tells apart models whose fits differ."""

    def fit(self, events: NDArray[np.floating], expected: float) -> SparkerFit:
        """Fit one chunk.

        Parameters
        ----------
        events:
            Data events in feature units, shape (N_k, d).
        expected:
            lam_k, the expected count under H0.

        Raises
        ------
        ValueError
            If there are no events, they have another number of features or are not finite, or `expected` is not
            positive.
        FitError
            If the loss cannot be brought down to its minimum in the coefficients.
        """
        check_chunk(events, expected, self.mean.size)
        data = standardise(events, self.mean, self.scale)
        loss = SparseLoss(
            self._x,
            self._place(data),
            expected / self.reference.sum_weights * self._v,
            sigma=self.sigma,
            lambda_a=self._lambda_a,
            lambda_h=self._lambda_h,
            precision=self._precision,
        )
        start = self._start(data)
        if self._alternation is None:
            low, high = np.minimum(self._low, data.min(axis=0)), np.maximum(self._high, data.max(axis=0))
            point, locations = _descend(loss, start, low, high, self._moves)
        else:
            point, locations = _alternate(loss, start, self._alternation)
        if not (np.isfinite(point.statistic) and np.isfinite(point.coefficients).all()):
            raise FitError(
                f"t is {point.statistic}: a larger lambda_a, or a smaller learning rate, keeps it finite"
            )
        return SparkerFit(
            model=self.digest,
            mean=self.mean,
            scale=self.scale,
            sigma=self.sigma,
            expected=float(expected),
            statistic=point.statistic,
            coefficients=point.coefficients,
            locations=locations,
        )

    def read(self, body: bytes) -> SparkerFit:
        """Read what `SparkerFit.to_bytes` wrote for a fit of this model.

        Raises
        ------
        StateError
            If the bytes are no such fit, or one of a model with another reference or other settings.
        """
        expected, statistic, (coefficients, locations) = unpack(
            body, FORMAT, self.digest, "a SparKer model", ["coefficients", "locations"]
        )
        return SparkerFit(
            model=self.digest,
            mean=self.mean,
            scale=self.scale,
            sigma=self.sigma,
            expected=expected,
            statistic=statistic,
            coefficients=coefficients,
            locations=locations,
        )

    def _start(self, data: NDArray[np.float64]) -> NDArray[np.float64]:
        """Draw half of the locations from the chunk's events and the others from the reference.

        From the chunk alone, whose events may all be in one place, the kernels could not come apart.
        """
        rng = np.random.default_rng([self._seed, 2])
        # Sorted, so that the order of the events changes nothing.
        ordered = data[np.lexsort(data.T)]
        of_chunk = ordered[rng.permutation(len(data))[: (self._kernels + 1) // 2]]
        share = torch.cumsum(self._v, 0) / self._v.sum()
        places = self._place(rng.uniform(size=self._kernels - len(of_chunk)))
        at = torch.searchsorted(share, places).clamp(max=len(share) - 1)
        return np.concatenate([of_chunk, self._x[at].cpu().numpy()])

    def _place(self, array: NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def _descend(
    loss: SparseLoss,
    start: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    moves: int,
) -> tuple[Point, NDArray[np.float64]]:
    """Follow the gradient of the loss's minimum in the coefficients."""
    best, where = loss.minimise(start), start
    if moves == 0:
        return best, where

    def value(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        nonlocal best, where
        locations = flat.reshape(start.shape)
        try:
            point = loss.minimise(locations, best.coefficients)
        except FitError:  # these locations are no good; the search turns back
            return np.inf, np.zeros_like(flat)
        if point.value < best.value:
            best, where = point, locations.copy()
        return point.value, point.location_gradient.ravel()

    optimize.minimize(
        value,
        start.ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(np.tile(low, len(start)), np.tile(high, len(start)), strict=True)),
        options={"maxiter": moves, "ftol": SETTLED},
    )
    return best, where


def _alternate(
    loss: SparseLoss, start: NDArray[np.float64], settings: Alternation
) -> tuple[Point, NDArray[np.float64]]:
    """Take Adam steps in the coefficients and in the locations, in turn."""
    a = torch.zeros(len(start), dtype=torch.float64)
    m = torch.from_numpy(start.copy())
    point = loss.evaluate(a.numpy(), m.numpy())
    turns = (
        (
            a,
            torch.optim.Adam([a], lr=settings.learning_rate),
            settings.coefficient_steps,
            "coefficient_gradient",
        ),
        (m, torch.optim.Adam([m], lr=settings.learning_rate), settings.location_steps, "location_gradient"),
    )
    for _ in range(settings.epochs):
        for variable, adam, steps, gradient in turns:
            for _ in range(steps):
                variable.grad = torch.from_numpy(getattr(point, gradient))
                adam.step()
                point = loss.evaluate(a.numpy(), m.numpy())
            if not np.isfinite(point.value):
                raise FitError(f"the loss is {point.value}: a smaller learning rate keeps the steps small")
    return point, m.numpy()
