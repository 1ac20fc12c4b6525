"""Samples and references of the numerical core's tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

DATA = Path(os.environ.get("NPLMON_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Keep torch on one core: the problems are small and other work runs beside the tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def dimuon() -> NDArray[np.float32]:
    """Give the simulated dimuon sample in a fixed random order: pt1, pt2, eta1, eta2, delta_phi, (N, 5)."""
    path = DATA / "dimuon_sm.npz"
    if not path.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{path} is missing: set NPLMON_TEST_DATA to the folder that holds it")
        pytest.skip(f"{path} is missing")
    events = np.load(path)["events"][:, :5]
    return np.ascontiguousarray(events[np.random.default_rng(2026).permutation(len(events))])
