"""The e-detectors of the core on streams: e-SR and e-CUSUM of the form that takes the reference for H0 itself."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from nplmon.nplm import KernelModel, Reference
from nplmon.nplm.eprocess import EProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.detection.problem import Problem, Streams
    from numpy.typing import NDArray

MODELS: Final = 16
"""Kept of the past."""
TOGETHER: Final = 6
"""Chunks fitted side by side before it is known whether all are needed."""


class Evidences:
    """Both e-detectors of streams in one pass, with one kernel width.

    Parameters
    ----------
    problem:
        The reference.
    width:
        Of `Problem.widths`.
    enough:
        Where both logarithms have reached it a stream ends: no threshold is higher, because an alarm at A has a mean
        run length of at least A.
    """

    def __init__(self, problem: Problem, width: str, enough: float) -> None:
        self.width, self.enough = width, enough
        self._model = KernelModel(Reference(problem.reference), problem.basis(width))
        self._begun: dict[bytes, tuple[bytes, NDArray[np.float64]]] = {}
        self._last: tuple[Streams, dict[str, NDArray[np.float64]]] | None = None
        self.seconds = 0.0

    def values(self, streams: Streams) -> dict[str, NDArray[np.float64]]:
        """Give log S and log M, the largest so far, (streams, chunks) each."""
        if self._last is None or self._last[0] is not streams:
            self._last = streams, self._run(streams)
        return self._last[1]

    def _run(self, streams: Streams) -> dict[str, NDArray[np.float64]]:
        values = np.full((streams.count, streams.length, 2), -math.inf)
        start, seen = time.process_time(), 0
        for stream in range(streams.count):
            chunks = streams.events(stream)
            process, row = self._after(streams, stream, chunks)
            best = row[-1] if len(row) else np.full(2, -math.inf)
            values[stream, : len(row)] = row
            for number in range(len(row), streams.length, TOGETHER):
                if best.min() >= self.enough:
                    values[stream, number:] = best
                    break
                some = chunks[number : number + TOGETHER]
                for place, found in enumerate(self._applied(process, some), number):
                    best = np.maximum(best, found)
                    values[stream, place] = best
                seen += len(some)
        self.seconds = (time.process_time() - start) / max(seen, 1)
        return {"sr": values[..., 0], "cusum": values[..., 1]}

    def _after(
        self, streams: Streams, stream: int, chunks: Sequence[NDArray[np.float32]]
    ) -> tuple[EProcess, NDArray[np.float64]]:
        """Give the state after the quiet chunks, which many scenarios have in common, and the values until then."""
        features = self._model.features
        quiet = streams.quiet if streams.disturbed else 0
        if not quiet:
            process = EProcess(self._model.basis, features, None, "shape", model_cap=MODELS)
            return process, np.empty((0, 2))
        key = streams.blocks[stream].tobytes()
        if key not in self._begun:
            process = EProcess(self._model.basis, features, None, "shape", model_cap=MODELS)
            row = np.array(list(self._applied(process, chunks[:quiet])))
            self._begun[key] = process.to_bytes(), np.maximum.accumulate(row, axis=0)
        body, values = self._begun[key]
        return EProcess.from_bytes(self._model.basis, features, None, body), values

    def _applied(
        self, process: EProcess, chunks: Sequence[NDArray[np.float32]]
    ) -> Iterator[tuple[float, float]]:
        """Test chunks one after the other; their fits do not depend on each other and are made together."""
        fits = self._model.fit_together(chunks, [float(len(events)) for events in chunks])
        for events, fit in zip(chunks, fits, strict=True):
            process.apply(fit.coefficients, fit.expected, events, events[:0], np.random.default_rng(0))
            yield process.poisson.log_sr, process.poisson.log_cusum


class EDetector:
    """One of them.

    Parameters
    ----------
    evidences:
        Both.
    kind:
        "sr" or "cusum".
    """

    ours = slow = True

    def __init__(self, evidences: Evidences, kind: str) -> None:
        self._evidences, self._kind = evidences, kind
        self.name = f"nplmon {'e-SR' if kind == 'sr' else 'e-CUSUM'}, 1 width"
        self.setting = (
            f"memory of all and of 10 chunks, sigma at the {100 * float(evidences.width):g} % quantile"
        )

    @property
    def seconds(self) -> float:
        """Processor time of a chunk."""
        return self._evidences.seconds

    def values(self, streams: Streams) -> NDArray[np.float64]:
        """Give its logarithm so far, (streams, chunks)."""
        return self._evidences.values(streams)[self._kind]
