"""Small samples of the exponential benchmark, as files and as arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nplmon.offline.analysis import Analysis, analyse
from nplmon.offline.chunk import cut
from nplmon.offline.sample import Sample, Source
from nplmon.offline.settings import Settings
from nplmon.simulators import expo

KERNEL = Settings(centres=100, sigmas=(0.7,))
REFERENCE_EVENTS = 20_000


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Keep torch on one core: the problems are small and other work runs beside the tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sample(*parts: NDArray[np.floating], weights: NDArray[np.float64] | None = None) -> Sample:
    """Give events as if each part had come from a file."""
    width = parts[0].shape[1]
    return Sample(
        events=np.concatenate(parts).astype(np.float32),
        weights=weights,
        features=tuple("xyz"[:width]),
        units=("mm", "", "")[:width],
        sources=tuple(
            Source(file=f"part{number}.npy", sha256="0" * 64, events=len(part))
            for number, part in enumerate(parts)
        ),
    )


def silent(_what: str, _done: int, _total: int) -> None:
    pass


def exponential(seed: int, count: int) -> NDArray[np.float32]:
    return expo.sample(np.random.default_rng(seed), count)


@pytest.fixture(scope="session")
def reference() -> Sample:
    return sample(exponential(1, REFERENCE_EVENTS))


Compare = Callable[..., Analysis]


@pytest.fixture(scope="session")
def compare(reference: Sample) -> Compare:
    """Analyse data against the reference: `compare(events, ..., size=500, analysis="sum")`."""

    def run(
        *parts: NDArray[np.floating],
        size: int | None = None,
        expected: list[float] | None = None,
        base: Sample | None = None,
        **settings: object,
    ) -> Analysis:
        data = sample(*parts)
        asked = replace(KERNEL, **settings)  # type: ignore[arg-type]  # by name
        return analyse(asked, base or reference, data, cut(data, size, expected), silent)

    return run


@pytest.fixture(scope="session")
def null(compare: Compare) -> Analysis:
    return compare(exponential(2, 2_000), size=500, analysis="aggregation", toys=20)


@pytest.fixture(scope="session")
def anomaly(compare: Compare) -> Analysis:
    rng = np.random.default_rng(3)
    return compare(
        *(expo.sample_chunk(rng, 500, "bulk", strength=3.0) for _ in range(4)), analysis="aggregation"
    )
