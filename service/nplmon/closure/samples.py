"""The samples that a closure is measured on: EXPO-1D, which has as many events as are wanted, and a file's events."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from nplmon.nplm import KernelModel, Reference
from nplmon.offline.errors import AnalysisError
from nplmon.offline.sample import read_sample
from nplmon.simulators import expo

if TYPE_CHECKING:
    from numpy.typing import NDArray

PENALTY: Final = 4.0
"""lambda N_R: with it a chunk of 200 events has some five effective parameters, whatever the reference's size."""
CENTRES: Final = 60
DIMUON: Final = ("pt1", "pt2", "eta1", "eta2", "delta_phi")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the events of a closure come from; small, so that it can be sent to another process.

    Attributes
    ----------
    name:
        "EXPO-1D", or what the file is called.
    path:
        The file; empty for EXPO-1D.
    features:
        Its columns.
    sigma:
        The kernel width in reference standard deviations.
    """

    name: str = "EXPO-1D"
    path: str = ""
    features: tuple[str, ...] = ()
    sigma: float = 0.7

    @property
    def events(self) -> int:
        """Events of the file; 0 for EXPO-1D, which has as many as are wanted."""
        return len(_read(self.path, self.features)) if self.path else 0

    def parts(self, seed: int, *sizes: int) -> list[NDArray[np.float32]]:
        """Give disjoint parts of the sample in random order, float32 (size, d) each.

        Raises
        ------
        AnalysisError
            If the file has fewer events.

        Examples
        --------
        >>> [part.shape for part in Source().parts(1, 30, 20)]
        [(30, 1), (20, 1)]
        """
        rng = np.random.default_rng([seed, 7])
        if not self.path:
            return [expo.sample(rng, size) for size in sizes]
        events = _read(self.path, self.features)
        if sum(sizes) > len(events):
            raise AnalysisError(
                f"{self.path} has {len(events):,} events, but {sum(sizes):,} are needed: give --runs or --chunks that "
                "are smaller, or another sample"
            )
        events = events[rng.permutation(len(events))].astype(np.float32)
        return np.split(events[: sum(sizes)], np.cumsum(sizes)[:-1])

    def prepare(self, reference: Reference, seed: int) -> list[KernelModel]:
        """Prepare the model of a reference."""
        return [
            KernelModel.prepare(
                reference,
                centres=CENTRES,
                sigma=self.sigma,
                lambda_=PENALTY / len(reference.events),
                seed=seed,
            )
        ]


@lru_cache(maxsize=1)
def _read(path: str, features: tuple[str, ...]) -> NDArray[np.float32]:
    return read_sample([path], list(features)).events


EXPO: Final = Source()


def dimuon(path: str) -> Source:
    """Give the simulated dimuon sample of a file with its five features; sigma is the 90 % quantile of distances."""
    return Source(name="dimuon", path=path, features=DIMUON, sigma=4.3)
