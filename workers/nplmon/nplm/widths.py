r"""Several kernel widths at once: what a narrow kernel sees, a wide one may miss (Grosso & Letizia, arXiv:2408.12296).

The smallest of several p-values is no p-value. Two orders of choosing and averaging (public code of arXiv:2407.01249
has both):

- a width is chosen for each chunk, by the smallest p of its t, and the chosen models are averaged:
  `aggregate_chosen`. No closed form is known: toys must choose and average in the same way;
- the chunks are averaged for each width, and the smallest p over the widths is taken: `aggregate` for each width, then
  `minimum_p` or, with toys, `joint_p`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy import interpolate

from nplmon.nplm.null import Nulls
from nplmon.nplm.run import Averaged, RunData, RunResult, fitted_together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.model import Fitted, KernelFamily
    from nplmon.nplm.null import ChiSquareSum
    from nplmon.nplm.reference import Reference

CHOSEN: Final = (
    "the width is chosen for each chunk after a look at it: calibrate with toys that choose likewise"
)
DRAWS: Final = 20_000
BLOCK: Final = 2_000
EQUAL: Final = 1.5
"""Largest ratio of two chunks' expected counts up to which the joint null was seen to hold."""
NODES: Final = 40


@dataclass(frozen=True, kw_only=True)
class JointP:
    """The p-value of the smallest of several p-values.

    Attributes
    ----------
    p:
        The joint p-value.
    resolution:
        The smallest value that it can take: 1 / (n + 1) for n toys.
    best:
        The index of the smallest p-value.
    """

    p: float
    resolution: float
    best: int


def joint_p(log_p: NDArray[np.float64], toys: NDArray[np.float64]) -> JointP:
    """Calibrate the smallest of several p-values with toys: (1 + toys whose smallest is no larger) / (n + 1).

    Parameters
    ----------
    log_p:
        Logarithms of the data's p-values, one for each width, float64 (S,).
    toys:
        The same of toys under H0, found in the same way, float64 (n, S).

    Raises
    ------
    ValueError
        If there are no toys, they have another number of widths, or a value is not a number.

    Examples
    --------
    >>> toys = np.log(np.random.default_rng(0).uniform(size=(999, 3)))
    >>> found = joint_p(np.log([0.5, 0.01, 0.9]), toys)
    >>> round(found.p, 3), found.resolution, found.best
    (0.035, 0.001, 1)
    """
    if log_p.ndim != 1 or toys.ndim != 2 or toys.shape[1] != log_p.size or not toys.size:
        raise ValueError(
            f"p-values of shape {log_p.shape}, toys of {toys.shape}: give (S,) and (n, S), n > 0"
        )
    if np.isnan(log_p).any() or np.isnan(toys).any():
        raise ValueError("a p-value is not a number: look at the fit that gave it")
    smaller = int(np.count_nonzero(toys.min(axis=1) <= log_p.min()))
    n = len(toys)
    return JointP(p=(1 + smaller) / (n + 1), resolution=1 / (n + 1), best=int(np.argmin(log_p)))


