r"""The minimum of many chunks' losses at once, by L-BFGS in the metric of the Hessian at f = 0.

Ordinary chunks are close to f = 0, where the Hessian is diagonal and known (see `nplmon.nplm.basis`): the first step,
:math:`a = s / (\lambda \mu + \Lambda)`, is Newton's own and costs nothing, and each further one a single reading of the
cached features. Limited-memory BFGS (Nocedal & Wright, Numerical Optimization, algorithm 7.4) adds what the Hessian
has changed since. Problems that this does not bring to their minimum are left for Newton's method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from nplmon.nplm.problem import host

if TYPE_CHECKING:
    from nplmon.nplm.problem import Problems

HASTE: Final = 3.0
"""A change that is smaller than the last one by this factor is believed at once."""
MEMORY: Final = 5
MAX_STEPS: Final = 8
MAX_HALVINGS: Final = 5
SUFFICIENT: Final = 1e-4
LEAST_LEFT: Final = 0.3
"""Of a step's predicted change of t: what it leaves at least. Errors of t were within three times what is left."""
ROUNDING: Final = 1e-7
"""Of the loss: what float32 features leave uncertain in it."""


@dataclass
class Minima:
    """Where B minimisations stand.

    Attributes
    ----------
    a:
        Coefficients, float64 (r, B).
    value:
        L at a, float64 (B,).
    steps:
        Steps taken, (B,).
    change:
        How far t may still be from its value at the minimum, as predicted, (B,).
    converged:
        (B,); where false, a is the best found so far.
    """

    a: torch.Tensor
    value: torch.Tensor
    steps: np.ndarray[tuple[int], np.dtype[np.int64]]
    change: np.ndarray[tuple[int], np.dtype[np.float64]]
    converged: np.ndarray[tuple[int], np.dtype[np.bool_]]


def descend(problems: Problems, tolerance: float, start: torch.Tensor | None = None) -> Minima:
    """Minimise until t is right to `tolerance`, relative where t > 1, as predicted.

    Parameters
    ----------
    problems:
        The chunks.
    tolerance:
        Of t.
    start:
        Coefficients to begin with, float64 (r, B); None for 0, where loss and gradient need no sum.
    """
    count = problems.score.shape[1]
    found = Minima(
        a=torch.zeros_like(problems.score) if start is None else start.clone(),
        value=torch.zeros_like(problems.expected),
        steps=np.zeros(count, dtype=np.int64),
        change=np.full(count, np.inf),
        converged=np.zeros(count, dtype=np.bool_),
    )
    at = np.arange(count)
    a, value = found.a, found.value
    gradient = -problems.loss.score_share * problems.score
    if start is not None:
        value, gradient = problems.evaluate(a)
        # Where 0 is the better place to begin, begin there.
        better = value <= 0
        found.a = a = torch.where(better, a, 0.0)
        value = torch.where(better, value, 0.0)
        gradient = torch.where(better, gradient, -problems.loss.score_share * problems.score)
        found.value = value.clone()
    previous, was_near = found.change, found.converged
    history: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    for step in range(MAX_STEPS + 1):
        direction = -_inverse(history, problems.metric, gradient)
        slope = (gradient * direction).sum(dim=0)
        change = host(problems.change(a, gradient, direction))
        size = np.maximum(1.0, 2 / problems.loss.score_share * np.abs(host(value)))
        # A step leaves about the share of itself by which the last ones shrank.
        left = change * np.clip(change / previous, LEAST_LEFT, 1.0)
        near = left <= tolerance * size
        # Believed where the changes shrink fast; else only when it is said twice in a row.
        sure = near & ((HASTE * change <= previous) | was_near)
        previous, was_near = change, near
        found.change[at], found.steps[at] = left, step
        done = sure & (step > 0 or start is not None)
        found.converged[at[done]] = True
        # The last step is taken unseen: the quadratic model that it minimises gives the loss there.
        last = np.flatnonzero(done)
        found.a[:, at[last]] += direction[:, last]
        found.value[at[last]] += 0.5 * slope[last]
        going = np.flatnonzero(~done)
        if not going.size or step == MAX_STEPS:
            break
        trial, new_value, new_gradient, accepted = _line_search(
            problems.some(going), a[:, going], value[going], direction[:, going], slope[going]
        )
        kept = going[accepted]
        if not kept.size:
            break
        mine = np.flatnonzero(accepted)
        moved, bent = trial[:, mine] - a[:, kept], new_gradient[:, mine] - gradient[:, kept]
        curvature = (moved * bent).sum(dim=0)
        weight = torch.where(curvature > 0, 1 / curvature, 0.0)
        history = [(s[:, kept], y[:, kept], rho[kept]) for s, y, rho in history[-MEMORY + 1 :]]
        history.append((moved, bent, weight))
        a, value, gradient = trial[:, mine], new_value[mine], new_gradient[:, mine]
        previous, was_near = previous[kept], was_near[kept]
        problems, at = problems.some(kept), at[kept]
        found.a[:, at], found.value[at] = a, value
    return found


def _line_search(
    problems: Problems,
    a: torch.Tensor,
    value: torch.Tensor,
    direction: torch.Tensor,
    slope: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Halve the steps that do not lower their losses; give the new points and which of them are accepted."""
    trial = a + direction
    new_value, new_gradient = problems.evaluate(trial)
    scale = 1.0
    goal = value + ROUNDING * (1 + value.abs())
    accepted = host(new_value <= goal + SUFFICIENT * slope) > 0
    while not accepted.all() and scale > 0.5**MAX_HALVINGS:
        scale *= 0.5
        again = np.flatnonzero(~accepted)
        shorter = a[:, again] + scale * direction[:, again]
        some_value, some_gradient = problems.some(again).evaluate(shorter)
        trial[:, again], new_value[again], new_gradient[:, again] = shorter, some_value, some_gradient
        accepted = host(new_value <= goal + SUFFICIENT * scale * slope) > 0
    return trial, new_value, new_gradient, accepted


def _inverse(
    history: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]],
    metric: torch.Tensor,
    gradient: torch.Tensor,
) -> torch.Tensor:
    """Apply the approximate inverse Hessian to the gradients (r, B): the two-loop recursion."""
    q, shares = gradient, []
    for s, y, rho in reversed(history):
        share = rho * (s * q).sum(dim=0)
        q = q - share * y
        shares.append(share)
    q = q / metric
    for (s, y, rho), share in zip(history, reversed(shares), strict=True):
        q = q + s * (share - rho * (y * q).sum(dim=0))
    return q
