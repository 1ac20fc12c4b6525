"""Pseudo-experiments: data drawn from events of the reference file that are held out of the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nplmon.nplm.reference import Reference
from nplmon.offline.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.null import Mode

LARGEST_SHARE = 0.5
"""Of the reference file that is held out at most."""
FLUCTUATION = 6.0
"""Standard deviations of a Poisson count that the pool must be able to give."""
NOTED_OVERLAP = 0.1
"""Of the pool in one toy: from here on toys share so many events that it is said."""


@dataclass(frozen=True)
class Pool:
    """Events that follow H0 and are not in the reference.

    Attributes
    ----------
    events, weights:
        (H, d), and their weights (H,) or None for 1 each.
    """

    events: NDArray[np.floating]
    weights: NDArray[np.float64] | None = None

    def draw(
        self, rng: np.random.Generator, expected: Sequence[float], mode: Mode
    ) -> list[NDArray[np.floating]]:
        """Draw one toy: a chunk for each expected count, no event twice.

        Weighted events are accepted with probability v / max v, so that the toy is unweighted as data are.

        Parameters
        ----------
        rng:
            Generator.
        expected:
            lam_k of each chunk.
        mode:
            In mode "rate" the counts fluctuate; in mode "shape" they are the expected ones.

        Raises
        ------
        AnalysisError
            If the pool is too small.

        Examples
        --------
        >>> pool = Pool(np.arange(10.0)[:, None])
        >>> [len(chunk) for chunk in pool.draw(np.random.default_rng(0), [3.0, 2.0], "shape")]
        [3, 2]
        """
        counts = [int(rng.poisson(one)) if mode == "rate" else round(one) for one in expected]
        counts = [max(count, 1) for count in counts]  # no fit without an event
        if self.weights is None:
            order = rng.choice(len(self.events), size=min(sum(counts), len(self.events)), replace=False)
        else:
            order = rng.permutation(len(self.events))
            v = self.weights[order]
            order = order[rng.uniform(size=len(v)) * v.max() < v]
        if len(order) < sum(counts):
            raise AnalysisError(
                f"{len(order):,} events are held out of the reference (after the weights), but a toy needs "
                f"{sum(counts):,}: give a larger reference, or no toys"
            )
        return np.split(self.events[order[: sum(counts)]], np.cumsum(counts)[:-1])


def hold_out(
    reference: Reference, toys: int, expected: float, rng: np.random.Generator
) -> tuple[Reference, Pool]:
    """Split a reference sample at random into the reference that is kept and the pool that toys are drawn from.

    So many events are held out that all toys could be disjoint, and ten at least; at most half of the sample.

    Parameters
    ----------
    reference:
        The sample.
    toys:
        Number of toys.
    expected:
        Events of one toy.
    rng:
        Generator of the split.

    Raises
    ------
    AnalysisError
        If half of the sample is not enough for one toy.

    Examples
    --------
    >>> sample = Reference(np.arange(100.0)[:, None])
    >>> kept, pool = hold_out(sample, 3, 4.0, np.random.default_rng(0))
    >>> len(kept.events), len(pool.events), len(set(kept.events[:, 0]) & set(pool.events[:, 0]))
    (60, 40, 0)
    """
    count = len(reference.events)
    # A Poisson count of a toy may lie above its mean by this.
    most = expected + FLUCTUATION * np.sqrt(expected)
    largest = int(LARGEST_SHARE * count)
    if most > largest:
        raise AnalysisError(
            f"a toy of {expected:,.0f} events needs {most:,.0f} that are not in the reference, but half of its "
            f"{count:,} events are {largest:,}: give a larger reference, or no toys"
        )
    held = int(min(largest, max(toys * expected, expected / NOTED_OVERLAP)))
    order = rng.permutation(count)
    out, kept = np.sort(order[:held]), np.sort(order[held:])
    v = reference.weights
    return (
        Reference(reference.events[kept], None if v is None else v[kept]),
        Pool(reference.events[out], None if v is None else v[out]),
    )
