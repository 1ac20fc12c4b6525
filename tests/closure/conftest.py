"""One core for torch, and where the dimuon sample is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

DATA = Path(os.environ.get("NPLMON_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Keep torch on one core: the problems are small and other work runs beside the tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def muons() -> str:
    path = DATA / "dimuon_sm.npz"
    if not path.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{path} is missing: set NPLMON_TEST_DATA to the folder that holds it")
        pytest.skip(f"{path} is missing")
    return str(path)


def silent(_what: str, _done: int, _total: int) -> None:
    """Show no progress."""
