"""All detectors of a problem, with what a chunk costs each."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks import environment
from benchmarks.detection.alibi import Alibi
from benchmarks.detection.evidence import EDetector, Evidences
from benchmarks.detection.other import OtherProcess
from benchmarks.detection.ours import Score, Toys
from benchmarks.detection.plain import ChunkKS, Dummy
from benchmarks.detection.rivers import DELTAS, Adwin, Kswin, PageHinkley, River

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from benchmarks.detection.problem import Problem, Streams

SKIPPABLE: Final = ("e-detectors", "alibi-detect", "river")
TIMED: Final = 20
"""Chunks."""


@dataclass(frozen=True, kw_only=True)
class LineUp:
    """What is compared.

    Attributes
    ----------
    detectors:
        Each has `name`, `setting`, `ours`, `slow`, and gives a value after each chunk (`values`) or, for a threshold,
        the chunks of first alarms (`first`).
    seconds:
        Processor time of a chunk, by name; the others tell theirs after a run, as `seconds`.
    left_out:
        A line for each package that is not there.
    differences:
        See `Alibi.differences`.
    """

    detectors: list[Any]
    seconds: dict[str, float]
    left_out: list[str]
    differences: dict[str, float]

    @classmethod
    def of(
        cls,
        problem: Problem,
        calibration: Streams,
        enough: float,
        stack: ExitStack,
        *,
        offline: bool,
        skip: Sequence[str] = (),
    ) -> LineUp:
        """Make all that can be made; their processes end with the stack.

        Parameters
        ----------
        problem:
            Gives the reference.
        calibration:
            Streams under H0.
        enough:
            See `Evidences`.
        stack:
            Holds the processes.
        offline:
            Install nothing.
        skip:
            Of `SKIPPABLE`, what to leave out.
        """
        toys, widths = Toys(problem, calibration.length), problem.widths
        ours = [
            Score(toys, widths, windows=False),
            Score(toys, widths[-1:], windows=False),
            Score(toys, widths, windows=True),
        ]
        detectors: list[Any] = list(ours)
        left_out = [f"{name} (--skip)" for name in skip]
        if "e-detectors" not in skip:
            evidences = Evidences(problem, widths[-1], enough)
            detectors += [EDetector(evidences, "sr"), EDetector(evidences, "cusum")]
        seconds = {one.name: _of_score(one, toys, calibration) for one in ours}
        differences: dict[str, float] = {}

        def process(name: str, python: Callable[..., Path]) -> OtherProcess | None:
            if name in skip:
                return None
            module = f"benchmarks.detection.{name.partition('-')[0]}_server"
            try:
                return stack.enter_context(OtherProcess(python(offline=offline), module))
            except environment.UnavailableError as error:
                left_out.append(f"{name}: {error}")
                return None

        if (found := process("alibi-detect", environment.python)) is not None:
            alibi = Alibi.made(problem, found)
            detectors += alibi.detectors
            seconds |= alibi.seconds
            differences = alibi.differences
        if (found := process("river", environment.river)) is not None:
            river = River(found)
            detectors += [
                Adwin(river, problem.events),
                Kswin(river, len(problem.reference)),
                *(PageHinkley(river, problem.events, delta) for delta in DELTAS),
            ]
        ks, dummy = ChunkKS(problem), Dummy()
        seconds |= {ks.name: _of_distance(ks, calibration), dummy.name: 0.0}
        return cls(
            detectors=[*detectors, ks, dummy], seconds=seconds, left_out=left_out, differences=differences
        )


def _of_score(score: Score, toys: Toys, streams: Streams) -> float:
    """Time what a monitor does for a chunk: features summed, scores, p-values of all sums."""
    score.values(streams)  # prepares
    chunks = streams.events(0)[:TIMED]
    start = time.process_time()
    for chunk in chunks:
        for width in score.widths:
            toys.problem.sums(width, [chunk])
    summed = time.process_time()
    sums = {width: streams.sums(width) for width in score.widths}
    begun = time.process_time()
    score.seen(
        {width: toys.scored[width].scores(sums[width], streams.counts) for width in score.widths},
        streams.counts,
    )
    return (summed - start) / len(chunks) + (time.process_time() - begun) / streams.counts.size


def _of_distance(ks: ChunkKS, streams: Streams) -> float:
    chunks = streams.events(0)[:TIMED]
    start = time.process_time()
    for chunk in chunks:
        ks.distance(chunk)
    return (time.process_time() - start) / len(chunks)
