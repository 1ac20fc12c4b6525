"""A problem: one reference sample for every detector, and a pool of events under H0 that streams are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nplmon.nplm.basis import kernel_blocks, standardise
from nplmon.nplm.preparation import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis

LAMBDA = 1e-6
FINE = 1e-8
"""Penalty that the basis of another detector's kernel is cut at: its kernel is kept to one part in ten thousand."""
PAIRS = 2_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """A reference, a pool, and how chunks are made of them.

    All events are standardised with the reference's mean and deviation, for every detector.

    Attributes
    ----------
    name:
        As it stands in the table.
    reference:
        float32 (N_R, d), standardised.
    pool:
        Events under H0 that the reference does not have, float32 (P, d), standardised; P is a multiple of `block`.
    events:
        N, in a chunk.
    block:
        Events that stay together: the sums of a chunk are those of its blocks.
    centres:
        M of our model.
    standard:
        Standardises events of the same features.
    their_centres:
        Of the features that stand for the kernel of others; 0 for as many as ours.
    quantiles:
        Of the pair distances of the reference: our kernel widths.
    """

    name: str
    reference: NDArray[np.float32]
    pool: NDArray[np.float32]
    events: int
    block: int
    centres: int
    standard: Callable[[NDArray[np.floating]], NDArray[np.float32]]
    their_centres: int = 0
    quantiles: tuple[float, ...] = (0.25, 0.5, 0.75)
    _bases: dict[str, Basis] = field(default_factory=dict)
    _block_sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def blocks(self) -> int:
        """Blocks of the pool."""
        return len(self.pool) // self.block

    @cached_property
    def distances(self) -> NDArray[np.float64]:
        """Distances of pairs of reference events."""
        first, second = (self.reference[start : start + PAIRS].astype(np.float64) for start in (0, PAIRS))
        pairs = min(len(first), len(second))
        offsets = range(0, pairs, max(1, pairs // 50))
        return np.concatenate(
            [np.linalg.norm(first[:pairs] - np.roll(second[:pairs], by, axis=0), axis=1) for by in offsets]
        )

    @property
    def widths(self) -> list[str]:
        """Names of our kernel widths."""
        return [f"{quantile:g}" for quantile in self.quantiles]

    def basis(self, width: str) -> Basis:
        """Give the eigenbasis of one of our widths, or, named "theirs", of the kernel of alibi-detect's detectors."""
        if width not in self._bases:
            if width == "theirs":
                # The median heuristic of alibi-detect: half the median of the squared distances is sigma squared.
                sigma, lambda_ = float(np.median(self.distances)) / 2**0.5, FINE
                centres = self.their_centres or self.centres
            else:
                sigma, lambda_ = float(np.quantile(self.distances, float(width))), LAMBDA
                centres = self.centres
            self._bases[width] = prepare(
                self.reference, centres=centres, lambda_=lambda_, sigma=sigma, seed=0
            )
        return self._bases[width]

    def block_sums(self, width: str) -> NDArray[np.float64]:
        """Give the sum of psi over each block of the pool, float64 (blocks, r)."""
        if width not in self._block_sums:
            rows = self.pool.reshape(self.blocks, self.block, -1)
            self._block_sums[width] = self.sums(width, rows)
        return self._block_sums[width]

    def sums(self, width: str, parts: Iterable[NDArray[np.float32]]) -> NDArray[np.float64]:
        """Give the sum of psi over the events of each part, float64 (parts, r)."""
        basis = self.basis(width)
        parts = list(parts)
        edges = np.cumsum([0, *(len(part) for part in parts)])
        total = np.zeros((len(parts), len(basis.centres)))
        points = standardise(np.concatenate(parts), basis.mean, basis.scale)
        for rows, kernel in kernel_blocks(points, basis.centres, basis.sigma):
            # The parts that these rows touch, each from where it begins here.
            first = int(np.searchsorted(edges, rows.start, side="right")) - 1
            last = int(np.searchsorted(edges, rows.stop, side="left"))
            starts = np.maximum(edges[first:last], rows.start) - rows.start
            total[first:last] += np.add.reduceat(kernel, starts, axis=0)
        return np.asarray(total @ basis.projection)


@dataclass(frozen=True, kw_only=True, eq=False)
class Disturbed:
    """Chunks from the change on, of some streams: the same for every detector and every number of chunks before.

    Attributes
    ----------
    problem:
        What they belong to.
    chunks:
        Standardised events: streams, chunks, float32 (N_k, d).
    """

    problem: Problem
    chunks: list[list[NDArray[np.float32]]]
    _sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def sums(self, width: str) -> NDArray[np.float64]:
        """Give the sum of psi over each chunk, float64 (streams, chunks, r)."""
        if width not in self._sums:
            flat = self.problem.sums(width, (chunk for stream in self.chunks for chunk in stream))
            self._sums[width] = flat.reshape(len(self.chunks), len(self.chunks[0]), -1)
        return self._sums[width]


@dataclass(frozen=True, kw_only=True, eq=False)
class Streams:
    """Streams of equal length: chunks under H0, made of blocks of the pool, and then perhaps disturbed ones.

    Attributes
    ----------
    problem:
        What they belong to.
    blocks:
        The blocks of each chunk under H0, int (streams, chunks, blocks in a chunk).
    disturbed:
        What follows.
    """

    problem: Problem
    blocks: NDArray[np.intp]
    disturbed: Disturbed | None = None

    @classmethod
    def drawn(cls, problem: Problem, streams: int, chunks: int, seed: list[int]) -> Streams:
        """Draw chunks under H0: blocks of the pool with replacement, as from a population."""
        rng = np.random.default_rng(seed)
        size = (streams, chunks, problem.events // problem.block)
        return cls(problem=problem, blocks=rng.integers(0, problem.blocks, size=size))

    def followed(self, by: Disturbed, after: int) -> Streams:
        """Give as many streams whose first `after` chunks are these."""
        return Streams(problem=self.problem, blocks=self.blocks[: len(by.chunks), :after], disturbed=by)

    def part(self, streams: int) -> Streams:
        """Give the first streams alone; of a set without disturbed chunks."""
        return Streams(problem=self.problem, blocks=self.blocks[:streams])

    @property
    def count(self) -> int:
        """The number of streams."""
        return len(self.blocks)

    @property
    def quiet(self) -> int:
        """The number of chunks before the change."""
        return self.blocks.shape[1]

    @property
    def length(self) -> int:
        """The number of chunks."""
        return self.quiet + (len(self.disturbed.chunks[0]) if self.disturbed else 0)

    def events(self, stream: int) -> list[NDArray[np.float32]]:
        """Give the chunks of one stream."""
        rows = self.problem.pool.reshape(self.problem.blocks, self.problem.block, -1)
        width = rows.shape[-1]
        chunks = [rows[chunk].reshape(-1, width) for chunk in self.blocks[stream]]
        return chunks + (self.disturbed.chunks[stream] if self.disturbed else [])

    @cached_property
    def counts(self) -> NDArray[np.float64]:
        """Events in each chunk, float64 (streams, chunks)."""
        counts = np.full((self.count, self.length), float(self.problem.events))
        if self.disturbed:
            counts[:, self.quiet :] = [[len(chunk) for chunk in stream] for stream in self.disturbed.chunks]
        return counts

    def sums(self, width: str) -> NDArray[np.float64]:
        """Give the sum of psi over each chunk, float64 (streams, chunks, r)."""
        of_block = self.problem.block_sums(width)
        result = np.empty((self.count, self.length, of_block.shape[1]))
        for stream, blocks in enumerate(self.blocks):
            result[stream, : self.quiet] = of_block[blocks].sum(axis=1)
        if self.disturbed:
            result[:, self.quiet :] = self.disturbed.sums(width)
        return result
