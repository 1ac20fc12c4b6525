"""Detection delay on EXPO-1D: chunks from the start of an anomaly to the alarm, at one nominal run length.

t_score with thresholds of expected run length ERT, and e-SR and e-CUSUM of the exact two-sample e-process at A = ERT,
see the same streams: ordinary chunks, and from the start on anomalous ones. A stream that alarms before the start is
a false alarm and not counted in the delay. Where a stream ends without an alarm the delay is beyond its end; medians
and their intervals are order statistics, to which that does no harm.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

from nplmon.closure.study import Check, Study
from nplmon.nplm.eprocess import EProcess
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.reference import Reference
from nplmon.nplm.run_length import run_length_thresholds
from nplmon.nplm.templates import RunScore
from nplmon.nplm.trajectory import null_trajectories
from nplmon.simulators import expo

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from nplmon.closure.workers import Workers

DETECTORS: Final = ("t_score", "log_sr", "log_cusum")
STRENGTHS: Final = {"bulk": 1.0, "excess": 1.0, "13": 3.0}
"""Of the benchmark's signals: three times that of 13 events in 2,000, as the chunks are smaller."""
TOGETHER: Final = 10
"""Chunks fitted side by side."""
BATCH: Final = 20
"""Streams of one part."""
POOL_PER_EVENT: Final = 8
"""Fresh events offered per event of a chunk: five are used on average."""
MEAN_SAMPLE: Final = 20_000
"""Reference events that the e-process takes means over; its two-sample form is exact with any."""


@dataclass(frozen=True, kw_only=True)
class DelayPlan:
    """What is simulated.

    Attributes
    ----------
    streams:
        Streams of each anomaly and start.
    starts:
        The first anomalous chunk, counted from 1.
    longest:
        Anomalous chunks until a stream is given up.
    run_length:
        ERT of t_score, and A of the e-detectors.
    events, reference_events, centres:
        Events of a chunk and of the reference; kernels.
    toys:
        Closed-form toys for the thresholds.
    seed:
        Of all that is random.
    """

    streams: int = 300
    starts: tuple[int, ...] = (1, 50)
    longest: int = 60
    run_length: float = 200.0
    events: int = 500
    reference_events: int = 100_000
    centres: int = 200
    toys: int = 10_000
    seed: int = 21


@dataclass(frozen=True, kw_only=True)
class Delay:
    """Delays of one detector for one anomaly and start.

    Attributes
    ----------
    anomaly, start, detector:
        What was seen by whom.
    streams, early, detected:
        Streams in all, those with an alarm before the start, and of the others those with one before the end.
    median, low, high:
        Median delay and its 95 % interval, in chunks: 1 is the first anomalous chunk; infinite beyond the end.
    """

    anomaly: str
    start: int
    detector: str
    streams: int
    early: int
    detected: int
    median: float
    low: float
    high: float


@cache
def _prepared(plan: DelayPlan) -> tuple[KernelModel, NDArray[np.float64]]:
    """Give the model and the thresholds of t_score; each process makes them once."""
    rng = np.random.default_rng(plan.seed)
    reference = Reference(expo.sample(rng, plan.reference_events))
    model = KernelModel.prepare(reference, centres=plan.centres, sigma=0.7, lambda_=1e-5)
    length = max(plan.starts) - 1 + plan.longest
    toys = null_trajectories(model.basis, "shape", [float(plan.events)] * length, plan.toys, rng)
    return model, run_length_thresholds(toys, plan.run_length).values


