"""Sums over the events of a sample of functions of f = Psi a, for many coefficient vectors a at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nplmon.nplm.loss import Loss

BLOCK_ELEMENTS: Final = 300_000
"""Of features and temporaries in one block: together they stay in a core's second-level cache."""


class Sums:
    """The cached features of a sample, read block by block: what is done with a block finds it in the cache.

    Products are formed in the features' precision (float32 for float16 features), and added over blocks in float64.

    Parameters
    ----------
    psi:
        Features (N, r) on the device: float64, float32, or float16.
    weights:
        v (N,), or None for 1.
    scale:
        float64 (r,): psi is stored divided by it, as float16 needs; None for 1.

    Examples
    --------
    >>> from nplmon.nplm.loss import Likelihood
    >>> sums = Sums(torch.tensor([[1.0], [2.0]]))
    >>> value, gradient = sums.evaluate(Likelihood(), torch.zeros(1, 3, dtype=torch.float64))
    >>> value.shape, gradient.shape
    (torch.Size([3]), torch.Size([1, 3]))
    """

    def __init__(
        self, psi: torch.Tensor, weights: torch.Tensor | None = None, scale: torch.Tensor | None = None
    ) -> None:
        self.psi = psi
        self._scale = None if scale is None else scale[:, None]
        self._precision = torch.float32 if psi.dtype == torch.float16 else psi.dtype
        self._v = None if weights is None else weights.to(self._precision)[:, None]

    def evaluate(self, loss: Loss, a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give sum v h(f), float64 (B,), and its gradient sum v h'(f) psi, float64 (r, B), at a, float64 (r, B)."""
        value = torch.zeros(a.shape[1], dtype=torch.float64, device=a.device)
        gradient = torch.zeros_like(a)
        a = self._rounded(a)
        for rows, psi in self._blocks(a.shape[1]):
            h, slope = loss.terms(psi @ a)
            if self._v is not None:
                h, slope = h * self._v[rows], slope * self._v[rows]
            value += h.sum(dim=0)
            gradient += psi.T @ slope
        return value, self._rescaled(gradient)

    def bend(self, loss: Loss, a: torch.Tensor) -> torch.Tensor:
        """Give v h''(f) at each event, (N, 1), at a, float64 (r, 1)."""
        a = self._rounded(a)
        bends = [loss.bend(psi @ a) for _, psi in self._blocks(1)]
        return torch.cat(bends) if self._v is None else torch.cat(bends) * self._v

    def product(self, bend: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        """Give Psi' diag(bend) Psi p, float64 (r, 1), for p, float64 (r, 1)."""
        image = torch.zeros_like(p)
        p = self._rounded(p)
        for rows, psi in self._blocks(1):
            image += psi.T @ (bend[rows] * (psi @ p))
        return self._rescaled(image)

    def hessian(self, bend: torch.Tensor) -> torch.Tensor:
        """Give Psi' diag(bend) Psi, float64 (r, r), summed in float64: it is factorised."""
        size = self.psi.shape[1]
        total = torch.zeros(size, size, dtype=torch.float64, device=self.psi.device)
        for rows, psi in self._blocks(size):
            wide = psi.to(torch.float64)
            total += wide.T @ (wide * bend[rows])
        return total if self._scale is None else self._scale * total * self._scale.T

    def _blocks(self, width: int) -> Iterator[tuple[slice, torch.Tensor]]:
        step = max(64, BLOCK_ELEMENTS // (self.psi.shape[1] + 3 * width))
        for start in range(0, len(self.psi), step):
            rows = slice(start, start + step)
            yield rows, self.psi[rows].to(self._precision)

    def _rounded(self, a: torch.Tensor) -> torch.Tensor:
        return (a if self._scale is None else a * self._scale).to(self._precision)

    def _rescaled(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient if self._scale is None else gradient * self._scale
