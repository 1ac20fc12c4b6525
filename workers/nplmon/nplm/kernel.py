r"""The kernel model: a log density ratio in the reference eigenbasis, fitted to one chunk or many at once.

Loss of a chunk D with expected count lam, :math:`w = \lambda_k / V` (D'Agnolo & Wulzer, arXiv:1806.02350,
eq. 14, with the kernel penalty of arXiv:2204.02317):

.. math:: L(a) = w \sum_R v (e^f - 1) - \sum_D f + \frac{\Lambda}{2} |a|^2, \qquad f = \sum_j a_j \psi_j

or the weighted logistic loss in its place, and the test statistic
:math:`t = 2 [\sum_D f - w \sum_R v (e^f - 1)]` at the minimum.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import torch

from nplmon.nplm.basis import Arrays, Basis, kernel_blocks, standardise
from nplmon.nplm.errors import FitError
from nplmon.nplm.kernel_fit import KernelFit
from nplmon.nplm.loss import LOSSES
from nplmon.nplm.model import check_chunk
from nplmon.nplm.newton import refine
from nplmon.nplm.preparation import prepare
from nplmon.nplm.problem import Problems, host
from nplmon.nplm.quasi_newton import descend
from nplmon.nplm.sums import Sums

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.loss import LossName
    from nplmon.nplm.preparation import Placement
    from nplmon.nplm.reference import Reference

Precision = Literal["auto", "float64", "float32", "float16"]
DTYPES: Final = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16}
MEMORY_SHARE: Final = 0.25
"""Of the device's memory: features that need more in float32 are kept in float16."""
TOGETHER: Final = 64
"""Chunks fitted side by side: more gain nothing and take more memory."""


