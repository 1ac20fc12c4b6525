"""One problem: all detectors set to the same measured run length, then held against each scenario."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from benchmarks import environment
from benchmarks.detection.alibi import Alibi
from benchmarks.detection.evidence import EDetector, Evidences
from benchmarks.detection.other import OtherProcess
from benchmarks.detection.ours import Score, Toys
from benchmarks.detection.plain import ChunkKS, Dummy
from benchmarks.detection.problem import Streams
from benchmarks.detection.rivers import DELTAS, Adwin, Kswin, PageHinkley, River
from benchmarks.detection.run_length import calibrated, delay, first_alarm, run_length

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.detection.problem import Problem
    from numpy.typing import NDArray

TIMED: Final = 20
STEPS: Final = 40
CURVE: Final = (10.0, 20.0, 50.0, 100.0)
"""Run lengths of the plot."""


class Detector(Protocol):
    """What is compared.

    Attributes
    ----------
    ours:
        Whether it is one of this project.
    name, setting:
        As they stand in the table.
    """

    ours: bool

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def setting(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured.

    Attributes
    ----------
    run_length:
        Mean run length that all are set to, in chunks.
    length:
        Chunks of a stream under H0.
    streams:
        Of them, to set the thresholds, and as many to measure the run length.
    slow:
        The same for ADWIN and KSWIN and for the e-detectors, which cost more.
    scenario_streams, horizon:
        Streams of a scenario, and its disturbed chunks.
    quiet:
        Chunks before the change.
    """

    run_length: float = 50.0
    length: int = 120
    streams: int = 150
    slow: int = 40
    scenario_streams: int = 30
    horizon: int = 20
    quiet: tuple[int, ...] = (0, 20)


QUICK: Final = Sizes(run_length=8, length=16, streams=20, slow=6, scenario_streams=6, horizon=6, quiet=(0, 4))


class Judged:
    """A detector with its threshold."""

    def __init__(self, detector: Any, sizes: Sizes, calibration: Streams, *, adaptive: bool = True) -> None:  # noqa: ANN401
        self.detector, self.sizes = detector, sizes
        self.ours: bool = detector.ours
        self.name: str = detector.name
        self.by_value = hasattr(detector, "values")
        self._values = detector.values(calibration) if self.by_value else None
        self._streams, self._adaptive = calibration, adaptive
        self.threshold = self.set_to(sizes.run_length)

    def set_to(self, run_length: float) -> float:
        """Give the threshold of a mean run length."""
        if isinstance(self.detector, Dummy):
            return self.detector.threshold(run_length)
        if self._values is None:
            low, high = self.detector.lowest, self.detector.highest
            return calibrated(
                lambda threshold: self.detector.first(self._streams, threshold),
                self._streams.length,
                run_length,
                low,
                high,
                7,
            )
        values = self._values[np.isfinite(self._values)]
        low, high = float(values.min()), float(values.max())
        return calibrated(
            lambda threshold: first_alarm(self._values, threshold),
            self._streams.length,
            run_length,
            low,
            high + 1e-9 * abs(high),
            STEPS,
        )

    def first(self, streams: Streams) -> NDArray[np.int64]:
        """Give the chunks of first alarms."""
        if self.by_value:
            return first_alarm(self.detector.values(streams), self.threshold)
        return np.asarray(self.detector.first(streams, self.threshold))


