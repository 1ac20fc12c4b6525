"""Power on EXPO-1D: how far the anomalous runs of each statistic lie from its null, with intervals.

The benchmark of arXiv:2407.01249: runs of 8 chunks of 2,000 events against a reference of 200,000, sigma 0.7, lambda
1e-6, known rate. The separation of a statistic is

    Z = (median of the anomalous runs - mean of the ordinary runs) / deviation of the ordinary runs.

One reference shifts all runs against it by its own error, so that runs are shared out among several, each with its own
null, over which Z is averaged. Intervals are those of a bootstrap in two steps: references, then runs of each.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from nplmon.closure.study import Check, Study
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.reference import Reference
from nplmon.nplm.statistic import t_agg
from nplmon.nplm.templates import RunScore
from nplmon.offline.errors import AnalysisError
from nplmon.simulators import expo

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from nplmon.closure.workers import Workers
    from nplmon.nplm.preparation import Placement

KINDS: Final = ("t_agg", "t_full", "t_score", "t_sum")
SAMPLES: Final = 2_000
"""Bootstrap samples."""
TOGETHER: Final = 5
"""Runs whose chunks are fitted side by side."""


@dataclass(frozen=True, kw_only=True)
class PowerPlan:
    """What is simulated; runs of each signal and of none are shared out among the references.

    Attributes
    ----------
    toys:
        Runs of each signal, and of none.
    references:
        Reference samples, at least one; `toys` is a multiple of it.
    events, chunks, reference_events:
        Mean events of a chunk, chunks of a run, events of a reference.
    centres, placement:
        Of the kernels.
    seed:
        Of all that is random.
    """

    toys: int = 300
    references: int = 6
    events: int = 2_000
    chunks: int = 8
    reference_events: int = 200_000
    centres: int = 1_000
    placement: Placement = "k-means++"
    seed: int = 20

    def __post_init__(self) -> None:
        if self.references < 1 or self.toys < 10 * self.references or self.toys % self.references:
            raise AnalysisError(
                f"{self.toys} toys for {self.references} references: give a multiple, at least ten for each"
            )


@dataclass(frozen=True, kw_only=True)
class Separation:
    """Z of one statistic for one signal, with its 95 % interval."""

    signal: str
    kind: str
    z: float
    low: float
    high: float


def one_reference(plan: PowerPlan, number: int, signals: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
    """Simulate the runs against one reference.

    Parameters
    ----------
    plan:
        What is simulated.
    number:
        Which reference, from 0; it is seeded by its own.
    signals:
        Names of EXPO-1D signals.

    Returns
    -------
    dict[str, NDArray[np.float64]]
        By signal, "" for none: the statistics of each run in the order of `KINDS`, (runs, kinds).
    """
    rng = np.random.default_rng(plan.seed).spawn(plan.references)[number]
    each = plan.toys // plan.references
    model = KernelModel.prepare(
        Reference(expo.sample(rng, plan.reference_events)),
        centres=plan.centres,
        placement=plan.placement,
        sigma=0.7,
        lambda_=1e-6,
        seed=number,
    )
    return {
        name: np.concatenate(
            [
                _runs(model, rng, min(TOGETHER, each - first), name or None, plan)
                for first in range(0, each, TOGETHER)
            ]
        )
        for name in ("", *signals)
    }


def power(plan: PowerPlan, workers: Workers, tell: Callable[[str, int, int], None]) -> Study:
    """Measure the separations of all benchmark signals.

    Parameters
    ----------
    plan:
        What is simulated.
    workers, tell:
        As for the other studies.
    """
    signals = tuple(expo.SIGNALS)
    parts = [partial(one_reference, plan, number, signals) for number in range(plan.references)]
    done = workers.run(parts, partial(tell, "power"))
    runs = {name: np.stack([one[name] for one in done]) for name in ("", *signals)}
    found = separations(runs)
    z = {(one.signal, one.kind): one for one in found}
    lines = [
        "",
        "| signal | " + " | ".join(KINDS) + " |",
        "|---|" + "---|" * len(KINDS),
        *(
            f"| {signal} | " + " | ".join(_said(z[signal, kind]) for kind in KINDS) + " |"
            for signal in signals
        ),
    ]
    checks = [
        Check(
            what=f"Z(t_agg) - Z(t_sum), {signal}: the 1 % quantile of its bootstrap",
            value=float(np.quantile(_bootstrapped(runs, signal, "t_agg", "t_sum"), 0.01)),
            low=0.0,
            high=np.inf,
            expected=0.99,
        )
        for signal in signals
    ] + [
        Check(
            what=f"Z(t_agg) - Z(t_full), {signal}: the 99 % quantile of its bootstrap",
            value=float(np.quantile(_bootstrapped(runs, signal, "t_agg", "t_full"), 0.99)),
            low=0.0,
            high=np.inf,
            expected=0.99,
        )
        for signal in signals
    ]
    return Study(
        name="power",
        title="Power",
        text=(
            f"{plan.toys} runs of {plan.chunks} chunks of {plan.events:,} EXPO-1D events with each signal and as many "
            f"without, against {plan.references} references of {plan.reference_events:,}: Z = (median of the anomalous "
            "runs - mean of the ordinary ones) / their deviation, with 95 % intervals. t_agg is to beat the sum of the "
            "chunks' own tests, and not to be beaten by one fit to all events.\n" + "\n".join(lines)
        ),
        checks=checks,
        data={"separations": [asdict(one) for one in found]},
        figures={"power": partial(_draw, found)},
    )


def _draw(found: list[Separation]) -> Figure:
    from nplmon.closure.figures import power_figure  # noqa: PLC0415 (needs matplotlib)

    return power_figure(found)


def _said(one: Separation) -> str:
    return f"{one.z:.2f} ({one.low:.2f} to {one.high:.2f})"


def separations(runs: dict[str, NDArray[np.float64]], *, seed: int = 0) -> list[Separation]:
    """Give Z of each statistic for each signal.

    Parameters
    ----------
    runs:
        By signal, "" for none, (references, runs, kinds).
    seed:
        Of the bootstrap.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> runs = {"": rng.normal(size=(3, 50, 4)), "peak": rng.normal([4, 3, 4, 1], size=(3, 50, 4))}
    >>> [(one.kind, round(one.z), one.low < one.z < one.high) for one in separations(runs)]
    [('t_agg', 4, True), ('t_full', 3, True), ('t_score', 4, True), ('t_sum', 1, True)]
    """
    found = []
    for signal, anomalous in runs.items():
        if not signal:
            continue
        z, again = _separation(runs[""], anomalous), _again(runs, signal, seed)
        low, high = np.quantile(again, [0.025, 0.975], axis=0)
        found += [
            Separation(signal=signal, kind=kind, z=float(z[i]), low=float(low[i]), high=float(high[i]))
            for i, kind in enumerate(KINDS)
        ]
    return found


def _again(runs: dict[str, NDArray[np.float64]], signal: str, seed: int = 0) -> NDArray[np.float64]:
    """Z of each statistic in each bootstrap sample, (samples, kinds)."""
    rng = np.random.default_rng(seed)
    ordinary, anomalous = runs[""], runs[signal]
    references, each, _ = ordinary.shape
    found = np.empty((SAMPLES, len(KINDS)))
    for sample in range(SAMPLES):
        which = rng.integers(references, size=(references, 1))
        rows = rng.integers(each, size=(2, references, each))
        found[sample] = _separation(ordinary[which, rows[0]], anomalous[which, rows[1]])
    return found


def _bootstrapped(
    runs: dict[str, NDArray[np.float64]], signal: str, kind: str, other: str
) -> NDArray[np.float64]:
    """Differences of two statistics' Z, (samples,)."""
    again = _again(runs, signal)
    return np.asarray(again[:, KINDS.index(kind)] - again[:, KINDS.index(other)])


