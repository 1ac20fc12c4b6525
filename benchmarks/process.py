"""Two processes of one thread, as two trainers on one machine."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from typing import TYPE_CHECKING

from benchmarks import memory
from benchmarks.clock import duration, quotient
from benchmarks.row import Goal, Row

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from benchmarks.problem import Problem

PHASE_CHUNKS = 12  # a phase lasts what this many fits take


def two(problem: Problem, repeats: int, baseline: float) -> list[Row]:
    """Count the chunks that two processes fit at the same time against those that one fits alone.

    The note tells the same per second of processor time: what is left of it is that they share the memory.
    """
    del baseline  # each process tells its own
    workers = [_Worker(problem) for _ in range(2)]
    try:
        peak = max(worker.ready() for worker in workers)
        alone, together, shared = [], [], []
        for _ in range(repeats):
            first = workers[0].rate()
            for worker in workers:
                worker.start()
            rates = [worker.ended() for worker in workers]
            last = workers[1].rate()
            together.append(1 / sum(wall for wall, _ in rates))
            alone.append(2 / (first[0] + last[0]))
            shared.append(2 * sum(busy for _, busy in rates) / (first[1] + last[1]))
    finally:
        for worker in workers:
            worker.stop()
    return [
        Row(
            work=f"two processes of one thread, {problem.name}",
            compared="one process; chunks per second",
            unit="x the rate",
            ratio=quotient(alone, together),
            goal=Goal(low=1.8),
            milliseconds=duration(together),
            compared_milliseconds=duration(alone),
            peak_megabytes=peak,
            threads=1,
            note=f"by processor time {statistics.median(shared):.2f}; peak of one process"
            + (f"; {problem.note}" if problem.note else ""),
        )
    ]


class _Worker:
    """A process with its own model that fits chunks for a while when told."""

    def __init__(self, problem: Problem) -> None:
        context = multiprocessing.get_context("spawn")
        self._link, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, problem), daemon=True)
        self._process.start()
        theirs.close()

    def ready(self) -> float:
        """Wait until the model is prepared; give the peak memory of a fit."""
        return float(self._link.recv())

    def start(self) -> None:
        self._link.send("fit")

    def ended(self) -> tuple[float, float]:
        """Give chunks per second that passed, and per second of processor time."""
        wall, busy = self._link.recv()
        return wall, busy

    def rate(self) -> tuple[float, float]:
        self.start()
        return self.ended()

    def stop(self) -> None:
        self._link.close()
        self._process.join()


def _work(link: Connection, problem: Problem) -> None:
    import torch  # noqa: PLC0415  # the process that starts the workers does without

    torch.set_num_threads(1)
    baseline = memory.resident()
    model = problem.prepare()
    memory.reset_peak()
    start = time.perf_counter()
    for place in range(PHASE_CHUNKS):
        model.fit(problem.chunks[place % len(problem.chunks)], problem.expected)
    phase = time.perf_counter() - start
    link.send(memory.peak() - baseline)
    while True:
        try:
            link.recv()
        except EOFError:
            return
        start, busy, fitted = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - start < phase:
            model.fit(problem.chunks[fitted % len(problem.chunks)], problem.expected)
            fitted += 1
        link.send((fitted / (time.perf_counter() - start), fitted / (time.process_time() - busy)))