def streams(plan: DelayPlan, start: int, first: int, count: int) -> dict[str, NDArray[np.float64]]:
    """Follow some streams of one start.

    Parameters
    ----------
    plan:
        What is simulated.
    start:
        The first anomalous chunk.
    first, count:
        The streams' numbers; each is seeded by its own.

    Returns
    -------
    dict[str, NDArray[np.float64]]
        By anomaly: the chunk of each detector's alarm, 1 for the first anomalous one, infinite without an alarm,
        (streams, detectors).
    """
    model, levels = _prepared(plan)
    place = plan.starts.index(start) * plan.streams
    rngs = np.random.default_rng(plan.seed).spawn(plan.streams * len(plan.starts))[place:][
        first : first + count
    ]
    found: dict[str, list[NDArray[np.float64]]] = {anomaly: [] for anomaly in STRENGTHS}
    for rng in rngs:
        quiet = _Stream(model, plan, levels)
        quiet.follow(rng, start - 1, "bulk", 0)
        for anomaly, strength in STRENGTHS.items():
            stream = quiet.continued()
            added = round(strength * expo.SIGNALS[anomaly].fraction * plan.events)
            stream.follow(rng, plan.longest, anomaly, added)
            found[anomaly].append(stream.alarms - (start - 1))
    return {anomaly: np.stack(alarms) for anomaly, alarms in found.items()}


def delays(plan: DelayPlan, workers: Workers, tell: Callable[[str, int, int], None]) -> Study:
    """Measure the delays of all detectors.

    Parameters
    ----------
    plan:
        What is simulated.
    workers, tell:
        As for the other studies.
    """
    blocks = [
        (start, first, min(BATCH, plan.streams - first))
        for start in plan.starts
        for first in range(0, plan.streams, BATCH)
    ]
    done = workers.run([partial(streams, plan, *block) for block in blocks], partial(tell, "delays"))
    found = []
    for start in plan.starts:
        mine = [one for (begin, *_), one in zip(blocks, done, strict=True) if begin == start]
        for anomaly in STRENGTHS:
            alarms = np.concatenate([one[anomaly] for one in mine])
            found += [summary(anomaly, start, name, alarms[:, i]) for i, name in enumerate(DETECTORS)]
    lines = [
        "",
        "| anomaly | from chunk | detector | median delay | detected | before |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.anomaly} | {one.start} | {one.detector} | {one.median:g} ({one.low:g} to {one.high:g}) | "
        f"{one.detected} of {one.streams - one.early} | {one.early} of {one.streams} |"
        for one in found
    ]
    return Study(
        name="delay",
        title="Detection delay",
        text=(
            f"Streams of EXPO-1D chunks of {plan.events} events against a reference of {plan.reference_events:,}, with "
            f"an anomaly from some chunk on; t_score with an expected run length of {plan.run_length:g} chunks, e-SR "
            "and e-CUSUM of the two-sample e-process at A of that size. Medians in chunks with 95 % intervals; streams "
            "with an alarm before the anomaly are left out of them.\n" + "\n".join(lines)
        ),
        checks=_checks(found, plan),
        data={"delays": [asdict(one) | _finite(one) for one in found]},
        figures={"delay": partial(_draw, found)},
    )


def _draw(found: list[Delay]) -> Figure:
    from nplmon.closure.figures import delay_figure  # noqa: PLC0415 (needs matplotlib)

    return delay_figure(found)


def _checks(found: list[Delay], plan: DelayPlan) -> list[Check]:
    """Before the anomaly alarms are as many as asked for, with t_score, and at most as many, with the e-detectors."""
    checks = []
    for start in plan.starts:
        if start == 1:
            continue
        share = 1 - (1 - 1 / plan.run_length) ** (start - 1)
        for detector in DETECTORS:
            # The anomalies share their beginnings.
            one = next(one for one in found if (one.start, one.detector) == (start, detector))
            low, high = stats.binom.interval(0.99, one.streams, share)
            # The one reference's error moves the hazard: a tenth is allowed for it.
            low = 0.9 * float(low) if detector == "t_score" else 0.0
            checks.append(
                Check(
                    what=f"{detector}: streams of {one.streams} with an alarm before chunk {start}",
                    value=float(one.early),
                    low=low,
                    high=1.1 * float(high),
                    expected=0.99,
                )
            )
    return checks


