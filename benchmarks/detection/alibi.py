r"""alibi-detect's MMDDriftOnline, LSDDDriftOnline and MMDDrift on the sums of kernel features of a chunk.

Event by event they are too slow for streams of thousands of chunks: the window's kernel matrix is made anew for every
event. Their values at the end of a chunk need sums alone. With features such that :math:`k(x, y) = \psi(x) \cdot
\psi(y)` and S their sum over the window's W events,

.. math:: MMD^2 = |m|^2 + \frac{|S|^2 - \sum |\psi|^2}{W (W - 1)} - \frac{2}{W} m \cdot S, \qquad
          LSDD = h^T H_\lambda^{-1} h, \quad h = \Psi_c (m - S / W)

with m the mean of the features over the reference and :math:`\Psi_c` those of LSDD's centres. `check` compares both
with the values of the package's own detectors. Centres and :math:`H_\lambda^{-1}` are the package's; m is that of the
whole reference, which the package itself could not hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from benchmarks.detection.problem import Streams

if TYPE_CHECKING:
    from benchmarks.detection.other import OtherProcess
    from benchmarks.detection.problem import Problem
    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis

WIDTH: Final = "theirs"
WINDOWS: Final = (2, 8)
CENTRES: Final = 200
PERMUTATIONS: Final = 10
REFERENCE_WINDOWS: Final = 3
"""Windows in the reference that the package's own detectors are made with."""
MOST_EVENTS: Final = 4_000
"""Of a window that the package's own detectors are run with: MMD's kernel matrix is made for every event."""


class _Windowed:
    """Sums over the last chunks; before the first chunk there are chunks of the pool in the window."""

    ours = slow = False
    window: int
    problem: Problem

    def _windowed(self, streams: Streams) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        filling = Streams.drawn(self.problem, streams.count, max(self.window - 1, 1), [99])
        sums = np.concatenate([filling.sums(WIDTH), streams.sums(WIDTH)], axis=1)
        counts = np.concatenate([filling.counts, streams.counts], axis=1)
        begin = filling.length - self.window + 1
        length = streams.length
        result, events = np.zeros_like(sums[:, :length]), np.zeros((streams.count, length))
        for back in range(self.window):
            result += sums[:, begin + back : begin + back + length]
            events += counts[:, begin + back : begin + back + length]
        return result, events


@dataclass(frozen=True, kw_only=True)
class Mmd(_Windowed):
    """The squared MMD of the last chunks and the reference."""

    problem: Problem
    window: int
    name: str
    setting: str

    def values(self, streams: Streams) -> NDArray[np.float64]:
        """Give the statistic at the end of each chunk, (streams, chunks)."""
        sums, events = self._windowed(streams)
        basis = self.problem.basis(WIDTH)
        return mmd(basis, basis.mean_feature, sums, events, len(self.problem.reference))


@dataclass(frozen=True, kw_only=True)
class Lsdd(_Windowed):
    """The least-squares density difference of the last chunks and the reference.

    Attributes
    ----------
    centres, inverse:
        Of the package's detector.
    """

    problem: Problem
    window: int
    name: str
    setting: str
    centres: NDArray[np.float32]
    inverse: NDArray[np.float32]

    def values(self, streams: Streams) -> NDArray[np.float64]:
        """Give the statistic at the end of each chunk, (streams, chunks)."""
        sums, events = self._windowed(streams)
        basis = self.problem.basis(WIDTH)
        return lsdd(basis, basis.mean_feature, sums, events, self.centres, self.inverse)


def mmd(
    basis: Basis,
    mean: NDArray[np.float64],
    sums: NDArray[np.float64],
    events: NDArray[np.float64],
    reference: int,
) -> NDArray[np.float64]:
    """Give the statistic of windows with these sums (..., r) and numbers of events, and so many reference events."""
    own = float(basis.second_moment.sum())  # the mean of |psi|^2
    fixed = (reference * (mean @ mean) - own) / (reference - 1)
    squares = np.einsum("...j,...j->...", sums, sums)
    return np.asarray(fixed + (squares - events * own) / (events * (events - 1)) - 2 * (sums @ mean) / events)


