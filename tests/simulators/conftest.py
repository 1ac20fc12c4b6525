"""Distances between samples, and the real dimuon sample."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def real_dimuon() -> np.ndarray:
    """Read the Standard Model sample of the data folder: pt1, pt2, eta1, eta2, delta_phi, mass."""
    default = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
    path = Path(os.environ.get("NPLMON_TEST_DATA", default)) / "dimuon_sm.npz"
    if not path.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{path} is missing; in CI the test data must be there")
        pytest.skip(f"{path} is missing; set NPLMON_TEST_DATA")
    with np.load(path, allow_pickle=False) as archive:
        return archive["events"]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261122)


@pytest.fixture(scope="session")
def ks_distance():
    """Measure the largest difference of the cumulative distributions of two samples."""

    def distance(first: np.ndarray, second: np.ndarray) -> float:
        at = np.concatenate([first, second])
        shares = [np.searchsorted(np.sort(x), at, side="right") / len(x) for x in (first, second)]
        return float(np.abs(shares[0] - shares[1]).max())

    return distance