def _separation(ordinary: NDArray[np.float64], anomalous: NDArray[np.float64]) -> NDArray[np.float64]:
    """Z of each statistic, (kinds,), from runs (references, runs, kinds)."""
    away = np.median(anomalous, axis=1) - ordinary.mean(axis=1)
    return np.asarray((away / ordinary.std(axis=1, ddof=1)).mean(axis=0))


def _runs(
    model: KernelModel, rng: np.random.Generator, count: int, signal: str | None, plan: PowerPlan
) -> NDArray[np.float64]:
    """Fit all chunks of some runs side by side; the averages are formed in float32, as the features are."""
    lam, n = float(plan.events), plan.chunks
    runs = [[expo.sample_chunk(rng, plan.events, signal) for _ in range(n)] for _ in range(count)]
    fits = model.fit_together([events for run in runs for events in run], [lam] * n * count)
    unions = [np.concatenate(run) for run in runs]
    full = model.fit_together(unions, [n * lam] * count)
    values = np.empty((count, len(KINDS)))
    for number, union in enumerate(unions):
        own = fits[number * n : (number + 1) * n]
        models = np.stack([fit.coefficients for fit in own], axis=1).astype(np.float32)
        at_events, at_reference = (
            np.log(np.exp(psi @ models).mean(axis=1)).astype(np.float64)
            for psi in (model.basis.features(union), model.features)
        )
        values[number] = (
            t_agg(at_events, at_reference, model.reference.v, n * lam, "rate"),
            full[number].statistic,
            RunScore.of_equal_chunks(
                model.basis, np.sum([fit.score for fit in own], axis=0), size=lam, chunks=n
            ).t_score(model.basis),
            sum(fit.statistic for fit in own),
        )
    return values
