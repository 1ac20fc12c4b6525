"""The minimum of one chunk's loss by Newton's method: for chunks far from the reference.

There the Hessian has little in common with the one at f = 0. Each step is solved by conjugate gradients,
preconditioned with the Hessian at f = 0, or directly where the problem is small or they converge slowly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from nplmon.nplm.errors import FitError
from nplmon.nplm.problem import host
from nplmon.nplm.quasi_newton import ROUNDING, SUFFICIENT, Minima

if TYPE_CHECKING:
    from nplmon.nplm.problem import Problems

DIRECT_SIZE: Final = 64
"""Up to here forming and factorising the Hessian is cheaper than conjugate gradients."""
MAX_STEPS: Final = 50
VIOLENT_STEPS: Final = 25
"""After these, a chunk beyond doubt is no longer refined."""
MAX_HALVINGS: Final = 60
CONJUGATE_STEPS_SHARE: Final = 8
"""size / 8 conjugate steps, of two products each, cost about as much as a direct solution."""
LOOSE: Final = 1e-3
"""Of t: the resolution that float32 always reaches, whatever the tolerance asked for."""
FORCING: Final = 0.1
"""Relative residual of a step: less costs more sums than it saves steps."""


def refine(problem: Problems, a: torch.Tensor, tolerance: float) -> Minima:
    r"""Minimise from a, float64 (r, 1), until t is right to `tolerance`, relative where t > 1, as predicted.

    Where most data lie outside the reference, the minimum is at \|f\| of thousands and Newton's steps are short.
    -2 L bounds t at the minimum from below at every step, and t under H0 has a mean of at most r; once -2 L exceeds
    10 r + 1000 and the steps are many, the fit is returned as it stands, with its resolution.

    Raises
    ------
    FitError
        If the loss cannot be brought down to its minimum; the message says where it stopped.
    """
    share = problem.loss.score_share
    beyond_doubt = 10 * len(a) + 1000
    value, gradient = problem.evaluate(a)
    loss = float(host(value)[0])
    change = np.inf
    for step in range(1, MAX_STEPS + 1):
        direction = _direction(problem, a, gradient)
        slope = float(host((gradient * direction).sum()))
        change = float(host(problem.change(a, gradient, direction))[0])
        for halvings in range(MAX_HALVINGS):
            scale = 0.5**halvings
            trial = a + scale * direction
            value, gradient = problem.evaluate(trial)
            new = float(host(value)[0])
            if new <= loss + SUFFICIENT * scale * slope + ROUNDING * (1 + abs(loss)):
                break
        else:
            raise FitError(f"no step lowers the loss {loss:.6g} at Newton step {step} (slope {slope:.3g})")
        a, loss = trial, new
        size = max(1.0, 2 / share * abs(loss))
        # A full step leaves the share FORCING of itself, and the square of what it moved.
        if halvings == 0 and FORCING * change <= tolerance * size:
            break
        if step >= VIOLENT_STEPS and -2 / share * loss > beyond_doubt:
            break
    else:
        if change > LOOSE * size:
            raise FitError(
                f"not converged in {MAX_STEPS} Newton steps: t, now {-2 / share * loss:.6g} or more, may still "
                f"change by {change:.3g}; a larger lambda makes the fit easier"
            )
    return Minima(
        a=a,
        value=value,
        steps=np.array([step]),
        change=np.array([change if halvings else FORCING * change]),
        converged=np.array([True]),
    )


def _direction(problem: Problems, a: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Solve H da = -gradient, (r, 1), to the relative residual FORCING or better."""
    size = len(a)
    bend = problem.reference.bend(problem.loss, a)
    bends = [sums.bend(problem.loss, a) for sums in problem.data]

    def image(p: torch.Tensor) -> torch.Tensor:
        of_data = sum(
            (sums.product(b, p) for sums, b in zip(problem.data, bends, strict=True)), problem.penalty * p
        )
        return problem.share * problem.reference.product(bend, p) + of_data

    solution, residual = torch.zeros_like(gradient), -gradient
    z = residual / problem.metric
    p, norm = z, (residual * z).sum()
    goal = FORCING**2 * norm
    for _ in range(size // CONJUGATE_STEPS_SHARE if size > DIRECT_SIZE else 0):
        image_p = image(p)
        length = norm / (p * image_p).sum()
        solution = solution + length * p
        residual = residual - length * image_p
        z = residual / problem.metric
        previous, norm = norm, (residual * z).sum()
        if host(norm <= goal):
            return solution
        p = z + (norm / previous) * p
    hessian = torch.diag(problem.penalty.expand(size)) + problem.share * problem.reference.hessian(bend)
    for sums, b in zip(problem.data, bends, strict=True):
        hessian = hessian + sums.hessian(b)
    try:
        return -torch.cholesky_solve(gradient, torch.linalg.cholesky(hessian))
    except torch.linalg.LinAlgError as error:
        raise FitError(
            "the Hessian has lost its rank to rounding; a larger lambda makes the fit easier"
        ) from error
