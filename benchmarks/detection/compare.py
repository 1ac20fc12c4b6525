"""One problem: all detectors set to the same measured run length, then held against each scenario."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from benchmarks.detection.judged import Judged
from benchmarks.detection.lineup import LineUp
from benchmarks.detection.rivers import Kswin
from benchmarks.detection.run_length import delay, first_alarm, run_length

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.detection.problem import Problem, Streams

CURVE: Final = (10.0, 20.0, 50.0, 100.0)
"""Run lengths of the plot."""


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


def compared(
    problem: Problem,
    null: tuple[Streams, Streams | None],
    scenarios: Iterable[tuple[str, str, Callable[[int], Streams]]],
    sizes: Sizes,
    notes: Callable[[str], None],
    keep: Callable[[dict[str, Any]], None],
    *,
    offline: bool,
    skip: Sequence[str] = (),
    curves: tuple[tuple[str, str], ...] = (),
) -> dict[str, Any]:
    """Measure all detectors on one problem.

    Parameters
    ----------
    problem:
        What it is about.
    null:
        Streams under H0 to set the thresholds, and others to measure the run length; None measures that of the former.
    scenarios:
        Name, strength, and what gives the streams for a number of quiet chunks.
    sizes:
        How much.
    notes:
        Takes a line on what happens.
    keep:
        Takes the result after each scenario.
    offline:
        Install nothing.
    skip:
        See `LineUp.of`.
    curves:
        Scenarios whose delays are measured at several run lengths.
    """
    calibration, verification = null
    sizes_shown = asdict(sizes) | {"N_R": len(problem.reference), "N": problem.events}
    result: dict[str, Any] = {
        "name": problem.name,
        "sizes": sizes_shown,
        "detectors": [],
        "scenarios": [],
        "curves": [],
    }

    @cache
    def of(streams: Streams, *, few: bool) -> Streams:
        # The same object each time: what was computed for one detector serves the next.
        return streams.part(sizes.slow) if few else streams

    with ExitStack() as stack:
        # In streams that are no draws of H0 a threshold may be any.
        enough = float(np.log(sizes.run_length)) if verification else np.inf
        line_up = LineUp.of(problem, calibration, enough, stack, offline=offline, skip=skip)
        result |= {"left out": line_up.left_out, "differences": line_up.differences}
        judged: list[Judged] = []
        for detector in line_up.detectors:
            start = time.process_time()
            few = detector.slow and verification is not None
            judged.append(Judged(detector, sizes.run_length, of(calibration, few=few)))
            threshold = judged[-1].threshold
            if isinstance(detector, Kswin):
                detector.enough = threshold
            notes(f"{problem.name}: {detector.name} at {threshold:.4g}, {time.process_time() - start:.0f} s")
        for one in judged:
            few = one.detector.slow and verification is not None
            checked = of(verification or calibration, few=few)
            found = {"name": one.name, "setting": one.detector.setting, "ours": one.detector.ours}
            found |= {"run length": run_length(one.first(checked), checked.length).to_json()}
            seconds = line_up.seconds.get(one.name, getattr(one.detector, "seconds", 0.0))
            result["detectors"].append(found | {"threshold": one.threshold, "seconds per chunk": seconds})
        for name, strength, made in scenarios:
            start = time.process_time()
            for quiet in sizes.quiet:
                streams = made(quiet)
                found = {"name": name, "strength": strength, "quiet": quiet}
                before = streams.length - sizes.horizon
                delays = {
                    one.name: asdict(delay(one.first(streams), before, streams.length)) for one in judged
                }
                result["scenarios"].append(found | {"delays": delays})
                if (name, strength) in curves:
                    result["curves"].append(found | {"delays": _curves(judged, streams, before)})
            keep(result)
            notes(f"{problem.name}: {name} {strength}, {time.process_time() - start:.0f} s")
    return result


def _curves(judged: list[Judged], streams: Streams, quiet: int) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for one in judged:
        if one.by_value and not one.detector.slow:
            values = one.detector.values(streams)
            found[one.name] = [
                {"run length": wanted}
                | asdict(delay(first_alarm(values, one.set_to(wanted)), quiet, streams.length))
                for wanted in CURVE
            ]
    return found