def compared(
    problem: Problem,
    calibration: Streams,
    verification: Streams | None,
    scenarios: Iterable[tuple[str, str, Callable[[int], Streams]]],
    sizes: Sizes,
    notes: Callable[[str], None],
    *,
    offline: bool,
    curves: tuple[tuple[str, str], ...] = (),
) -> dict[str, Any]:
    """Measure all detectors on one problem.

    Parameters
    ----------
    problem:
        What it is about.
    calibration, verification:
        Streams under H0 to set the thresholds and to measure the run length; without the latter it is that of the
        former.
    scenarios:
        Name, strength, and what gives the streams for a number of quiet chunks.
    sizes:
        How much.
    notes:
        Takes a line on what happens.
    offline:
        Install nothing.
    curves:
        Scenarios whose delays are measured at several run lengths.
    """
    result: dict[str, Any] = {
        "name": problem.name,
        "left out": [],
        "detectors": [],
        "scenarios": [],
        "curves": [],
    }
    result["sizes"] = asdict(sizes) | {"N_R": len(problem.reference), "N": problem.events}
    with ExitStack() as stack:
        detectors, seconds = _detectors(
            problem, sizes, calibration, stack, result, offline=offline, exact=verification is not None
        )
        judged = []
        slow = {}
        for detector in detectors:
            start = time.process_time()
            few = _is_slow(detector)
            streams = calibration.part(sizes.slow) if few and verification else calibration
            # The same object each time: what was computed for one detector serves the next.
            streams = slow.setdefault(("calibration", few), streams)
            one = Judged(detector, sizes, streams)
            if isinstance(detector, Kswin):
                detector.enough = one.threshold
            judged.append(one)
            seconds.setdefault(one.name, getattr(detector, "seconds", 0.0))
            notes(f"{problem.name}: {one.name} at {one.threshold:.4g}, {time.process_time() - start:.0f} s")
        for one in judged:
            few = _is_slow(one.detector)
            checked = verification or calibration
            checked = slow.setdefault(
                ("verification", few), checked.part(sizes.slow) if few and verification else checked
            )
            found = run_length(one.first(checked), checked.length)
            result["detectors"].append(
                {
                    "name": one.name,
                    "setting": one.detector.setting,
                    "ours": one.ours,
                    "run length": asdict(found),
                }
                | {"threshold": one.threshold, "seconds per chunk": seconds[one.name]}
            )
        for name, strength, made in scenarios:
            start = time.process_time()
            for quiet in sizes.quiet:
                streams = made(quiet)
                delays = {
                    one.name: asdict(
                        delay(one.first(streams), streams.length - sizes.horizon, streams.length)
                    )
                    for one in judged
                }
                result["scenarios"].append(
                    {"name": name, "strength": strength, "quiet": quiet, "delays": delays}
                )
                if (name, strength) in curves:
                    result["curves"].append(
                        {"name": name, "strength": strength, "quiet": quiet}
                        | {"delays": _curves(judged, streams, streams.length - sizes.horizon)}
                    )
            notes(f"{problem.name}: {name} {strength}, {time.process_time() - start:.0f} s")
    return result


def _curves(judged: list[Judged], streams: Streams, quiet: int) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for one in judged:
        if one.by_value and not _is_slow(one.detector):
            values = one.detector.values(streams)
            found[one.name] = [
                {"run length": wanted}
                | asdict(delay(first_alarm(values, one.set_to(wanted)), quiet, streams.length))
                for wanted in CURVE
            ]
    return found


def _is_slow(detector: object) -> bool:
    return isinstance(detector, EDetector | Kswin | Adwin | PageHinkley)


def _detectors(
    problem: Problem,
    sizes: Sizes,
    calibration: Streams,
    stack: ExitStack,
    result: dict[str, Any],
    *,
    offline: bool,
    exact: bool,
) -> tuple[list[Any], dict[str, float]]:
    toys = Toys(problem, calibration.length)
    widths = problem.widths
    ours = [
        Score(toys, widths, windows=False),
        Score(toys, widths[-1:], windows=False),
        Score(toys, widths, windows=True),
    ]
    evidences = Evidences(problem, widths[-1], enough=float(np.log(sizes.run_length)) if exact else np.inf)
    ks = ChunkKS(problem)
    detectors: list[Any] = [*ours, EDetector(evidences, "sr"), EDetector(evidences, "cusum")]
    seconds = {one.name: _seconds(one, toys, calibration) for one in ours}
    seconds["dummy"] = 0.0
    chunks = calibration.events(0)[:TIMED]
    start = time.process_time()
    for chunk in chunks:
        ks.distance(chunk)
    seconds[ks.name] = (time.process_time() - start) / len(chunks)
    try:
        process = stack.enter_context(
            OtherProcess(environment.python(offline=offline), "benchmarks.detection.alibi_server")
        )
        alibi = Alibi.made(problem, process)
        detectors += alibi.detectors
        seconds |= alibi.seconds
        result["differences"] = alibi.differences
    except environment.UnavailableError as error:
        result["left out"].append(f"alibi-detect: {error}")
    try:
        river = River(
            stack.enter_context(
                OtherProcess(environment.river(offline=offline), "benchmarks.detection.river_server")
            )
        )
        detectors += [
            Adwin(river, problem.events),
            Kswin(river, len(problem.reference)),
            *(PageHinkley(river, problem.events, delta) for delta in DELTAS),
        ]
    except environment.UnavailableError as error:
        result["left out"].append(f"river: {error}")
    return [*detectors, ks, Dummy()], seconds


def _seconds(score: Score, toys: Toys, streams: Streams) -> float:
    """Time what a monitor does for a chunk: features summed, scores, p-values of all sums."""
    chunks = streams.events(0)[:TIMED]
    score.values(streams.part(1) if streams.disturbed is None else streams)  # prepares
    before = (
        {width: streams.part(1).sums(width) for width in score.widths} if streams.disturbed is None else {}
    )
    start = time.process_time()
    for chunk in chunks:
        for width in score.widths:
            toys.problem.sums(width, [chunk])
    seconds = (time.process_time() - start) / len(chunks)
    if before:
        counts = streams.part(1).counts
        scores = {width: toys.scored[width].scores(before[width], counts) for width in score.widths}
        start = time.process_time()
        score.seen(scores, counts)
        seconds += (time.process_time() - start) / counts.size
    return seconds