class KernelModel:
    """Gaussian kernels on fixed centres: the eigenbasis of a reference and its cached features, on a device.

    Parameters
    ----------
    reference:
        The reference.
    basis:
        Its eigenbasis.
    features:
        psi at the reference events, (N_R, r), where it is known already; None evaluates it.
    device:
        A torch device.
    loss:
        "likelihood" (NP) or "logistic".
    precision:
        Of the cached features. Float16 takes half the memory and moves t by about 1e-3 of itself; "auto" takes it
        where float32 would need over a quarter of the device's memory.

    Examples
    --------
    >>> from nplmon.nplm.reference import Reference
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
        features: NDArray[np.floating] | None = None,
        *,
        device: torch.device | str = "cpu",
        loss: LossName = "likelihood",
        precision: Precision = "auto",
    ) -> None:
        self.reference = reference
        self.basis = basis
        self.device = torch.device(device)
        self._loss = LOSSES[_known("loss", loss, LOSSES)]
        self._arrays = device_arrays(self.device)
        _known("precision", precision, ("auto", *DTYPES))
        if features is not None and features.shape != (len(reference.events), basis.size):
            raise ValueError(
                f"features of shape {features.shape} for {len(reference.events)} events and {basis.size} components"
            )
        if precision == "auto":
            precision = fitting_precision(len(reference.events) * basis.size, self.device)
        self._dtype = DTYPES[precision]
        self._data_dtype = torch.float64 if precision == "float64" else torch.float32
        self._centres = self._arrays.place(basis.centres)
        self._projection = self._arrays.place(basis.projection)
        self._mu = self._arrays.place(basis.second_moment)
        self._m = self._arrays.place(basis.mean_feature)
        used = reference.weighted()
        # Float16 has too few small numbers: psi is kept in units of its root mean square.
        scale = torch.sqrt(self._mu) if self._dtype == torch.float16 else None
        if features is None:
            psi = self._features(used.events, self._dtype, scale)
        else:
            kept = torch.from_numpy(
                features if reference.weights is None else features[reference.weights > 0]
            ).to(self.device)
            psi = (kept if scale is None else kept / scale).to(self._dtype)
        v = None if used.weights is None else self._arrays.place(used.weights)
        self._sums = Sums(psi, v, scale)

    @classmethod
    def prepare(
        cls,
        reference: Reference,
        *,
        centres: int = 1000,
        placement: Placement = "uniform",
        lambda_: float = 1e-6,
        sigma: float | None = None,
        sigma_quantile: float = 0.9,
        seed: int = 0,
        device: torch.device | str = "cpu",
        loss: LossName = "likelihood",
        precision: Precision = "auto",
    ) -> KernelModel:
        """Prepare the eigenbasis of a reference and the features of its events; see `nplmon.nplm.preparation`."""
        _known("loss", loss, LOSSES)
        _known("precision", precision, ("auto", *DTYPES))
        basis = prepare(
            reference.events,
            reference.weights,
            centres=centres,
            placement=placement,
            lambda_=lambda_,
            sigma=sigma,
            sigma_quantile=sigma_quantile,
            seed=seed,
            arrays=device_arrays(torch.device(device)),
        )
        return cls(reference, basis, device=device, loss=loss, precision=precision)

    @property
    def loss(self) -> LossName:
        """The loss that is minimised; the closed-form nulls are those of "likelihood"."""
        return self._loss.name

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """Psi at the reference events, float32 (N_R, r), as the aggregation needs it."""
        if (
            self._sums.psi.dtype == torch.float32
            and self.device.type == "cpu"
            and len(self._sums.psi) == len(self.reference.events)
        ):
            return np.asarray(self._sums.psi.numpy())
        return self.basis.features(self.reference.events)

    def read(self, body: bytes) -> KernelFit:
        """Read what `KernelFit.to_bytes` wrote for a fit in this eigenbasis."""
        return KernelFit.from_bytes(self.basis, body)

    def fit(
        self,
        events: NDArray[np.floating],
        expected: float,
        *,
        tolerance: float = 3e-4,
        start: NDArray[np.float64] | None = None,
    ) -> KernelFit:
        """Fit one chunk.

        Parameters
        ----------
        events:
            Data events in feature units, shape (N_k, d).
        expected:
            lam_k, the expected count under H0: N_k in mode "shape", rate x exposure in mode "rate".
        tolerance:
            t is right to this, as predicted, relative where t > 1.
        start:
            Coefficients to begin with, float64 (r,), for instance those of the running ratio; None for 0.

        Raises
        ------
        ValueError
            If there are no events, they have another number of features or are not finite, or `expected` is not
            positive.
        FitError
            If the loss cannot be brought down to its minimum; the message says where it stopped.
        """
        return self.fit_together([events], [expected], tolerance=tolerance, start=start)[0]

    def fit_together(
        self,
        chunks: Sequence[NDArray[np.floating]],
        expected: Sequence[float],
        *,
        tolerance: float = 3e-4,
        start: NDArray[np.float64] | None = None,
    ) -> list[KernelFit]:
        """Fit many chunks or toys, each by itself but side by side: one reading of the features serves all of them.

        Parameters and errors are those of `fit`; the chunks may have different sizes.

        Examples
        --------
        >>> from nplmon.nplm.reference import Reference
        >>> rng = np.random.default_rng(0)
        >>> model = KernelModel.prepare(Reference(rng.exponential(size=(20_000, 1))), centres=200, sigma=0.7)
        >>> chunks = [rng.exponential(size=(events, 1)) for events in (400, 500)]
        >>> together = model.fit_together(chunks, [400.0, 500.0])
        >>> alone = model.fit(chunks[1], 500.0)
        >>> abs(together[1].statistic - alone.statistic) < 1e-3
        True
        """
        chunks = [np.asarray(events) for events in chunks]
        if start is not None and (np.shape(start) != (self.basis.size,) or not np.isfinite(start).all()):
            raise ValueError(f"start of shape {np.shape(start)}: give {self.basis.size} finite coefficients")
        for events, lam in zip(chunks, expected, strict=True):
            check_chunk(events, lam, self.basis.mean.size)
        found: list[KernelFit] = []
        for first in range(0, len(chunks), TOGETHER):
            some = slice(first, first + TOGETHER)
            found += self._fit(chunks[some], expected[some], tolerance, start, first)
        return found

    def _fit(
        self,
        chunks: Sequence[NDArray[np.floating]],
        expected: Sequence[float],
        tolerance: float,
        start: NDArray[np.float64] | None,
        first: int,
    ) -> list[KernelFit]:
        problems = self._problems(chunks, expected)
        begin = None if start is None else self._arrays.place(np.repeat(start[:, None], len(chunks), axis=1))
        # Where e^f overflows on the way, the step is refused.
        minima = descend(problems, tolerance, begin)
        for k in np.flatnonzero(~minima.converged).tolist():
            try:
                alone = refine(problems.some([k]), minima.a[:, k : k + 1], tolerance)
            except FitError as error:
                raise FitError(f"chunk {first + k}: {error}") from error
            minima.a[:, k], minima.value[k] = alone.a[:, 0], alone.value[0]
            minima.steps[k] += alone.steps[0]
            minima.change[k] = alone.change[0]
        statistics = host(problems.statistic(minima.a, minima.value))
        coefficients, scores = host(minima.a), host(problems.score)
        # The logistic loss does not minimise -t: far from H0 its t may be anything.
        lost = ~(statistics >= -max(10.0, float(self.basis.size)))
        if lost.any():
            bad = int(np.flatnonzero(lost)[0])
            raise FitError(
                f"chunk {first + bad}: t is {statistics[bad]:.6g}: its data are beyond what this loss can fit; "
                "the loss 'likelihood' bears them"
            )
        return [
            KernelFit(
                basis=self.basis,
                expected=float(expected[k]),
                coefficients=coefficients[:, k].copy(),
                score=scores[:, k].copy(),
                statistic=float(statistics[k]),
                iterations=int(minima.steps[k]),
                resolution=float(minima.change[k]),
            )
            for k in range(len(chunks))
        ]

    def _problems(self, chunks: Sequence[NDArray[np.floating]], expected: Sequence[float]) -> Problems:
        counts = [len(events) for events in chunks]
        bends = self._loss.bends_at_data
        parts = [self._features(events, self._data_dtype) for events in chunks] if bends else []
        # Where the data enter by their sum alone, the kernels are summed first and projected once.
        sums = [part.sum(dim=0, dtype=torch.float64) for part in parts] or [
            self._feature_sum(e) for e in chunks
        ]
        lam = self._arrays.place(np.asarray(expected, dtype=np.float64))
        return Problems(
            loss=self._loss,
            reference=self._sums,
            data=[Sums(part) for part in parts],
            score=torch.stack(sums, dim=1) - lam * self._m[:, None],
            expected=lam,
            events=self._arrays.place(np.asarray(counts, dtype=np.float64)),
            penalty=self._arrays.place(np.array([self.basis.penalty(count) for count in counts])),
            share=lam / self.basis.sum_weights,
            second_moment=self._mu,
        )

    def _kernel_blocks(self, events: NDArray[np.floating]) -> Iterator[tuple[slice, torch.Tensor]]:
        points = standardise(events, self.basis.mean, self.basis.scale)
        return kernel_blocks(points, self._centres, self.basis.sigma, self._arrays)

    def _features(
        self, events: NDArray[np.floating], dtype: torch.dtype, scale: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Evaluate psi at the events, divided by the scale, in float64 until it is stored; (N, r)."""
        psi = torch.empty(len(events), self.basis.size, dtype=dtype, device=self.device)
        for rows, kernel in self._kernel_blocks(events):
            block = kernel @ self._projection
            psi[rows] = block if scale is None else block / scale
        return psi

    def _feature_sum(self, events: NDArray[np.floating]) -> torch.Tensor:
        """Sum of psi over the events, float64 (r,)."""
        total = torch.zeros(len(self._centres), dtype=torch.float64, device=self.device)
        for _, kernel in self._kernel_blocks(events):
            total += kernel.sum(dim=0)
        return total @ self._projection


def _known(what: str, value: str, choices: Iterable[str]) -> str:
    if value not in choices:
        raise ValueError(f"{what} {value!r}: give one of {', '.join(choices)}")
    return value


def device_arrays(device: torch.device) -> Arrays:
    """Give the arrays of a torch device, for what is written for numpy as well."""

    def place(array: NDArray[np.float64]) -> Any:  # noqa: ANN401 (as numpy's own)
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    return Arrays(torch, place, host)


def fitting_precision(elements: int, device: torch.device) -> Precision:
    """Give the precision of so many cached features on a device: float16 where float32 would need too much of it."""
    return "float32" if 4 * elements <= MEMORY_SHARE * _memory(device) else "float16"


def _memory(device: torch.device) -> int:
    """Memory of a device, bytes."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