def aggregate_chosen(
    models: Sequence[KernelFamily],
    chunks: Sequence[NDArray[np.floating]],
    expected: Sequence[float] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> RunResult:
    """Average, of each chunk, the model whose t has the smallest p-value in closed form.

    The values have no null. `RunResult.fits` tells what was chosen.

    Parameters
    ----------
    models:
        Kernel models of one reference, of several widths.
    chunks, expected, progress:
        As for `aggregate`.

    Raises
    ------
    ValueError
        If there are no models, or they have different references; else as for `aggregate`.
    FitError
        If a fit does not converge.

    Examples
    --------
    >>> from nplmon.nplm import KernelModel, Reference
    >>> rng = np.random.default_rng(0)
    >>> reference = Reference(rng.exponential(size=(10_000, 1)))
    >>> models = [KernelModel.prepare(reference, centres=100, sigma=sigma) for sigma in (0.3, 1.0)]
    >>> run = aggregate_chosen(models, [rng.exponential(size=(500, 1)) for _ in range(3)])
    >>> sorted(run.values), run.statistics
    (['t_agg', 't_ref', 't_sum'], {})
    """
    reference = _shared_reference(models)
    data = RunData.of(reference, chunks, expected)
    count = len(data.chunks)
    fits: list[list[Fitted]] = []
    log_p = np.empty((len(models), count))
    for number, model in enumerate(models):
        fits.append([])
        for some in fitted_together(model, data, count):
            fits[-1] += some
            if progress is not None:
                progress(number * count + len(fits[-1]), len(models) * count)
        nulls = Nulls(basis=model.basis, mode=data.mode)
        known = {lam: nulls.chunk(lam) for lam in set(data.expected)}
        log_p[number] = [known[fit.expected].log_tail(fit.statistic) for fit in fits[-1]]
    chosen = [fits[best][k] for k, best in enumerate(log_p.argmin(axis=0))]
    return Averaged.of(data, chosen, reason=CHOSEN, known=models).tested_on(data, chosen, count)


def minimum_p(
    models: Sequence[KernelFamily],
    runs: Sequence[RunResult],
    *,
    kind: Literal["t_agg", "t_score", "t_sum"] = "t_agg",
    draws: int = DRAWS,
    seed: int = 0,
) -> JointP:
    r"""Calibrate the smallest p of t_agg or of t_score over several widths, without toys (ours).

    In the quadratic regime both are, for width i, :math:`\sum_j s_{ij} Z_{ij}^2`, and the :math:`Z_{ij}` of all widths
    are scores of the same events: jointly Gaussian, with the covariance of :math:`\psi_{ij} / \sqrt{\mu_{ij}}` over the
    reference. Drawing them takes no fit. What holds for each null holds for their joint distribution too: the chunks
    must be large enough, and the reference's own error is averaged over.

    Parameters
    ----------
    models:
        Kernel models of one reference, of several widths.
    runs:
        What `aggregate` gave for each of them and the same chunks.
    kind:
        The statistic; t_sum for a single chunk, where it has the law of the others.
    draws, seed:
        Number of draws and their seed; the resolution is 1 / (draws + 1).

    Raises
    ------
    ValueError
        If the models have different references, the runs are not of the same chunks, or one has no null, or the
        chunks' expected counts differ by more than half.

    Examples
    --------
    >>> from nplmon.nplm import KernelModel, Reference, aggregate
    >>> rng = np.random.default_rng(0)
    >>> reference = Reference(rng.exponential(size=(10_000, 1)))
    >>> models = [KernelModel.prepare(reference, centres=100, sigma=sigma) for sigma in (0.3, 1.0)]
    >>> chunks = [rng.exponential(size=(500, 1)) for _ in range(3)]
    >>> runs = [aggregate(model, chunks) for model in models]
    >>> smallest = min(float(np.exp(run.statistics["t_agg"].log_p)) for run in runs)
    >>> smallest < minimum_p(models, runs).p < 2 * smallest
    True
    """
    reference = _shared_reference(models)
    expected = [tuple(fit.expected for fit in run.fits) for run in runs]
    if (
        len(runs) != len(models)
        or len({(run.mode, lam) for run, lam in zip(runs, expected, strict=True)}) != 1
    ):
        raise ValueError(f"{len(models)} models, {len(runs)} runs: give one run for each, of the same chunks")
    if max(expected[0]) > EQUAL * min(expected[0]):
        raise ValueError(
            f"chunks of {min(expected[0]):.4g} to {max(expected[0]):.4g} events: the joint null is known "
            "for nearly equal ones alone; calibrate with toys and joint_p"
        )
    if kind == "t_sum" and len(expected[0]) > 1:
        raise ValueError(
            f"t_sum of {len(expected[0])} chunks has another law: take t_agg, or toys and joint_p"
        )
    if missing := [run.uncalibrated.get(kind, "left out") for run in runs if kind not in run.statistics]:
        raise ValueError(f"{kind} has no null for {len(missing)} of the widths: {missing[0]}")
    observed = np.array([run.statistics[kind].log_p for run in runs])
    v = reference.v
    features = [model.features for model in models]
    moment = np.block([[(left.T * (v / v.sum())) @ right for right in features] for left in features])
    mu = np.concatenate([model.basis.second_moment for model in models])
    mean = np.concatenate([model.basis.mean_feature for model in models])
    exposure = runs[0].exposure_ratio
    # In mode "rate" the reference's share of the variance alone is that of means: see `Nulls`.
    moment -= (1.0 if runs[0].mode == "shape" else exposure / (1 + exposure)) * np.outer(mean, mean)
    value, vector = np.linalg.eigh(moment / np.sqrt(np.outer(mu, mu)))
    root = vector * np.sqrt(np.maximum(value, 0))
    weights = [_weights(model, run, expected[0]) for model, run in zip(models, runs, strict=True)]
    cuts = np.cumsum([one.size for one in weights])[:-1]
    rng = np.random.default_rng(seed)
    blocks = []
    for first in range(0, draws, BLOCK):
        z = rng.normal(size=(min(BLOCK, draws - first), mu.size)) @ root.T
        squares = np.split(z**2, cuts, axis=1)
        blocks.append(np.stack([one @ s for one, s in zip(squares, weights, strict=True)], axis=1))
    t = np.concatenate(blocks)
    nulls = [run.statistics[kind].null for run in runs]
    toys = np.stack([_log_tails(null, t[:, i]) for i, null in enumerate(nulls)], axis=1)
    return joint_p(observed, toys)


def _weights(model: KernelFamily, run: RunResult, expected: Sequence[float]) -> NDArray[np.float64]:
    """Give the weights s_j of a run before the components are told to be dependent."""
    lam = np.array(expected)
    penalty = model.basis.lambda_ * (model.basis.events + lam)
    h = lam[:, None] * model.basis.second_moment
    h = h / (h + penalty[:, None])
    share = lam / lam.sum()
    nulls = Nulls(basis=model.basis, mode=run.mode)
    return nulls.component_weights(float(lam.sum()), share @ h, share @ h**2)


def _log_tails(null: ChiSquareSum, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate the logarithms of the tail probabilities, to about 1e-4: a draw in a thousand changes sides."""
    nodes = np.linspace(t.min(), t.max(), NODES)
    return np.asarray(interpolate.PchipInterpolator(nodes, [null.log_tail(x) for x in nodes])(t))


def _shared_reference(models: Sequence[KernelFamily]) -> Reference:
    if not models:
        raise ValueError("no models: give one for each width")
    reference = models[0].reference
    if any(model.reference is not reference for model in models):
        raise ValueError("the models have different references: prepare all widths with the same one")
    return reference
