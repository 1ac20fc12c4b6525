"""Detectors that need no kernel: Kolmogorov and Smirnov's test of every chunk, and an alarm every so many chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from benchmarks.detection.problem import Disturbed, Problem, Streams
    from numpy.typing import NDArray


class ChunkKS:
    """The two-sample test of each feature of a chunk against the reference.

    Bonferroni's correction multiplies the smallest p by the number of features; as the threshold is measured, the
    largest distance in units of its deviation, which p is a function of, is the same.
    """

    ours = slow = False
    name = "KS per chunk, Bonferroni"
    setting = "scipy's two-sample distance, the whole reference"

    def __init__(self, problem: Problem) -> None:
        self._sorted = np.sort(problem.reference, axis=0)
        pool = self._ranks(problem.pool)
        self._pool = pool.reshape(problem.blocks, problem.block, -1)
        self._disturbed: tuple[Disturbed, NDArray[np.float64]] | None = None

    def values(self, streams: Streams) -> NDArray[np.float64]:
        """Give the largest of the features' distances, (streams, chunks)."""
        result = np.empty((streams.count, streams.length))
        for row, blocks in zip(result, streams.blocks, strict=True):
            if streams.quiet:
                ranks = self._pool[blocks].reshape(streams.quiet, -1, self._pool.shape[-1])
                row[: streams.quiet] = self._distances(ranks)
        if streams.disturbed:
            if self._disturbed is None or self._disturbed[0] is not streams.disturbed:
                chunks = streams.disturbed.chunks
                found = np.array([[self.distance(chunk) for chunk in stream] for stream in chunks])
                self._disturbed = streams.disturbed, found
            result[:, streams.quiet :] = self._disturbed[1]
        return result

    def distance(self, chunk: NDArray[np.float32]) -> float:
        """Give the largest distance of a chunk in units of sqrt(1 / N + 1 / N_R)."""
        return float(self._distances(self._ranks(chunk)[None])[0])

    def _ranks(self, events: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give the share of the reference below each event, for each feature; ties count half."""
        columns = [
            np.searchsorted(feature, column, side="left") + np.searchsorted(feature, column, side="right")
            for feature, column in zip(self._sorted.T, events.T, strict=True)
        ]
        return (np.stack(columns, axis=1) / (2 * len(self._sorted))).astype(np.float32)

    def _distances(self, ranks: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the distances of chunks of equal size, ranks (chunks, N, d)."""
        ordered, count = np.sort(ranks, axis=1), ranks.shape[1]
        # The two distributions differ most at an event of the chunk, or just before it.
        steps = (np.arange(count + 1) / count).astype(np.float32)[:, None]
        largest = np.maximum(steps[1:] - ordered, ordered - steps[:-1]).max(axis=(1, 2))
        return np.asarray(largest / (1 / count + 1 / len(self._sorted)) ** 0.5, dtype=np.float64)


class Dummy:
    """An alarm every so many chunks, whatever the data: what a detector must be better than."""

    ours = slow = False
    name = "dummy"
    setting = "an alarm every so many chunks"

    def threshold(self, run_length: float) -> float:
        """Give the number of chunks: what is known need not be measured."""
        return run_length

    def values(self, streams: Streams) -> NDArray[np.float64]:
        """Give the number of chunks that have passed."""
        return np.tile(np.arange(1.0, streams.length + 1), (streams.count, 1))
