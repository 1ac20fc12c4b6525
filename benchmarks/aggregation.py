"""The aggregation of one more chunk, early and late in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import memory
from benchmarks.clock import Subject, duration, interleaved, quotient
from benchmarks.row import Goal, Row

from nplmon.nplm.aggregation import Aggregation

if TYPE_CHECKING:
    from benchmarks.problem import Problem

    from nplmon.nplm import KernelFit, KernelModel

EARLY, LATE = 10, 1000
MODELS = 8


def aggregation(problem: Problem, repeats: int, baseline: float) -> list[Row]:
    """Time chunk 1000 against chunk 10: its application, all statistics that need no events, and their p-values."""
    model = problem.prepare()
    fits = [model.fit(chunk, problem.expected) for chunk in problem.chunks[:MODELS]]
    run = _Run(problem, model, fits)
    states = {}
    for chunk in range(1, LATE):
        run.apply()
        if chunk in {EARLY - 1, LATE - 1}:
            states[chunk + 1] = run.aggregation.to_bytes()
    memory.reset_peak()
    run.measured()
    peak = memory.peak() - baseline
    times = interleaved(
        {
            "early": Subject(before=lambda: run.restore(states[EARLY]), run=run.measured),
            "late": Subject(before=lambda: run.restore(states[LATE]), run=run.measured),
        },
        repeats,
    )
    return [
        Row(
            work=f"aggregation of chunk {LATE}, {problem.name}",
            compared=f"of chunk {EARLY}",
            unit="x the time",
            ratio=quotient(times["late"], times["early"]),
            goal=Goal(high=1.2),
            milliseconds=duration(times["late"]),
            compared_milliseconds=duration(times["early"]),
            peak_megabytes=peak,
            note="t_score, t_ref, t_sum, t_chunk with p-values; t_agg frozen"
            + (f"; {problem.note}" if problem.note else ""),
        )
    ]


class _Run:
    """A run that keeps no events: only the statistics of O(1) memory go on."""

    def __init__(self, problem: Problem, model: KernelModel, fits: list[KernelFit]) -> None:
        self.problem, self.model, self.fits = problem, model, fits
        self.aggregation = self._fresh()

    def _fresh(self) -> Aggregation:
        return Aggregation(self.model.basis, self.model.features, None, "shape", event_cap=0)

    def restore(self, state: bytes) -> None:
        self.aggregation = self._fresh()
        self.aggregation.restore(state, [])

    def apply(self) -> None:
        place = self.aggregation.chunks % len(self.fits)
        fitted, chunk = self.fits[place], self.problem.chunks[place]
        self.aggregation.apply(
            fitted.coefficients, fitted.score, fitted.statistic, self.problem.expected, chunk
        )

    def measured(self) -> None:
        self.apply()
        for statistic in self.aggregation.statistics().values():
            statistic.log_p  # noqa: B018  # the p-value is part of what a chunk costs
