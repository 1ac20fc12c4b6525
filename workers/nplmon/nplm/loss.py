r"""The two losses whose minimum is a log density ratio, as sums over events of one function of f.

With the score :math:`s = \sum_D \psi - w \sum_R v \psi` taken apart, both are of second order in f:

.. math:: L(a) = w \sum_R v \, h(f) + \Big[ \sum_D h(f) \Big] - \kappa \, s \cdot a + \frac{\Lambda}{2} |a|^2

- `Likelihood` (D'Agnolo & Wulzer, arXiv:1806.02350, eq. 14): h = e^f - 1 - f, kappa = 1, no sum over D;
- `Logistic` (arXiv:2204.02317, eq. 10): h = log cosh(f / 2), kappa = 1/2.

No large sums cancel, so that float32 features leave t right to about 1e-6.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import torch

LossName = Literal["likelihood", "logistic"]


class Likelihood:
    """The maximum-likelihood (NP) loss.

    Examples
    --------
    >>> value, slope = Likelihood().terms(torch.tensor([0.0, 1.0], dtype=torch.float64))
    >>> [round(x, 3) for x in (*value.tolist(), *slope.tolist())]
    [0.0, 0.718, 0.0, 1.718]
    """

    name: Final = "likelihood"
    score_share: Final = 1.0
    bends_at_data: Final = False

    @staticmethod
    def terms(f: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """H and dh/df."""
        slope = torch.expm1(f)
        return slope - f, slope

    @staticmethod
    def bend(f: torch.Tensor) -> torch.Tensor:
        """d2h/df2."""
        return torch.exp(f)

    @staticmethod
    def curvature(expected: torch.Tensor, events: torch.Tensor) -> torch.Tensor:  # noqa: ARG004 (one interface)
        """Give what multiplies mu in the Hessian at f = 0: lam."""
        return expected


class Logistic:
    """The weighted logistic (cross-entropy) loss, less its value at f = 0.

    Examples
    --------
    >>> value, slope = Logistic().terms(torch.tensor([0.0, 100.0], dtype=torch.float64))
    >>> [round(x, 3) for x in (*value.tolist(), *slope.tolist())]
    [0.0, 49.307, 0.0, 0.5]
    """

    name: Final = "logistic"
    score_share: Final = 0.5
    bends_at_data: Final = True

    @staticmethod
    def terms(f: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """H and dh/df."""
        size = torch.abs(f)
        return 0.5 * size + torch.log1p(torch.exp(-size)) - math.log(2), 0.5 * torch.tanh(0.5 * f)

    @staticmethod
    def bend(f: torch.Tensor) -> torch.Tensor:
        """d2h/df2."""
        return 0.25 * (1 - torch.tanh(0.5 * f) ** 2)

    @staticmethod
    def curvature(expected: torch.Tensor, events: torch.Tensor) -> torch.Tensor:
        """Give what multiplies mu in the Hessian at f = 0, the data taken for as many reference events."""
        return 0.25 * (expected + events)


Loss = Likelihood | Logistic
LOSSES: Final[dict[LossName, Loss]] = {"likelihood": Likelihood(), "logistic": Logistic()}
