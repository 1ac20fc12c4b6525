"""Fits: one, many together, with half the reference."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from benchmarks import memory
from benchmarks.clock import Subject, duration, interleaved, quotient
from benchmarks.row import Goal, Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.problem import Problem

    from nplmon.nplm import KernelModel

PASS_MILLISECONDS = (
    2.5  # what one pass over EXPO-1D's features takes on the machine that the goal in ms is set for
)
SAMPLE_CHUNKS = 8  # the number of steps differs between chunks; a sample is these, always the same
SAMPLE_ELEMENTS = 200_000_000  # of the features: passes in one sample, about 0.1 s


def devices() -> list[str]:
    """Give the devices that this machine has."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def one(problem: Problem, repeats: int, baseline: float) -> list[Row]:
    """Time one fit against passes over the cached features, on each device."""
    return [
        row
        for device in devices()
        for row in _one_on(problem, repeats, baseline, problem.prepare(device=device))
    ]


def _one_on(problem: Problem, repeats: int, baseline: float, model: KernelModel) -> list[Row]:
    chunks = problem.chunks[:SAMPLE_CHUNKS]
    memory.reset_peak()
    steps = [model.fit(chunk, problem.expected).iterations for chunk in chunks]
    peak = memory.peak() - baseline
    times = interleaved(
        {
            "fit": Subject(run=_each(model, problem, len(chunks)), units=len(chunks), clock=_clock(model)),
            "pass": passes(model),
        },
        repeats,
    )
    size = f"r = {model.basis.size}, {min(steps)} to {max(steps)} steps"
    device = str(model.device)
    row = Row(
        work=f"one fit, {problem.name}",
        compared="one float32 pass over the cached features",
        unit="passes",
        ratio=quotient(times["fit"], times["pass"]),
        goal=Goal(high=20) if device == "cpu" else None,
        milliseconds=duration(times["fit"]),
        compared_milliseconds=duration(times["pass"]),
        peak_megabytes=peak,
        device=device,
        note=f"{size}; {problem.note}" if problem.note else size,
    )
    if device != "cpu" or problem.name != "EXPO-1D" or row.ratio is None:
        return [row]
    scaled = Row(
        work=row.work,
        compared="the same, in ms where a pass takes 2.5 ms",
        unit="ms",
        ratio=row.ratio.scaled(PASS_MILLISECONDS),
        goal=Goal(high=30),
        milliseconds=row.milliseconds,
        compared_milliseconds=row.compared_milliseconds,
        peak_megabytes=peak,
    )
    return [row, scaled]


def passes(model: KernelModel) -> Subject:
    """Matrix-vector products with the features as they would be cached in float32."""
    psi = torch.from_numpy(model.features).to(device=model.device, dtype=torch.float32)
    vector = torch.ones(psi.shape[1], device=psi.device)
    units = max(1, SAMPLE_ELEMENTS // psi.numel())

    def run() -> None:
        for _ in range(units):
            torch.mv(psi, vector)
        if psi.is_cuda:
            torch.cuda.synchronize()

    return Subject(run=run, units=units, clock=_clock(model))


def _clock(model: KernelModel) -> Callable[[], float]:
    """Give the time that passes on another device, which this process waits for; else that of the processor."""
    return time.process_time if model.device.type == "cpu" else time.perf_counter


def toys(problem: Problem, repeats: int, baseline: float) -> list[Row]:
    """Time toys fitted together against the same ones fitted singly."""
    return [_toys_on(problem, repeats, baseline, device) for device in devices()]


def _toys_on(problem: Problem, repeats: int, baseline: float, device: str) -> Row:
    model = problem.prepare(device=device)
    count = len(problem.chunks)
    expected = [problem.expected] * count
    memory.reset_peak()
    model.fit_together(problem.chunks, expected)
    peak = memory.peak() - baseline
    times = interleaved(
        {
            "together": Subject(
                run=lambda: model.fit_together(problem.chunks, expected), units=count, clock=_clock(model)
            ),
            "single": Subject(run=_each(model, problem), units=count, clock=_clock(model)),
        },
        repeats,
    )
    return Row(
        work=f"{count} toys together, {problem.name}",
        compared=f"{count} single fits; time per toy",
        unit="x faster",
        ratio=quotient(times["single"], times["together"]),
        goal=Goal(low=3) if device == "cpu" else None,
        milliseconds=duration(times["together"]),
        compared_milliseconds=duration(times["single"]),
        peak_megabytes=peak,
        device=device,
        note=problem.note,
    )


def _each(model: KernelModel, problem: Problem, count: int | None = None) -> Callable[[], object]:
    return lambda: [model.fit(chunk, problem.expected) for chunk in problem.chunks[:count]]


def half(problem: Problem, repeats: int, baseline: float) -> list[Row]:
    """Time a fit with half the reference against one with all of it."""
    smaller = problem.prepare(share=0.5)
    memory.reset_peak()
    smaller.fit(problem.chunks[0], problem.expected)
    peak = memory.peak() - baseline
    full = problem.prepare()
    count = min(SAMPLE_CHUNKS, len(problem.chunks))
    times = interleaved(
        {
            "half": Subject(run=_each(smaller, problem, count), units=count),
            "full": Subject(run=_each(full, problem, count), units=count),
        },
        repeats,
    )
    return [
        Row(
            work=f"fit with half the reference, {problem.name}",
            compared="the full reference",
            unit="x the time",
            ratio=quotient(times["half"], times["full"]),
            goal=Goal(low=0.45, high=0.6),
            milliseconds=duration(times["half"]),
            compared_milliseconds=duration(times["full"]),
            peak_megabytes=peak,
            note=f"r = {smaller.basis.size} and {full.basis.size}"
            + ("; " + problem.note if problem.note else ""),
        )
    ]
