"""The dimuon generator obeys kinematics and resembles a full simulation."""

from __future__ import annotations

import numpy as np
import pytest

from nplmon.simulators import dimuon, drell_yan
from nplmon.simulators.errors import SimulationError

EVENTS = 200_000


@pytest.fixture(scope="module")
def pairs() -> np.ndarray:
    return dimuon.sample(np.random.default_rng(7), EVENTS)


def _peak(mass: np.ndarray) -> tuple[float, float]:
    """Median and interquartile range of the Z peak, 80 to 102 GeV."""
    low, middle, high = np.percentile(mass[(mass > 80) & (mass < 102)], [25, 50, 75])
    return float(middle), float(high - low)


def _pair_pt(events: np.ndarray) -> np.ndarray:
    pt1, pt2, delta_phi = events[:, 0], events[:, 1], events[:, 4]
    return np.sqrt(pt1**2 + pt2**2 + 2 * pt1 * pt2 * np.cos(delta_phi))


def test_shape_dtype_and_cuts(pairs):
    assert pairs.shape == (EVENTS, 5)
    assert pairs.dtype == np.float32
    assert len(dimuon.FEATURES) == len(dimuon.UNITS) == 5
    assert np.isfinite(pairs).all()
    pt1, pt2, eta1, eta2, delta_phi = pairs.T
    assert (pt1 >= pt2).all()
    assert pt2.min() >= 20
    assert max(np.abs(eta1).max(), np.abs(eta2).max()) < 2.4
    assert delta_phi.min() >= 0
    assert delta_phi.max() < 2 * np.pi
    assert dimuon.invariant_mass(pairs).min() >= 60


def test_conventions_are_those_of_the_real_sample(real_dimuon):
    """Ordering, range of delta_phi, and the formula of the mass, which is the sample's own sixth column."""
    assert (real_dimuon[:, 0] >= real_dimuon[:, 1]).all()
    assert real_dimuon[:, 4].min() >= 0
    assert real_dimuon[:, 4].max() < 2 * np.pi
    np.testing.assert_allclose(dimuon.invariant_mass(real_dimuon[:, :5]), real_dimuon[:, 5], rtol=1e-5)
    assert dimuon.accepted(real_dimuon[:, :5]).mean() > 0.99999


@pytest.mark.parametrize("feature", range(5), ids=dimuon.FEATURES)
def test_marginals_are_close_to_the_real_sample(pairs, real_dimuon, ks_distance, feature):
    """KS distance below 0.015 (measured 0.002 to 0.007, of which 0.002 is statistical: 578,443 against 200,000)."""
    assert ks_distance(pairs[:, feature], real_dimuon[:, feature]) < 0.015


@pytest.mark.parametrize("name", ["mass", "pair pt", "rapidity difference"])
def test_correlations_are_close_to_the_real_sample(pairs, real_dimuon, ks_distance, name):
    """KS distance below 0.02 (measured 0.003 to 0.009) for what five independent marginals would not give."""
    derive = {
        "mass": dimuon.invariant_mass,
        "pair pt": _pair_pt,
        "rapidity difference": lambda events: events[:, 2] - events[:, 3],
    }[name]
    assert ks_distance(derive(pairs), derive(real_dimuon[:, :5])) < 0.02


def test_the_z_peak_has_the_right_place_and_width(pairs, real_dimuon):
    """Median within 0.1 GeV of the real 90.86 (measured -0.02), interquartile range within 5 % (measured -1.8 %)."""
    place, width = _peak(dimuon.invariant_mass(pairs))
    real_place, real_width = _peak(real_dimuon[:, 5])
    assert abs(place - real_place) < 0.1
    assert abs(width / real_width - 1) < 0.05


def test_the_spectrum_falls_as_the_real_one_beyond_the_peak(pairs, real_dimuon):
    """Shares in four mass ranges within 15 % of the real ones plus four Poisson sigma."""
    mass, real = dimuon.invariant_mass(pairs), real_dimuon[:, 5]
    for low, high in ((60, 75), (105, 140), (140, 200), (200, 300)):
        share, expected = (((x > low) & (x < high)).mean() for x in (mass, real))
        assert abs(share - expected) < 0.15 * expected + 4 * np.sqrt(expected / EVENTS), (low, high)


def test_directions_have_no_preferred_side(pairs):
    """Mean of eta within 4 standard errors of 0; delta_phi is symmetric about pi within 4 sigma."""
    for column in (2, 3):
        assert abs(pairs[:, column].mean()) < 4 * pairs[:, column].std() / np.sqrt(EVENTS)
    assert abs((pairs[:, 4] > np.pi).mean() - 0.5) < 4 * 0.5 / np.sqrt(EVENTS)


def test_the_decay_angle_follows_one_plus_cosine_squared(rng):
    """Mean of cos^2 is 2/5 with standard deviation 0.303: within 4 standard errors for 10^6 draws."""
    cosine = drell_yan.decay_cosine(rng, 1_000_000)
    assert np.abs(cosine).max() <= 1
    assert abs((cosine**2).mean() - 0.4) < 4 * 0.303 / 1000
    assert abs(cosine.mean()) < 4 * np.sqrt(0.4) / 1000


