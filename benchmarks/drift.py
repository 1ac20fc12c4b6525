"""alibi-detect's MMDDrift and LSDDDrift on the same chunk, in their own environment."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from benchmarks import environment
from benchmarks.clock import Subject, duration, interleaved, quotient
from benchmarks.row import Row

from nplmon.nplm.null import Nulls

if TYPE_CHECKING:
    from types import TracebackType

    from benchmarks.problem import Problem
    from numpy.typing import NDArray

    from nplmon.nplm import KernelModel

REFERENCE = 5_000  # MMDDrift holds the kernel of all pairs, so it cannot take ours
PERMUTATIONS = 100
OUR_FITS = 8
MEMORY_MEGABYTES = 8_000
LARGEST_TRIED = 80_000


class Detector:
    """A process of the other environment with one detector; its memory may be limited."""

    def __init__(self, interpreter: Path, kind: str, *, limit: float | None = None) -> None:
        self.kind, self.limit = kind, limit
        self._folder = tempfile.TemporaryDirectory(prefix="drift-")
        self._process = subprocess.Popen(
            [str(interpreter), "-W", "ignore", "-m", "benchmarks.drift_server"],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.peak_megabytes = 0.0
        self.clock = 0.0
        """Its processor time when it answered last, in s."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Its input ends, and so does it.
        with self._folder, self._process:
            pass

    def prepare(self, reference: NDArray[np.float32], permutations: int) -> None:
        """Make the detector.

        Raises
        ------
        MemoryError
            If its memory does not suffice.
        """
        self._ask(
            do="prepare",
            kind=self.kind,
            limit=self.limit,
            events=self._file("reference", reference),
            permutations=permutations,
        )

    def p_value(self, chunk: NDArray[np.float32]) -> float:
        """Test a chunk; raises as `prepare` does."""
        return float(self._ask(do="predict", events=self._file("chunk", chunk))["p"])

    def _file(self, name: str, events: NDArray[np.float32]) -> str:
        path = Path(self._folder.name) / f"{name}.npy"
        np.save(path, events)
        return str(path)

    def _ask(self, **question: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise MemoryError(f"the process of {self.kind} ended with code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        self.clock = answer["clock"]
        if "error" in answer:
            raise MemoryError(answer["error"])
        self.peak_megabytes = max(self.peak_megabytes, answer["peak"])
        return answer


def mmd(problem: Problem, repeats: int, baseline: float) -> list[Row]:
    """Time MMDDrift's permutation test of one chunk against our fit and p-value."""
    del baseline
    return _compared(problem, repeats, "MMDDrift")


def lsdd(problem: Problem, repeats: int, baseline: float) -> list[Row]:
    """Time LSDDDrift's permutation test of one chunk against our fit and p-value."""
    del baseline
    return _compared(problem, repeats, "LSDDDrift")


def _compared(problem: Problem, repeats: int, kind: str) -> list[Row]:
    work, compared = f"{kind}, {problem.name}", "our fit; both with the p-value"
    try:
        interpreter = environment.python(offline=True)
    except environment.UnavailableError as error:
        return [Row(work=work, compared=compared, skipped=str(error))]
    model, chunk = problem.prepare(), problem.chunks[0]
    reference = problem.reference[:REFERENCE]
    with Detector(interpreter, kind) as detector:
        detector.prepare(reference, PERMUTATIONS)
        times = interleaved(
            {
                "theirs": Subject(run=lambda: detector.p_value(chunk), clock=lambda: detector.clock),
                "ours": Subject(run=lambda: _ours(model, problem), units=OUR_FITS),
            },
            repeats,
        )
    return [
        Row(
            work=work,
            compared=compared,
            unit="x our time",
            ratio=quotient(times["theirs"], times["ours"]),
            milliseconds=duration(times["theirs"]),
            compared_milliseconds=duration(times["ours"]),
            peak_megabytes=detector.peak_megabytes,
            note=f"{len(reference):,} reference events, ours {len(problem.reference):,}; {PERMUTATIONS} permutations",
        )
    ]


def _ours(model: KernelModel, problem: Problem) -> None:
    nulls = Nulls(basis=model.basis, mode="rate")
    for place in range(OUR_FITS):
        fitted = model.fit(problem.chunks[place % len(problem.chunks)], problem.expected)
        nulls.chunk(fitted.expected).log_tail(fitted.statistic)


def largest(problem: Problem, repeats: int, baseline: float) -> list[Row]:
    """Find the largest reference that MMDDrift bears in a given memory, by doubling; one permutation."""
    del repeats, baseline
    work = f"largest reference, {problem.name}"
    compared = f"MMDDrift's in {MEMORY_MEGABYTES / 1000:g} GB"
    try:
        interpreter = environment.python(offline=True)
    except environment.UnavailableError as error:
        return [Row(work=work, compared=compared, skipped=str(error))]
    most, peak, refused = 0, 0.0, "no larger one was tried"
    size = min(REFERENCE, len(problem.reference))
    while size <= min(LARGEST_TRIED, len(problem.reference)):
        with Detector(interpreter, "MMDDrift", limit=MEMORY_MEGABYTES) as detector:
            try:
                detector.prepare(problem.reference[:size], permutations=1)
                detector.p_value(problem.chunks[0])
            except MemoryError:
                refused = f"{size:,} do not fit"
                break
        most, peak = size, detector.peak_megabytes
        size *= 2
    if not most:
        return [Row(work=work, compared=compared, failed=refused)]
    times = {"ours": [float(len(problem.reference))], "theirs": [float(most)]}
    return [
        Row(
            work=work,
            compared=compared,
            unit="x as large",
            ratio=quotient(times["ours"], times["theirs"]),
            peak_megabytes=peak,
            note=f"MMDDrift took {most:,} events, {refused}; ours {len(problem.reference):,}",
        )
    ]
