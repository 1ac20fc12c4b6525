"""The e-detectors of the core on streams: e-SR and e-CUSUM of the form that takes the reference for H0 itself."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from nplmon.nplm.eprocess import EProcess

if TYPE_CHECKING:
    from benchmarks.detection.problem import Problem, Streams
    from numpy.typing import NDArray

MODELS: Final = 16
"""Kept of the past."""


class Evidences:
    r"""Both e-detectors of streams in one pass, with one kernel width.

    The ratio learned from a chunk is that of the linear regime, :math:`a_j = c_j / (N \mu_j + \Lambda)`, which needs
    no fit: any ratio that is learned from the past is allowed.

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
        self._basis = problem.basis(width)
        self._features = self._basis.features(problem.reference)
        self._begun: dict[bytes, tuple[bytes, NDArray[np.float64]]] = {}
        self._last: tuple[Streams, dict[str, NDArray[np.float64]]] | None = None
        self.seconds = 0.0

    def values(self, streams: Streams) -> dict[str, NDArray[np.float64]]:
        """Give log S and log M so far, (streams, chunks) each."""
        if self._last is None or self._last[0] is not streams:
            self._last = streams, self._run(streams)
        return self._last[1]

    def _run(self, streams: Streams) -> dict[str, NDArray[np.float64]]:
        values = np.full((streams.count, streams.length, 2), -math.inf)
        scores = streams.sums(self.width) - streams.counts[..., None] * self._basis.mean_feature
        start, seen = time.process_time(), 0
        for stream in range(streams.count):
            quiet = streams.quiet if streams.disturbed else 0
            process, row = self._after(streams, stream, quiet, scores[stream])
            values[stream, : len(row)] = row
            chunks = streams.events(stream)
            for number in range(len(row), streams.length):
                if number and values[stream, number - 1].min() >= self.enough:
                    values[stream, number:] = values[stream, number - 1]
                    break
                values[stream, number] = self._applied(process, chunks[number], scores[stream, number])
                if number:
                    np.maximum(values[stream, number], values[stream, number - 1], out=values[stream, number])
                seen += 1
        self.seconds = (time.process_time() - start) / max(seen, 1)
        return {"sr": values[..., 0], "cusum": values[..., 1]}

    def _after(
        self, streams: Streams, stream: int, quiet: int, scores: NDArray[np.float64]
    ) -> tuple[EProcess, NDArray[np.float64]]:
        """Give the state after the quiet chunks, which many scenarios have in common, and the values until then."""
        key = streams.blocks[stream, :quiet].tobytes()
        if key not in self._begun:
            process, row = EProcess(self._basis, self._features, None, "shape", model_cap=MODELS), []
            for number, events in enumerate(streams.events(stream)[:quiet]):
                row.append(self._applied(process, events, scores[number]))
            values = np.maximum.accumulate(np.array(row).reshape(-1, 2), axis=0)
            if not quiet:
                return process, values
            self._begun[key] = process.to_bytes(), values
        body, values = self._begun[key]
        return EProcess.from_bytes(self._basis, self._features, None, body), values

    def _applied(
        self, process: EProcess, events: NDArray[np.float32], score: NDArray[np.float64]
    ) -> tuple[float, float]:
        count = float(len(events))
        a = score / (count * self._basis.second_moment + self._basis.penalty(count))
        process.apply(a, count, events, events[:0], np.random.default_rng(0))
        return process.poisson.log_sr, process.poisson.log_cusum


class EDetector:
    """One of them.

    Parameters
    ----------
    evidences:
        Both.
    kind:
        "sr" or "cusum".
    """

    ours = True

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
