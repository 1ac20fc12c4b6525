"""LogisticFalkon on the same problem, where falkon is installed.

Ours takes the logistic loss too. The same number of centres, sigma, penalty and weight, on standardised float64
events, with the settings that the published NPLM code uses: one penalty, conjugate gradients to a tolerance of
sqrt(1e-7) (arXiv:2204.02317).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from benchmarks import memory
from benchmarks.clock import Subject, duration, interleaved, quotient
from benchmarks.problem import LAMBDA, SEED
from benchmarks.row import Goal, Row

from nplmon.nplm.basis import standardise

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.problem import Problem

    from nplmon.nplm import KernelModel

GOALS = {"EXPO-1D": 1000.0, "dimuon 5-D": 300.0}
CONJUGATE_STEPS = 1_000_000
CONJUGATE_TOLERANCE = math.sqrt(1e-7)
OUR_FITS = 8


def falkon(problem: Problem, repeats: int, baseline: float) -> list[Row]:
    """Time falkon's fit and prediction at all events against ours."""
    work, compared = f"LogisticFalkon, {problem.name}", "our fit; both with f at all events"
    goal = Goal(low=GOALS[problem.name])
    try:
        import falkon  # noqa: PLC0415  # may be absent
    except ImportError as error:
        reason = f"falkon cannot be imported ({error}); it is not on PyPI"
        return [Row(work=work, compared=compared, goal=goal, skipped=reason)]
    model = problem.prepare(loss="logistic")
    peer = _Peer(falkon, problem, model)
    memory.reset_peak()
    peer.fit()
    peak = memory.peak() - baseline
    times = interleaved(
        {"theirs": Subject(run=peer.fit), "ours": Subject(run=lambda: ours(model, problem), units=OUR_FITS)},
        repeats,
    )
    return [
        Row(
            work=work,
            compared=compared,
            unit="x our time",
            ratio=quotient(times["theirs"], times["ours"]),
            goal=goal,
            milliseconds=duration(times["theirs"]),
            compared_milliseconds=duration(times["ours"]),
            peak_megabytes=peak,
            note=f"t {peer.statistic():.2f}, ours {model.fit(problem.chunks[0], problem.expected).statistic:.2f}",
        )
    ]


def ours(model: KernelModel, problem: Problem) -> None:
    """Fit and evaluate f at the reference and at the chunk."""
    for place in range(OUR_FITS):
        chunk = problem.chunks[place % len(problem.chunks)]
        fitted = model.fit(chunk, problem.expected)
        model.features @ fitted.coefficients.astype(np.float32)
        fitted.log_ratio(chunk)


class _Peer:
    """The first chunk against the reference, labelled 1 and 0."""

    def __init__(self, falkon: Any, problem: Problem, model: KernelModel) -> None:  # noqa: ANN401  # has no types
        basis, chunk = model.basis, problem.chunks[0]
        events = np.concatenate([problem.reference, chunk])
        self._x = torch.from_numpy(standardise(events, basis.mean, basis.scale))
        self._y = torch.zeros((len(events), 1), dtype=torch.float64)
        self._y[len(problem.reference) :] = 1
        self._weight = problem.expected / len(problem.reference)
        self._f = torch.empty(0)
        kernel = falkon.kernels.GaussianKernel(sigma=basis.sigma)
        self._make: Callable[[], Any] = lambda: falkon.LogisticFalkon(
            kernel=kernel,
            M=problem.centres,
            penalty_list=[LAMBDA],
            iter_list=[CONJUGATE_STEPS],
            seed=SEED,
            loss=falkon.gsc_losses.WeightedCrossEntropyLoss(kernel=kernel, neg_weight=self._weight),
            options=falkon.FalkonOptions(
                cg_tolerance=CONJUGATE_TOLERANCE, keops_active="no", use_cpu=True, debug=False
            ),
        )

    def fit(self) -> None:
        model = self._make()
        model.fit(self._x, self._y)
        self._f = model.predict(self._x)

    def statistic(self) -> float:
        """T = 2 [sum_D f - w sum_R (e^f - 1)]."""
        data = self._y[:, 0] == 1
        f = self._f[:, 0]
        return float(2 * (f[data].sum() - self._weight * torch.expm1(f[~data]).sum()))
