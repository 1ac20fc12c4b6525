"""The Level-1-like sample has the layout and traits of trigger data."""

from __future__ import annotations

import numpy as np
import pytest

from nplmon.simulators import level1
from nplmon.simulators.errors import SimulationError


@pytest.fixture(scope="module")
def objects() -> np.ndarray:
    """(events, 8 objects, 3 quantities)."""
    return level1.sample(np.random.default_rng(5), 100_000).reshape(-1, 8, 3)


def test_layout(objects):
    assert len(level1.FEATURES) == len(level1.UNITS) == 24
    assert level1.FEATURES[:3] == ("jet1_pt", "jet1_eta", "jet1_phi")
    assert objects.dtype == np.float32
    assert np.isfinite(objects).all()


def test_absent_objects_are_all_zero(objects):
    absent = objects[:, :, 0] == 0
    assert (objects[absent] == 0).all()
    assert absent.any(axis=0).all()
    assert not absent.all(axis=0).any()
    assert (~absent).any(axis=1).all()


@pytest.mark.parametrize("kind", [slice(0, 4), slice(4, 6), slice(6, 8)], ids=["jets", "electrons", "muons"])
def test_each_kind_falls_in_pt(objects, kind):
    assert (np.diff(objects[:, kind, 0], axis=1) <= 0).all()


def test_acceptances_and_saturation(objects):
    pt, eta, phi = objects.transpose(2, 0, 1)
    for kind, pt_minimum, eta_maximum in (
        (slice(0, 4), 20, 4.0),
        (slice(4, 6), 10, 2.5),
        (slice(6, 8), 3, 2.4),
    ):
        present = pt[:, kind] > 0
        assert pt[:, kind][present].min() >= pt_minimum
        assert np.abs(eta[:, kind]).max() < eta_maximum
    assert pt.max() <= level1.SATURATION
    assert np.abs(phi).max() <= np.float32(np.pi)


def test_spectra_fall_as_a_power(objects):
    """The hard scale falls as its 4th power: twice the pt leaves 1/8; jets above 100 and 200 GeV, 0.10 to 0.15."""
    pt = objects[:, 0, 0]
    assert 0.10 < (pt > 200).sum() / (pt > 100).sum() < 0.15


def test_objects_are_correlated(objects):
    """The two leading jets balance: back to back within 1 rad in most events, and pts correlate in rank."""
    both = objects[(objects[:, 1, 0] > 0)]
    apart = np.abs(np.mod(both[:, 0, 2] - both[:, 1, 2], 2 * np.pi) - np.pi)
    assert (apart < 1).mean() > 0.8
    ranks = [np.argsort(np.argsort(both[:, i, 0])) for i in (0, 1)]
    assert np.corrcoef(*ranks)[0, 1] > 0.5


def test_the_signal_has_two_hard_muons(rng):
    signal = level1.sample_signal(rng, 5000).reshape(-1, 8, 3)
    assert (signal[:, 6, 0] > 50).mean() > 0.95
    assert (signal[:, 7, 0] > 50).mean() > 0.9
    ordinary = level1.sample(rng, 5000).reshape(-1, 8, 3)
    assert (ordinary[:, 7, 0] > 50).mean() < 0.01


def test_blocks_hold_every_event_once(rng):
    sizes = [len(block) for block in level1.blocks(rng, 100_000, size=30_000)]
    assert sizes == [30_000, 30_000, 30_000, 10_000]
    assert list(level1.blocks(rng, 0)) == []
    with pytest.raises(SimulationError, match="size is 0"):
        next(level1.blocks(rng, 10, size=0))


class Zeros(np.random.Generator):
    """Gives the one uniform number in 2^24 that is exactly 0, each time."""

    def random(self, size=None, dtype=np.float64, out=None):
        return np.zeros(size, dtype=dtype)


def test_a_uniform_number_of_zero_makes_no_infinite_event():
    assert np.isfinite(level1.sample(Zeros(np.random.PCG64(1)), 100)).all()
