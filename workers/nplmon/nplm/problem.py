"""What is minimised for a chunk, and for several chunks side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from nplmon.nplm.loss import Likelihood

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.loss import Loss
    from nplmon.nplm.sums import Sums


def host(tensor: torch.Tensor) -> NDArray[np.float64]:
    """Copy numbers from the device: decisions are taken here, so that each wait for the device is seen."""
    return np.asarray(tensor.cpu().numpy(), dtype=np.float64)


@dataclass(frozen=True)
class Problems:
    """The losses of B chunks against one reference.

    Attributes
    ----------
    loss:
        Likelihood or logistic.
    reference:
        Sums over the reference.
    data:
        Sums over each chunk's events, B of them; empty where the loss does not need them.
    score:
        s, float64 (r, B).
    expected, events, penalty:
        lam, N and Lam, float64 (B,).
    share:
        w = lam / V, float64 (B,).
    second_moment:
        mu, float64 (r,).
    """

    loss: Loss
    reference: Sums
    data: Sequence[Sums]
    score: torch.Tensor
    expected: torch.Tensor
    events: torch.Tensor
    penalty: torch.Tensor
    share: torch.Tensor
    second_moment: torch.Tensor

    @property
    def metric(self) -> torch.Tensor:
        """The Hessian at f = 0, which is diagonal, float64 (r, B)."""
        curvature = self.loss.curvature(self.expected, self.events)
        return curvature * self.second_moment[:, None] + self.penalty

    def evaluate(self, a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give L, float64 (B,), and its gradient, float64 (r, B), at a, float64 (r, B)."""
        value, gradient = self.reference.evaluate(self.loss, a)
        value, gradient = self.share * value, self.share * gradient
        for k, sums in enumerate(self.data):
            more, slope = sums.evaluate(self.loss, a[:, k : k + 1])
            value[k] += more[0]
            gradient[:, k] += slope[:, 0]
        score = self.loss.score_share * self.score
        value = value - (score * a).sum(dim=0) + 0.5 * self.penalty * (a * a).sum(dim=0)
        return value, gradient - score + self.penalty * a

    def change(self, a: torch.Tensor, gradient: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        r"""Give by how much t may change with a step, (B,).

        :math:`4 |(\Lambda a - \nabla L) \circ da| - \nabla L \cdot da`: t lacks the penalty that L is stationary with,
        so it changes to first order with a, by twice the sum of that product's components. Their sum may be small by
        chance; twice the norm stands for its two standard deviations. For the logistic loss this is the leading order
        in f.
        """
        first = 4 * torch.linalg.vector_norm((self.penalty * a - gradient) * step, dim=0)
        return (first - (gradient * step).sum(dim=0)) / self.loss.score_share

    def statistic(self, a: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        r"""Give :math:`t = 2 [s \cdot a - w \sum_R v (e^f - 1 - f)]`, (B,), at a, where L has the value given."""
        linear = (self.score * a).sum(dim=0)
        if isinstance(self.loss, Likelihood):
            # Known already: L = w sum h - s a + penalty.
            return 2 * (0.5 * self.penalty * (a * a).sum(dim=0) - value)
        excess, _ = self.reference.evaluate(Likelihood(), a)
        return 2 * (linear - self.share * excess)

    def some(self, indices: Sequence[int]) -> Problems:
        """Choose among the chunks."""
        at = list(indices)
        return Problems(
            loss=self.loss,
            reference=self.reference,
            data=[self.data[k] for k in at] if self.data else (),
            score=self.score[:, at],
            expected=self.expected[at],
            events=self.events[at],
            penalty=self.penalty[at],
            share=self.share[at],
            second_moment=self.second_moment,
        )
