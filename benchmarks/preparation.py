"""The preparation of a reference: paid once, and so counted apart from the fits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks import memory
from benchmarks.clock import Subject, duration, interleaved, quotient
from benchmarks.row import Goal, Row

if TYPE_CHECKING:
    from benchmarks.problem import Problem

FITS = 8


def preparation(problem: Problem, repeats: int, baseline: float) -> list[Row]:
    """Time the eigenbasis and the features against single fits."""
    memory.reset_peak()
    model = problem.prepare()
    peak = memory.peak() - baseline
    chunks = problem.chunks[:FITS]
    times = interleaved(
        {
            "prepare": Subject(run=problem.prepare),
            "fit": Subject(run=lambda: [model.fit(c, problem.expected) for c in chunks], units=len(chunks)),
        },
        repeats,
    )
    size, dimensions = problem.reference.shape
    return [
        Row(
            work=f"preparation of {size:,} x {dimensions}, M = {problem.centres}, {problem.name}",
            compared="single fits that cost as much",
            unit="fits",
            ratio=quotient(times["prepare"], times["fit"]),
            goal=Goal(high=5_000, of="milliseconds") if problem.name == "EXPO-1D" else None,
            milliseconds=duration(times["prepare"]),
            compared_milliseconds=duration(times["fit"]),
            peak_megabytes=peak,
            note=f"r = {model.basis.size}, sigma = {model.basis.sigma:.3g}"
            + (f"; {problem.note}" if problem.note else ""),
        )
    ]


def large(problem: Problem, repeats: int, baseline: float) -> list[Row]:
    """Prepare a large reference once: peak memory against what is kept, most of it the features."""
    del repeats  # one takes minutes
    memory.reset_peak()
    begin = time.process_time()
    model = problem.prepare()
    prepared = time.process_time() - begin
    peak, kept = memory.peak() - baseline, memory.resident() - baseline
    begin = time.process_time()
    fitted = model.fit(problem.chunks[0], problem.expected)
    fit = time.process_time() - begin
    size, dimensions = problem.reference.shape
    return [
        Row(
            work=f"memory of a preparation of {size:,} x {dimensions}, M = {problem.centres}, {problem.name}",
            compared="memory held afterwards",
            unit="x the memory",
            ratio=quotient([peak], [kept]),
            milliseconds=duration([prepared]),
            compared_milliseconds=duration([fit]),
            peak_megabytes=peak,
            note=f"r = {model.basis.size}; its time: one fit, {fitted.iterations} steps",
        )
    ]
