"""Each fault does what it says, in proportion to its strength, and nothing at strength 0."""

from __future__ import annotations

import numpy as np
import pytest

from nplmon.simulators.errors import SimulationError
from nplmon.simulators.faults import DeadSector, EfficiencyLoss, GainShift, NoiseBurst, PileUpDrift

NAMES = ("a", "b", "c")
FAULTS = {
    "dead sector": DeadSector(NAMES, {"a": (0.2, 0.4), "c": (0.0, 0.5)}),
    "gain shift": GainShift(NAMES, ("a", "b")),
    "noise burst": NoiseBurst(),
    "efficiency loss": EfficiencyLoss(NAMES, "b", threshold=0.0, scale=0.2),
    "pile-up": PileUpDrift(NAMES, ("a",)),
}


@pytest.fixture
def events(rng) -> np.ndarray:
    return rng.random((50_000, 3), dtype=np.float32)


@pytest.mark.parametrize("name", FAULTS)
def test_strength_zero_changes_nothing_and_the_input_is_kept(rng, events, name):
    before = events.copy()
    np.testing.assert_array_equal(FAULTS[name](rng, events, 0.0), before)
    spoiled = FAULTS[name](rng, events, 0.5)
    assert spoiled.dtype == np.float32
    assert spoiled.shape[1] == 3
    assert spoiled.shape != before.shape or (spoiled != before).any()
    np.testing.assert_array_equal(events, before)


@pytest.mark.parametrize("name", FAULTS)
def test_an_empty_chunk_stays_empty(rng, name):
    assert FAULTS[name](rng, np.empty((0, 3), dtype=np.float32), 0.3).shape == (0, 3)


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_a_dead_sector_loses_its_box_and_no_more(rng, events, strength):
    """The box holds 5,000 of 50,000 events: 4 sigma of what is lost is 4 sqrt(5000)."""
    left = FAULTS["dead sector"](rng, events, strength)
    assert abs(len(events) - len(left) - strength * 5000) < 4 * np.sqrt(5000)

    def outside(x: np.ndarray) -> int:
        return int((~((x[:, 0] >= 0.2) & (x[:, 0] < 0.4) & (x[:, 2] < 0.5))).sum())

    assert outside(left) == outside(events)


def test_a_gain_shift_scales_its_features(rng, events):
    np.testing.assert_allclose(
        FAULTS["gain shift"](rng, events, -0.02), events * np.float32([0.98, 0.98, 1.0]), rtol=1e-6
    )


def test_a_noise_burst_adds_uncorrelated_events(rng):
    """5 % of noise in a sample on the diagonal: 2,500 events more, most of them off the diagonal."""
    line = np.repeat(rng.random((50_000, 1), dtype=np.float32), 3, axis=1)
    noisy = FAULTS["noise burst"](rng, line, 0.05)
    assert len(noisy) == 52_500
    off = np.abs(noisy[:, 0] - noisy[:, 1]) > 0.01
    assert 2400 < off.sum() <= 2500
    assert abs(off[:26_250].sum() - off.sum() / 2) < 4 * 25
    assert noisy.min() >= line.min()
    assert noisy.max() <= line.max()


def test_an_efficiency_loss_follows_its_turn_on(rng, events):
    """Loss 0.5 exp(-b / 0.2): in b < 0.02 about 0.476, in b > 0.9 below 0.006 + 4 sigma (0.004)."""
    left = FAULTS["efficiency loss"](rng, events, 0.5)

    def lost(low: float, high: float) -> float:
        before, after = (((x[:, 1] >= low) & (x[:, 1] < high)).sum() for x in (events, left))
        return 1 - after / before

    assert abs(lost(0, 0.02) - 0.476) < 4 * 0.5 / np.sqrt(1000)
    assert lost(0.9, 1.0) < 0.01


def test_pile_up_adds_the_mean_it_says(rng, events):
    """Exponential of mean 0.3: within 4 standard errors; other features untouched."""
    raised = FAULTS["pile-up"](rng, events, 0.3)
    added = (raised - events).astype(np.float64)
    assert abs(added[:, 0].mean() - 0.3) < 4 * 0.3 / np.sqrt(50_000)
    assert added[:, 0].min() >= 0
    assert (added[:, 1:] == 0).all()


def test_refusals(rng, events):
    with pytest.raises(SimulationError, match="no feature 'z': choose from a, b, c"):
        GainShift(NAMES, ("z",))
    with pytest.raises(SimulationError, match="the sector names 1 features: name two"):
        DeadSector(NAMES, {"a": (0, 1)})
    with pytest.raises(SimulationError, match=r"strength is 1\.2"):
        FAULTS["dead sector"](rng, events, 1.2)
    with pytest.raises(SimulationError, match=r"strength is -0\.1"):
        FAULTS["noise burst"](rng, events, -0.1)
    with pytest.raises(SimulationError, match="scale is 0"):
        EfficiencyLoss(NAMES, "a", threshold=0, scale=0)
