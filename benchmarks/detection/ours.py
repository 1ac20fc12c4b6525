r"""Our detectors on a stream's scores, as a monitor has them: all widths together by the smallest closed-form p.

With the score of chunk k, :math:`c_k = \sum_{D_k} \psi - N_k m`, and :math:`s_j = 2 h_j - h_j^2`,
:math:`t_{score} = \sum_j s_j C_j^2 / \mu_j \Lambda` of the summed score C (equal chunks), and its p-value follows from
the null of one chunk by the exposure. The summed score is that of the whole run, or of the last 1, 2, 4, 8, ...
chunks as well ("windows").
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import interpolate

from nplmon.nplm.null import Nulls
from nplmon.nplm.run_length import run_length_thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.detection.problem import Problem, Streams
    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis
    from nplmon.nplm.null import ChiSquareSum

TOYS: Final = 1_200
LEVELS: Final = (5.0, 8.0, 12.0, 20.0, 30.0, 50.0, 80.0, 120.0)
"""Run lengths with thresholds; each needs ten times as many toys."""
NODES: Final = 300
BLOCK: Final = 10_000
FEWEST: Final = 10
ELEMENTS: Final = 4_000_000
"""Of the scores of some toys: 16 MB."""
RELEVANT: Final = 1e-9
"""Of the largest eigenvalue of the joint covariance."""


class LogTail:
    """The logarithm of a null's tail probability, interpolated: many values are looked up."""

    def __init__(self, null: ChiSquareSum) -> None:
        ends = max(null.mean - 8 * null.deviation, 0.02 * null.mean), null.mean + 60 * null.deviation
        nodes = np.linspace(*ends, NODES)
        values = np.array([null.log_tail(float(t)) for t in nodes])
        self._last, self._value = float(nodes[-1]), float(values[-1])
        self._slope = float((values[-1] - values[-2]) / (nodes[-1] - nodes[-2]))
        self._first = float(nodes[0])
        self._inside = interpolate.PchipInterpolator(nodes, values)

    def __call__(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give log P(T >= t); beyond the last node it falls on along a line, as the tail does."""
        inside = self._inside(np.clip(t, self._first, self._last))
        return np.asarray(inside + self._slope * np.maximum(t - self._last, 0.0))


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One width: scores in units of their deviation, and the closed form of what is made of their sums."""

    basis: Basis
    expected: float

    @cached_property
    def shrinkage(self) -> NDArray[np.float64]:
        """Give s_j of a chunk."""
        h = self.basis.shrinkage(self.expected)
        return np.asarray(2 * h - h**2)

    @cached_property
    def tail(self) -> LogTail:
        """Of one chunk's statistic."""
        return LogTail(Nulls(basis=self.basis, mode="shape").chunk(self.expected))

    def scores(self, sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give c_kj / sqrt(mu_j)."""
        return np.asarray(
            (sums - counts[..., None] * self.basis.mean_feature) / self.basis.second_moment**0.5
        )

    def log_p(self, score: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give log p of summed scores (..., r) over `total` events."""
        t = np.einsum("...j,...j,j->...", score, score, self.shrinkage) / total
        own = 1 + self.expected / self.basis.effective_events
        return self.tail(t * own / (1 + total / self.basis.effective_events))


class Score:
    """t_score of a monitor with some widths: an alarm by expected run length.

    Parameters
    ----------
    toys:
        Of the problem.
    widths:
        Of `Problem.widths`.
    windows:
        Whether the sums of the last 1, 2, 4, ... chunks are looked at too.
    """

    ours, slow = True, False

    def __init__(self, toys: Toys, widths: list[str], *, windows: bool) -> None:
        self.windows, self.widths, self._toys = windows, widths, toys
        of = "1 width" if len(widths) == 1 else f"{len(widths)} widths"
        self.name = f"nplmon t_score{', windows' if windows else ''}, {of}"
        self.setting = f"sigma at the {', '.join(f'{100 * float(one):g}' for one in widths)} % quantiles"
        toys.looks.append(self)

    @cached_property
    def thresholds(self) -> NDArray[np.float64]:
        """Of -log p after each chunk, for each level: (levels, chunks)."""
        toys = self._toys.seen[self._toys.looks.index(self)]
        found = np.empty((len(LEVELS), toys.shape[1]))
        for row, level in zip(found, LEVELS, strict=True):
            limits = run_length_thresholds(toys, level)
            # One in `level` of the toys left sets a threshold; too few of them say nothing.
            known = max(1, int(np.count_nonzero(limits.left >= FEWEST * level)))
            row[:known] = _smooth(limits.values[:known])
            row[known:] = row[known - 1]
        return np.maximum.accumulate(found, axis=0) + 1e-9 * np.arange(len(LEVELS))[:, None]

    def values(self, streams: Streams) -> NDArray[np.float64]:
        """Give the log of the run length whose threshold is reached, (streams, chunks)."""
        scores = {w: self._toys.scored[w].scores(streams.sums(w), streams.counts) for w in self.widths}
        seen = self.seen(scores, streams.counts)
        result = np.empty_like(seen)
        for chunk in range(seen.shape[1]):
            levels = self.thresholds[:, min(chunk, self.thresholds.shape[1] - 1)]
            # Beyond the last level the hazard is taken to fall as p does; below the first it is of no interest.
            result[:, chunk] = np.interp(seen[:, chunk], levels, np.log(LEVELS))
            result[:, chunk] += np.maximum(seen[:, chunk] - levels[-1], 0)
            result[:, chunk] += np.minimum(seen[:, chunk] - levels[0], 0)
        return result

    def seen(
        self, scores: Mapping[str, NDArray[np.floating]], counts: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Give the largest -log p over widths and windows after each chunk."""
        totals = np.cumsum(counts, axis=1)
        best = np.full(counts.shape, -np.inf)
        for width in self.widths:
            one, summed = self._toys.scored[width], np.cumsum(scores[width], axis=1, dtype=np.float64)
            np.maximum(best, -one.log_p(summed, totals), out=best)
            for window in _windows(counts.shape[1]) if self.windows else []:
                within = totals[:, window:] - totals[:, :-window]
                log_p = one.log_p(summed[:, window:] - summed[:, :-window], within)
                np.maximum(best[:, window:], -log_p, out=best[:, window:])
        return best


class Toys:
    """Gaussian scores of whole streams under H0, which all our detectors of a problem look at.

    The covariance of a score is that of the widths' joint features over the reference, without their mean because
    the count is conditioned on. The reference's own error is drawn once for each toy.

    Parameters
    ----------
    problem:
        The reference.
    length:
        Chunks.
    """

    def __init__(self, problem: Problem, length: int) -> None:
        self.problem, self.length = problem, length
        self.scored = {
            width: Scored(basis=problem.basis(width), expected=float(problem.events))
            for width in problem.widths
        }
        self.looks: list[Score] = []

    @cached_property
    def seen(self) -> list[NDArray[np.float64]]:
        """What each detector sees of the toys, (toys, chunks)."""
        rng = np.random.default_rng(7)
        root = self._root()
        cuts = np.cumsum([one.basis.size for one in self.scored.values()])[:-1]
        lam, effective = float(self.problem.events), next(iter(self.scored.values())).basis.effective_events
        step = max(1, ELEMENTS // (self.length * len(root)))
        parts = []
        for start in range(0, TOYS, step):
            count = min(step, TOYS - start)
            z = rng.standard_normal((count, self.length, root.shape[1]), dtype=np.float32)
            shared = rng.standard_normal((count, 1, root.shape[1]), dtype=np.float32)
            score = np.float32(lam**0.5) * z - np.float32(lam / effective**0.5) * shared
            split = np.split(score @ root.T, cuts, axis=2)
            scores = dict(zip(self.scored, split, strict=True))
            counts = np.full((count, self.length), lam)
            parts.append([look.seen(scores, counts) for look in self.looks])
        return [np.concatenate(one) for one in zip(*parts, strict=True)]

    def _root(self) -> NDArray[np.float32]:
        bases = [one.basis for one in self.scored.values()]
        mu = np.concatenate([basis.second_moment for basis in bases])
        mean = np.concatenate([basis.mean_feature for basis in bases])
        moment = -len(self.problem.reference) * np.outer(mean, mean)
        for start in range(0, len(self.problem.reference), BLOCK):
            rows = self.problem.reference[start : start + BLOCK]
            psi = np.concatenate([basis.features(rows) for basis in bases], axis=1).astype(np.float64)
            moment += psi.T @ psi
        value, vector = np.linalg.eigh(moment / len(self.problem.reference) / np.sqrt(np.outer(mu, mu)))
        kept = value > RELEVANT * value[-1]
        return np.asarray(vector[:, kept] * np.sqrt(value[kept]), dtype=np.float32)


def _windows(length: int) -> list[int]:
    return list(itertools.takewhile(lambda window: window < length, (2**power for power in range(20))))


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over chunks of nearly the same number: thresholds change slowly in log n, and toys are few."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(values.size)
    reach = np.minimum(place // 4, values.size - 1 - place)
    return np.asarray((total[place + reach + 1] - total[place - reach]) / (2 * reach + 1))
