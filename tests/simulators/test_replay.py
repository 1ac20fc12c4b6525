"""Files replayed as chunks: order, labels, start."""

from __future__ import annotations

import numpy as np
import pytest

from nplmon.client import FileError
from nplmon.simulators.errors import SimulationError
from nplmon.simulators.replay import replay


@pytest.fixture
def files(tmp_path):
    """25 ordinary events numbered from 0, 12 disturbed ones from 100, in columns b and a."""
    for name, begin, count in (("ordinary", 0, 25), ("disturbed", 100, 12)):
        x = np.arange(begin, begin + count, dtype=np.float32)
        np.savez(tmp_path / f"{name}.npz", events=np.stack([-x, x], axis=1), features=np.array(["b", "a"]))
    return tmp_path / "ordinary.npz", tmp_path / "disturbed.npz"


def test_full_chunks_in_order_then_the_disturbed_ones(files):
    chunks = list(replay([files[0]], 10, features=("a",), disturbed=[files[1]]))
    assert [(c.number, c.anomalous, len(c.events)) for c in chunks] == [
        (1, False, 10),
        (2, False, 10),
        (3, True, 10),
    ]
    np.testing.assert_array_equal(chunks[1].events[:, 0], np.arange(10, 20))
    np.testing.assert_array_equal(chunks[2].events[:, 0], np.arange(100, 110))


def test_the_start_cuts_the_ordinary_files(files):
    chunks = list(replay([files[0]], 5, disturbed=[files[1]], start=3))
    assert [c.anomalous for c in chunks] == [False, False, True, True]
    assert chunks[0].events.shape == (5, 2)
    assert [c.anomalous for c in replay([files[0]], 5, disturbed=[files[1]], start=1)] == [True, True]


def test_refusals(files, tmp_path):
    with pytest.raises(SimulationError, match="size is 0"):
        next(replay([files[0]], 0))
    with pytest.raises(SimulationError, match="start is 0"):
        next(replay([files[0]], 5, start=0))
    with pytest.raises(FileError, match=r"none\.npz"):
        next(replay([tmp_path / "none.npz"], 5))
