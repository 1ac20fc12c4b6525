"""Uniformity of p-values under H0: closed form with a reference for each run, toys for a reference that stays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import stats

from nplmon.closure.study import Check, Study
from nplmon.nplm import Calibration, Reference, ToyPlan, Trajectories, replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from nplmon.closure.samples import Source
    from nplmon.closure.workers import Workers
    from nplmon.nplm.toys import Source as Calibrated

KINDS: Final = ("t_chunk", "t_agg", "t_score")
NUMBERS: Final = (1, 8, 32)
EXPOSURES: Final = (0.1, 0.5, 2.0)
EVENTS: Final = 200.0
"""Mean count of a chunk."""
TAILS: Final = (0.01, 0.001)
SPARE: Final[dict[Calibrated, int]] = {"disjoint": 30, "fixed-reference": 1_000}
"""Events of a pool for each event of a toy, where the sample has as many as are wanted."""
BATCH: Final = 50
POOL_SEEDS: Final = 10**6
"""Between the seed of a reference and those of its pools."""
CONFIDENCE: Final = 0.99


@dataclass(frozen=True, kw_only=True)
class Case:
    """Runs of one sample, one way of drawing them and one exposure.

    Attributes
    ----------
    source:
        The sample.
    calibrated:
        "disjoint": each run has its own reference, p is the closed form's. "fixed-reference": one reference; p is from
        toys whose data come from a pool, the runs' data from another one.
    exposure:
        Lambda / N_eff after the last chunk.
    runs, chunks, seed:
        Numbers of runs and of chunks, and the seed.
    """

    source: Source
    calibrated: Calibrated
    exposure: float
    runs: int
    chunks: int
    seed: int

    @property
    def reference(self) -> int:
        """N_R."""
        return round(self.chunks * EVENTS / self.exposure)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of chunks that are looked at."""
        return tuple(n for n in NUMBERS if n <= self.chunks)

    @property
    def pool(self) -> int:
        """Events of the pool of the runs, and of that of the toys."""
        if self.source.path:  # what the file has beside the reference, in two halves
            return (self.source.events - self.reference) // 2
        return int(SPARE[self.calibrated] * self.chunks * EVENTS)

    def shift(self, chunk: int) -> float:
        """Give by how many deviations of a statistic the pools' own errors move it, typically.

        With e the exposure of the reference and f that of a pool, runs scatter around the pool, off by f from H0 in the
        variance of the mean score, and the reference, off by e, is multiplied with it: 2 sqrt(e f) of sqrt(2 + 4 e) for
        a direction; with two pools sqrt(2) as much (ours).
        """
        e = self.exposure * chunk / self.chunks
        f = chunk * EVENTS / self.pool
        return float(2 * np.sqrt(2 * e * f / (2 + 4 * e)))

    def plan(self, *, toys: bool) -> ToyPlan:
        """Give the plan of the runs, or of the toys that calibrate them."""
        seed = 2 * self.seed + toys
        return ToyPlan(
            mode="shape", source=self.calibrated, chunks=self.chunks, events=EVENTS, seed=seed, kinds=KINDS
        )

    def replay(self, first: int, count: int, *, toys: bool) -> Trajectories:
        """Replay some of the runs, or of the toys."""
        reference, pool = self._events(toys=toys)
        models = self.source.prepare(Reference(reference), self.seed)
        return replay(models, pool, self.plan(toys=toys), first, count, prepare=self.source.prepare)

    def _events(self, *, toys: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Give the reference, and the pool of the runs or of the toys."""
        if self.source.path:
            reference, *pools = self.source.parts(self.seed, self.reference, self.pool, self.pool)
            return reference, pools[toys]
        if self.calibrated == "disjoint":
            reference, pool = self.source.parts(self.seed, self.reference, self.pool)
            return reference, pool
        (reference,) = self.source.parts(self.seed, self.reference)
        (pool,) = self.source.parts(self.seed + (1 + toys) * POOL_SEEDS, self.pool)
        return reference, pool

    def batches(self, *, toys: bool) -> list[Callable[[], Trajectories]]:
        """Give the runs, or the toys, in parts that may be done beside each other."""
        return [
            partial(self.replay, first, min(BATCH, self.runs - first), toys=toys)
            for first in range(0, self.runs, BATCH)
        ]


@dataclass(frozen=True, kw_only=True)
class Found:
    """The p-values of one statistic after one number of chunks.

    Attributes
    ----------
    p:
        Sorted, float64 (runs,).
    toys:
        Toys that calibrate them; 0: closed form.
    """

    case: Case
    kind: str
    chunk: int
    p: NDArray[np.float64]
    toys: int
    ks: float

    @property
    def name(self) -> str:
        """Say which they are."""
        where = "toys, one reference" if self.toys else self.origin
        return f"{self.case.source.name}, exposure {self.case.exposure:g}, {where}: {self.kind} after {self.chunk}"

    @property
    def origin(self) -> str:
        """Say where p is from."""
        if self.toys:
            return "toys"
        return "closed form" if self.case.calibrated == "disjoint" else "closed form, one reference"

    @property
    def promised(self) -> bool:
        """Whether they should be uniform: not in closed form for one reference, which is one draw of its error.

        Nor with toys from a pool whose own error is more than what so many runs resolve.
        """
        if not self.toys:
            return self.case.calibrated == "disjoint"
        return bool(self.case.shift(self.chunk) <= (1 / self.p.size + 1 / self.toys) ** 0.5)

    def checks(self) -> Iterable[Check]:
        """Compare with uniform: Kolmogorov-Smirnov, and the numbers in the tails."""
        yield Check(
            what=f"{self.name}: p of Kolmogorov-Smirnov",
            value=self.ks,
            low=0.01,
            high=1.0,
            expected=0.99,
            promised=self.promised,
        )
        for tail in TAILS:
            low, high = self.interval(tail)
            yield Check(
                what=f"{self.name}: runs of {self.p.size:,} with p <= {tail:g}",
                value=float(np.count_nonzero(self.p <= tail)),
                low=low,
                high=high,
                expected=CONFIDENCE,
                promised=self.promised,
            )

    def interval(self, tail: float) -> tuple[float, float]:
        """Give the central 99 % of how many runs are in a tail.

        Binomial in closed form. With n toys p <= a where fewer than k = a (n + 1) toys are as small, which is a run
        below the k-th smallest of them: beta-binomial, for the toys fluctuate too.
        """
        if not self.toys:
            low, high = stats.binom.interval(CONFIDENCE, self.p.size, tail)
            return float(low), float(high)
        k = int(tail * (self.toys + 1) + 1e-9)
        if k == 0:
            return 0.0, float(self.p.size)  # not resolved
        law = stats.betabinom(self.p.size, k, self.toys + 1 - k)
        return float(law.ppf((1 - CONFIDENCE) / 2)), float(law.ppf((1 + CONFIDENCE) / 2))


def judge(case: Case, runs: Trajectories, toys: Trajectories | None) -> list[Found]:
    """Give the p-values of the runs of a case: in closed form, and from its toys where there are any."""
    found = []
    calibration = None if toys is None else Calibration.from_trajectories([toys], plan=case.plan(toys=True))
    for kind in KINDS:
        for n in case.numbers:
            log_p = runs.smallest(kind)[:, n - 1]
            closed = np.exp(log_p)
            found.append(
                Found(
                    case=case,
                    kind=kind,
                    chunk=n,
                    p=np.sort(closed),
                    toys=0,
                    ks=float(stats.kstest(closed, "uniform").pvalue),
                )
            )
            if toys is None or calibration is None:
                continue
            counts = [calibration.kinds[kind].count(n, x) or 0 for x in log_p.tolist()]
            p = (1 + np.array(counts)) / (toys.toys + 1)
            ks = stats.ks_2samp(log_p, toys.smallest(kind)[:, n - 1]).pvalue
            found.append(Found(case=case, kind=kind, chunk=n, p=np.sort(p), toys=toys.toys, ks=float(ks)))
    return found


def uniform(cases: list[Case], workers: Workers, tell: Callable[[str, int, int], None]) -> Study:
    """Replay the runs of all cases and compare their p-values with uniform ones.

    Parameters
    ----------
    cases:
        What to replay.
    workers:
        Who does it.
    tell:
        Called with what is being done and the numbers of batches done and to do.
    """
    found: list[Found] = []
    for case in cases:
        what = f"{case.source.name}, {case.calibrated}, exposure {case.exposure:g}"
        own = case.batches(toys=False)
        more = case.batches(toys=True) if case.calibrated == "fixed-reference" else []
        done = workers.run(own + more, partial(tell, what))
        toys = Trajectories.concatenate(done[len(own) :]) if more else None
        found += judge(case, Trajectories.concatenate(done[: len(own)]), toys)
    checks = [check for one in found for check in one.checks()]
    return Study(
        name="uniform",
        title="p-values under H0",
        text=(
            "Runs of ordinary chunks with Poisson counts. *disjoint*: each run has a reference of its own, p is the "
            "closed form's. *fixed-reference*: one reference for all runs; p is from toys whose data come from a pool "
            "beside that of the runs, and the closed form, which averages over references, is shown for comparison. "
            "Where the two pools' own errors are more than so many runs resolve, that is not promised."
        ),
        checks=checks,
        data={"cases": [_row(one) for one in found]},
        figures={
            f"uniform-{number}": partial(_draw, [one for one in found if one.case == case])
            for number, case in enumerate(cases, 1)
        },
    )


def _row(one: Found) -> dict[str, Any]:
    case = one.case
    return {
        "sample": case.source.name,
        "source": case.calibrated,
        "exposure": case.exposure,
        "reference_events": case.reference,
        "events": EVENTS,
        "runs": int(one.p.size),
        "statistic": one.kind,
        "chunk": one.chunk,
        "p_from": one.origin,
        "promised": one.promised,
        "pool_events": case.pool,
        "pool_shift": case.shift(one.chunk) if case.calibrated == "fixed-reference" else 0.0,
        "ks_p": one.ks,
        "tails": {
            f"{tail:g}": {
                "runs": int(np.count_nonzero(one.p <= tail)),
                "low": one.interval(tail)[0],
                "high": one.interval(tail)[1],
            }
            for tail in TAILS
        },
    }


def _draw(found: list[Found]) -> Figure:
    from nplmon.closure.figures import uniform_figure  # noqa: PLC0415 (needs matplotlib)

    return uniform_figure(found)