def test_rapidity_stays_inside_the_kinematic_bound():
    """Above |y| = ln(sqrt(s)/M) a parton would carry more than the proton: no density, and no draw."""
    mass = np.array([3000.0])
    bound = np.log(drell_yan.SQRT_S / mass)
    assert drell_yan.mass_density(mass, bound * 1.001) == 0
    assert drell_yan.mass_density(mass, bound * 0.9) > 0
    heavy = drell_yan.rapidity(np.random.default_rng(1), np.full(20_000, 5000.0))
    assert np.abs(heavy).max() <= np.log(drell_yan.SQRT_S / 5000)


def test_the_amplitude_has_photon_and_z():
    """The photon alone far below the Z (Q^2), and a peak of the Z's mass and width."""
    up = drell_yan._coupling(np.array([1.0]), 2 / 3, 0.5)
    assert up[0] == pytest.approx(4 / 9, rel=1e-3)
    mass = np.linspace(80, 100, 20_001)
    coupling = drell_yan._coupling(mass, 2 / 3, 0.5)
    assert mass[coupling.argmax()] == pytest.approx(drell_yan.Z_MASS, abs=0.1)
    half = mass[coupling > coupling.max() / 2]
    assert half[-1] - half[0] == pytest.approx(drell_yan.Z_WIDTH, rel=0.03)


@pytest.mark.parametrize(("charge", "isospin"), [(2 / 3, 0.5), (-1 / 3, -0.5)], ids=["up", "down"])
def test_the_amplitude_is_the_mean_of_its_helicities(charge, isospin):
    """|Q Q_l + g g_l / (sin^2 cos^2) s / (s - M^2 + i s Gamma / M)|^2, g_L = T3 - Q sin^2, g_R = -Q sin^2."""
    s = np.linspace(60, 400, 100) ** 2
    sin2 = drell_yan.SIN2_THETA
    propagator = s / (s - drell_yan.Z_MASS**2 + 1j * s * drell_yan.Z_WIDTH / drell_yan.Z_MASS)
    quark, lepton = ((t3 - q * sin2, -q * sin2) for q, t3 in ((charge, isospin), (-1, -0.5)))
    amplitudes = [
        np.abs(-charge + g * h / (sin2 * (1 - sin2)) * propagator) ** 2 for g in quark for h in lepton
    ]
    np.testing.assert_allclose(drell_yan._coupling(np.sqrt(s), charge, isospin), np.mean(amplitudes, axis=0))


@pytest.mark.parametrize("mass", [150.0, 300.0, 1000.0])
def test_a_resonance_peaks_at_its_mass(rng, mass):
    """Median 0 to 2 % below the pole (photons carry some away); half of the pairs within 5 %."""
    found = dimuon.invariant_mass(dimuon.sample_resonance(rng, 20_000, mass=mass, width=mass / 100))
    assert 0.98 * mass < np.median(found) < 1.002 * mass
    assert (np.abs(found / mass - 1) < 0.05).mean() > 0.5


def test_a_wider_resonance_is_wider(rng):
    widths = [
        np.subtract(
            *np.percentile(dimuon.invariant_mass(dimuon.sample_resonance(rng, 20_000, width=w)), [75, 25])
        )
        for w in (0.0, 6.0, 30.0)
    ]
    assert widths[0] < widths[1] < widths[2]
    assert widths[2] > 25


def test_a_mixture_holds_its_fraction(rng):
    """10 % of 20,000 at 300 GeV: the share above 250 GeV within 4 sigma (0.0085) of 0.098, 2 % being in the wing."""
    mixed = dimuon.sample_mixture(rng, 20_000, fraction=0.1)
    above = dimuon.invariant_mass(mixed) > 250
    assert abs(above.mean() - 0.098) < 0.0085
    first = above[:10_000].mean()
    assert abs(first - above[10_000:].mean()) < 4 * np.sqrt(2 * 0.09 / 10_000)


def test_ordered_swaps_the_muons_and_turns_delta_phi():
    events = np.array([[30, 40, 1, 2, 1.5], [40, 30, 1, 2, 1.5]], dtype=np.float32)
    expected = np.array([[40, 30, 2, 1, 2 * np.pi - 1.5], [40, 30, 1, 2, 1.5]])
    np.testing.assert_allclose(dimuon.ordered(events), expected, rtol=1e-6)
    np.testing.assert_allclose(
        dimuon.invariant_mass(dimuon.ordered(events)), dimuon.invariant_mass(events), rtol=1e-6
    )


def test_the_same_seed_gives_the_same_events():
    first, second, other = (dimuon.sample(np.random.default_rng(seed), 1000) for seed in (3, 3, 4))
    assert (first == second).all()
    assert not (first == other).any(axis=0).all()


def test_small_counts_and_refusals(rng):
    assert dimuon.sample(rng, 0).shape == (0, 5)
    assert dimuon.sample(rng, 1).shape == (1, 5)
    with pytest.raises(SimulationError, match="mass is 20: give a value from 70 to 3000 GeV"):
        dimuon.sample_resonance(rng, 10, mass=20.0)
    with pytest.raises(SimulationError, match="width is 100"):
        dimuon.sample_resonance(rng, 10, mass=300.0, width=100.0)
    with pytest.raises(SimulationError, match=r"fraction is 1\.5"):
        dimuon.sample_mixture(rng, 10, fraction=1.5)
