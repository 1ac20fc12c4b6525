"""The problems: EXPO-1D and dimuon 5-D for everything, a Level-1-like 24-D sample for size (docs/simulators.md)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nplmon.nplm import Reference
from nplmon.simulators import dimuon, expo, level1

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.nplm import KernelModel
    from nplmon.nplm.loss import LossName

DATA = Path(os.environ.get("NPLMON_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
LAMBDA = 1e-6
TOYS = 64
SEED = 2026


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A reference and chunks under H0, disjoint.

    Attributes
    ----------
    name:
        As it stands in the table.
    reference:
        Events, float32 (N_R, d).
    chunks:
        Of the expected size, each float32 (N_k, d).
    expected:
        lam, the expected count of each chunk.
    centres:
        M.
    sigma:
        Kernel width in reference standard deviations.
    note:
        Where the events come from, if not from where they should.
    """

    name: str
    reference: NDArray[np.float32]
    chunks: list[NDArray[np.float32]]
    expected: float
    centres: int
    sigma: float
    note: str = ""

    def prepare(
        self, *, share: float = 1.0, device: str = "cpu", loss: LossName = "likelihood"
    ) -> KernelModel:
        """Prepare a model for the first `share` of the reference."""
        from nplmon.nplm import KernelModel  # noqa: PLC0415  # torch: 1 s that the table's process need not wait

        reference = Reference(self.reference[: int(share * len(self.reference))])
        return KernelModel.prepare(
            reference, centres=self.centres, lambda_=LAMBDA, sigma=self.sigma, device=device, loss=loss
        )


def expo_1d(*, quick: bool) -> Problem:
    """N_R = 200,000, N_D = 2,000, M = 1000, sigma = 0.7; a chunk's count fluctuates."""
    rng = np.random.default_rng(SEED)
    events, expected, centres, toys = (4_000, 200, 100, 8) if quick else (200_000, expo.EXPECTED, 1000, TOYS)
    return Problem(
        name="EXPO-1D",
        reference=expo.sample(rng, events),
        chunks=[expo.sample_chunk(rng, float(expected)) for _ in range(toys)],
        expected=float(expected),
        centres=centres,
        sigma=0.7,
    )


def dimuon_5d(*, quick: bool) -> Problem:
    """N_R = 100,000, N_D = 5,000, M = 2000, sigma = 3.49.

    The events are those of a full simulation where its file is, else our sampler's.
    """
    rng = np.random.default_rng(SEED)
    events, size, centres, toys = (4_000, 200, 100, 8) if quick else (100_000, 5_000, 2000, TOYS)
    path = DATA / "dimuon_sm.npz"
    if path.exists():
        sample, note = np.load(path)["events"][:, :5], ""
        sample = sample[rng.permutation(len(sample))[: events + toys * size]]
    else:
        sample, note = dimuon.sample(rng, events + toys * size), f"{path.name} absent: our sampler's events"
    return Problem(
        name="dimuon 5-D",
        reference=np.ascontiguousarray(sample[:events]),
        chunks=[np.ascontiguousarray(one) for one in np.split(sample[events:], toys)],
        expected=float(size),
        centres=centres,
        sigma=3.49,
        note=note,
    )


def level1_24d(*, quick: bool) -> Problem:
    """N_R = 1,000,000, N_D = 10,000, M = 2000, sigma = 9.8: the 90 % quantile of the pair distances."""
    rng = np.random.default_rng(SEED)
    events, size, centres = (4_000, 200, 100) if quick else (1_000_000, 10_000, 2000)
    return Problem(
        name="Level-1 24-D",
        reference=level1.sample(rng, events),
        chunks=[level1.sample(rng, size)],
        expected=float(size),
        centres=centres,
        sigma=9.8,
    )


PROBLEMS = {"expo": expo_1d, "dimuon": dimuon_5d, "level1": level1_24d}