def lsdd(
    basis: Basis,
    mean: NDArray[np.float64],
    sums: NDArray[np.float64],
    events: NDArray[np.float64],
    centres: NDArray[np.float32],
    inverse: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Give the statistic of windows with these sums (..., r) and numbers of events."""
    h = (mean - sums / events[..., None]) @ basis.features(centres).astype(np.float64).T
    return np.einsum("...i,ij,...j->...", h, inverse.astype(np.float64), h, optimize=True)


@dataclass(frozen=True, kw_only=True)
class Alibi:
    """The detectors of a problem, with how far their values are from the package's own and what those cost.

    Attributes
    ----------
    detectors:
        All.
    differences:
        Of the value of one window: LSDD's relative, MMD's in units of 1 / W.
    seconds:
        Processor time of the package's own code for one chunk, by the detector's name; of larger windows than
        `MOST_EVENTS` extrapolated: MMD's grows with their square.
    """

    detectors: list[Mmd | Lsdd]
    differences: dict[str, float]
    seconds: dict[str, float]

    @classmethod
    def made(cls, problem: Problem, process: OtherProcess) -> Alibi:
        """Make them, and compare them with the package's."""
        basis = problem.basis(WIDTH)
        # The same kernel in the same units: ours are standardised once more, by next to nothing.
        sigma = float(basis.sigma)
        most = int(REFERENCE_WINDOWS * MOST_EVENTS) + CENTRES
        path = process.keep(reference=problem.reference[:most], events=problem.pool[:100])
        detectors: list[Mmd | Lsdd] = [
            Mmd(problem=problem, window=1, name="MMD per chunk", setting="MMDDrift, median heuristic")
        ]
        size = min(problem.events, MOST_EVENTS)
        one = process.ask(do="mmd", events=path, sigma=sigma, window=size)
        # Near 0 a relative difference says nothing: it is that of the value's deviation under H0, about 1 / W.
        differences = {
            "MMD": abs(float(mmd(basis, *_seen(basis, one), len(one["reference"]))[0] - one["value"])) * size
        }
        seconds = {
            "MMD per chunk": float(
                process.ask(do="chunk", events=path, sigma=sigma, window=size, permutations=PERMUTATIONS)[
                    "seconds"
                ]
            )
        }
        for window in WINDOWS:
            events = window * problem.events
            name = f"MMD online, {window} chunks"
            detectors.append(
                Mmd(problem=problem, window=window, name=name, setting=f"window of {events:,} events")
            )
            seconds[name] = float(one["seconds"]) * problem.events * max(1.0, (events / size) ** 2)
            name = f"LSDD online, {window} chunks"
            most = min((len(problem.reference) - CENTRES) // REFERENCE_WINDOWS, MOST_EVENTS)
            answer = process.ask(
                do="lsdd", events=path, sigma=sigma, window=min(events, most), centres=CENTRES
            )
            seconds[name] = float(answer["seconds"]) * problem.events
            found = lsdd(basis, *_seen(basis, answer), answer["centres"], answer["inverse"])
            differences[f"LSDD, {window} chunks"] = _difference(answer, found)
            detectors.append(
                Lsdd(
                    problem=problem,
                    window=window,
                    name=name,
                    setting=f"window of {events:,} events, {CENTRES} centres",
                    centres=answer["centres"],
                    inverse=answer["inverse"],
                )
            )
        process.drop(path)
        return cls(detectors=detectors, differences=differences, seconds=seconds)


def _seen(
    basis: Basis, answer: dict[str, NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Give the mean over the package's own reference, and the sum over its window with the number of events."""
    mean = basis.features(answer["reference"]).mean(axis=0, dtype=np.float64)
    window = answer["window"]
    return mean, basis.features(window).sum(axis=0, dtype=np.float64)[None], np.array([float(len(window))])


def _difference(answer: dict[str, NDArray[np.float64]], ours: NDArray[np.float64]) -> float:
    return abs(float(ours[0]) / float(answer["value"]) - 1)