def _finite(one: Delay) -> dict[str, float | None]:
    """Give None for what lies beyond the streams' end: JSON has no infinity."""
    numbers = {"median": one.median, "low": one.low, "high": one.high}
    return {name: value if np.isfinite(value) else None for name, value in numbers.items()}


def summary(anomaly: str, start: int, detector: str, delay: NDArray[np.float64]) -> Delay:
    """Give the median of delays and its interval from order statistics.

    Parameters
    ----------
    anomaly, start, detector:
        What was seen by whom.
    delay:
        Of each stream; infinite without an alarm, 0 or less for one before the start.

    Examples
    --------
    >>> found = summary("peak", 5, "t_score", np.r_[-2.0, np.arange(1, 20), np.inf])
    >>> found.early, found.detected, found.median, found.low, found.high
    (1, 19, 10.5, 6.0, 15.0)
    """
    counted = np.sort(delay[delay > 0])
    n = counted.size
    median = low = high = np.nan
    if n:
        # The number of delays below the true median is binomial with probability 1/2.
        lower, upper = stats.binom.interval(0.95, n, 0.5)
        middle = counted[[(n - 1) // 2, n // 2]]
        median = float(middle.mean())
        low, high = float(counted[max(int(lower) - 1, 0)]), float(counted[min(int(upper), n - 1)])
    return Delay(
        anomaly=anomaly,
        start=start,
        detector=detector,
        streams=delay.size,
        early=delay.size - n,
        detected=int(np.isfinite(counted).sum()),
        median=median,
        low=float(low),
        high=float(high),
    )


class _Stream:
    """One stream and its detectors."""

    def __init__(self, model: KernelModel, plan: DelayPlan, levels: NDArray[np.float64]) -> None:
        self.alarms = np.full(len(DETECTORS), np.inf)
        """The chunk of the first alarm of each detector."""
        self._model, self._plan, self._levels = model, plan, levels
        self._chunks = 0
        self.score = np.zeros(model.basis.size)
        self.process = EProcess(model.basis, model.features[:MEAN_SAMPLE], None, "shape")

    def continued(self) -> _Stream:
        """Give another stream that begins like this one."""
        other = copy.copy(self)
        other.alarms, other.score = self.alarms.copy(), self.score.copy()
        other.process = EProcess.from_bytes(
            self._model.basis, self._model.features[:MEAN_SAMPLE], None, self.process.to_bytes()
        )
        return other

    def follow(self, rng: np.random.Generator, chunks: int, anomaly: str, added: int) -> None:
        """Draw chunks with so many anomalous events and look after each, until all detectors have alarmed."""
        events = self._plan.events
        for first in range(0, chunks, TOGETHER):
            if np.isfinite(self.alarms).all():
                return
            drawn = [
                np.concatenate([expo.sample(rng, events - added), expo.sample_signal(rng, added, anomaly)])
                for _ in range(min(TOGETHER, chunks - first))
            ]
            for chunk, fit in zip(
                drawn, self._model.fit_together(drawn, [float(events)] * len(drawn)), strict=True
            ):
                fresh = expo.sample(rng, POOL_PER_EVENT * events)
                self.process.apply(fit.coefficients, float(events), chunk, fresh, rng)
                self.score += fit.score
                self._look()

    def _look(self) -> None:
        self._chunks += 1
        evidence, limit = self.process.two_sample, np.log(self._plan.run_length)
        level = self._levels[min(self._chunks, self._levels.size) - 1]
        run = RunScore.of_equal_chunks(
            self._model.basis, self.score, size=float(self._plan.events), chunks=self._chunks
        )
        reached = [
            run.t_score(self._model.basis) >= level,
            evidence.log_sr >= limit,
            evidence.log_cusum >= limit,
        ]
        self.alarms[np.array(reached) & np.isinf(self.alarms)] = self._chunks
