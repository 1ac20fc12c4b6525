"""Pairs of muons from proton collisions at 13 TeV, after M >= 60 GeV, pt >= 20 GeV, |eta| < 2.4.

A Monte Carlo of the leading process q qbar -> photon*, Z -> mu+ mu- with what shapes the five features:

- mass: photon, Z and their interference, times a parton luminosity;
- rapidity of the pair: the same parton densities, bounded by ln(sqrt(s)/M);
- transverse momentum of the pair: a soft peak with a tail that ends at the hard scale M;
- decay: 1 + cos^2(theta) in the Collins-Soper frame, collinear photons, a tracker's resolution.

Muons are massless; `delta_phi` is phi2 - phi1 in [0, 2 pi), the first muon is the harder one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nplmon.simulators import drell_yan
from nplmon.simulators.errors import positive_count, within

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]

__all__ = [
    "ETA_MAXIMUM",
    "FEATURES",
    "MASS_MINIMUM",
    "PT_MINIMUM",
    "UNITS",
    "accepted",
    "invariant_mass",
    "ordered",
    "sample",
    "sample_mixture",
    "sample_resonance",
]

FEATURES = ("pt1", "pt2", "eta1", "eta2", "delta_phi")
UNITS = ("GeV", "GeV", "", "", "rad")

PT_MINIMUM = 20.0
ETA_MAXIMUM = 2.4
MASS_MINIMUM = 60.0

# Detector constants, set together with those of the pair's transverse momentum so that the marginals agree
# with a full simulation (leading-order generator, parton shower, CMS-like detector) to a few per mille.
RESOLUTION = np.array([0.0135, 0.022, 0.028], dtype=np.float32)
ISOLATION = 0.26

_BLOCK = 65_536


def invariant_mass(events: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mass of each pair, M^2 = 2 pt1 pt2 (cosh(eta1 - eta2) - cos(delta_phi)).

    Parameters
    ----------
    events : array (N, 5)
        Columns as in `FEATURES`.

    Returns
    -------
    array (N,) of float64
        GeV.

    Examples
    --------
    >>> import numpy as np
    >>> invariant_mass(np.array([[45.0, 45.0, 0.0, 0.0, np.pi]])).round(3)
    array([90.])
    """
    pt1, pt2, eta1, eta2, delta_phi = np.asarray(events, dtype=np.float64).T
    mass: NDArray[np.float64] = np.sqrt(2 * pt1 * pt2 * (np.cosh(eta1 - eta2) - np.cos(delta_phi)))
    return mass


def accepted(events: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tell which pairs pass M >= 60 GeV, pt >= 20 GeV and |eta| < 2.4."""
    inside = (events[:, :2] >= PT_MINIMUM).all(axis=1) & (np.abs(events[:, 2:4]) < ETA_MAXIMUM).all(axis=1)
    passed: NDArray[np.bool_] = inside & (invariant_mass(events) >= MASS_MINIMUM)
    return passed


def ordered(events: NDArray[np.float32]) -> NDArray[np.float32]:
    """Name the harder muon the first one: swap (pt, eta) and turn delta_phi round where pt1 < pt2."""
    swapped = events[:, 0] < events[:, 1]
    result = events.copy()
    result[swapped] = events[swapped][:, [1, 0, 3, 2, 4]]
    result[swapped, 4] = _wrapped(-events[swapped, 4])
    return result


def sample(rng: np.random.Generator, events: int) -> NDArray[np.float32]:
    """Draw accepted Drell-Yan pairs.

    Parameters
    ----------
    rng : numpy Generator
    events : int
        Number of pairs after all cuts.

    Returns
    -------
    array (events, 5) of float32
        Columns as in `FEATURES`, units as in `UNITS`.

    Raises
    ------
    SimulationError
        If `events` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> pairs = sample(np.random.default_rng(1), 1000)
    >>> pairs.shape, bool((pairs[:, 0] >= pairs[:, 1]).all())
    ((1000, 5), True)
    """
    return _fill(rng, events, drell_yan.mass)


def sample_resonance(
    rng: np.random.Generator, events: int, *, mass: float = 300.0, width: float = 6.0
) -> NDArray[np.float32]:
    """Draw accepted pairs from a narrow spin-1 resonance.

    The mass follows a Breit-Wigner, p(M) ~ 1 / ((M - mass)^2 + width^2 / 4), cut at 15 widths and below
    at 55 GeV; the rest is as in `sample`, resolution and radiation included.

    Parameters
    ----------
    rng : numpy Generator
    events : int
        Number of pairs after all cuts.
    mass, width : float
        Pole and full width at half maximum, GeV.

    Returns
    -------
    array (events, 5) of float32

    Raises
    ------
    SimulationError
        If `mass` is outside 70 to 3000 GeV or `width` outside 0 to mass / 10.

    Examples
    --------
    >>> import numpy as np
    >>> pairs = sample_resonance(np.random.default_rng(1), 2000, mass=300.0)
    >>> bool(295 < np.median(invariant_mass(pairs)) < 301)
    True
    """
    within("mass", mass, 70.0, 3000.0, "GeV")
    within("width", width, 0.0, mass / 10, "GeV")

    def draw(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
        lowest = max(mass - 15 * width, drell_yan.MASS_LOW)
        low, high = (np.arctan2(2 * (end - mass), width) for end in (lowest, mass + 15 * width))
        return mass + 0.5 * width * np.tan(rng.uniform(low, high, size))

    return _fill(rng, events, draw)


def sample_mixture(
    rng: np.random.Generator, events: int, *, fraction: float, mass: float = 300.0, width: float = 6.0
) -> NDArray[np.float32]:
    """Draw Drell-Yan pairs of which each is, with probability `fraction`, a pair from the resonance instead.

    Raises
    ------
    SimulationError
        If `fraction` is outside 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> pairs = sample_mixture(np.random.default_rng(1), 2000, fraction=0.5)
    >>> bool(0.4 < (invariant_mass(pairs) > 250).mean() < 0.6)
    True
    """
    positive_count("events", events)
    within("fraction", fraction, 0.0, 1.0)
    signal = int(rng.binomial(events, fraction))
    mixture = np.concatenate(
        [sample(rng, events - signal), sample_resonance(rng, signal, mass=mass, width=width)]
    )
    return rng.permutation(mixture)


def _fill(rng: np.random.Generator, events: int, draw_mass: Draw) -> NDArray[np.float32]:
    """Generate blocks until `events` pairs are accepted."""
    positive_count("events", events)
    result = np.empty((events, len(FEATURES)), dtype=np.float32)
    filled = 0
    while filled < events:
        # About four pairs in ten pass; a small request should not pay for a full block.
        size = min(_BLOCK, 3 * (events - filled) + 64)
        block = _pairs(rng, draw_mass(rng, size))
        block = block[: events - filled]
        result[filled : filled + len(block)] = block
        filled += len(block)
    return result


def _pairs(rng: np.random.Generator, mass: NDArray[np.float64]) -> NDArray[np.float32]:
    """Give each mass a rapidity, a transverse momentum and a decay; measure, cut, order."""
    size = len(mass)
    rapidity = drell_yan.rapidity(rng, mass).astype(np.float32)
    pt_pair = drell_yan.pair_pt(rng, mass).astype(np.float32)
    mass32 = mass.astype(np.float32)

    cosine = drell_yan.decay_cosine(rng, size)
    azimuth = rng.random(size, dtype=np.float32) * np.float32(2 * np.pi)
    half = mass32 / 2
    across = half * np.sqrt(1 - cosine**2)
    px, py, pz = across * np.cos(azimuth), across * np.sin(azimuth), half * cosine

    # Collins-Soper axes: the frame reached by a boost along z, then one along the transverse momentum (x).
    mt_over_mass = np.sqrt(1 + (pt_pair / mass32) ** 2)
    push = pt_pair / 2
    px1, px2 = mt_over_mass * px + push, push - mt_over_mass * px
    pt1, pt2 = np.hypot(px1, py), np.hypot(px2, py)
    eta1, eta2 = rapidity + np.arcsinh(pz / pt1), rapidity - np.arcsinh(pz / pt2)
    # Measure only what can pass: the rest is two thirds of the work.
    near = (np.abs(eta1) < ETA_MAXIMUM) & (np.abs(eta2) < ETA_MAXIMUM)
    near &= (pt1 > 0.85 * PT_MINIMUM) & (pt2 > 0.85 * PT_MINIMUM)
    eta1, eta2, mass32 = eta1[near], eta2[near], mass32[near]
    share1, share2 = drell_yan.radiated(rng, mass32), drell_yan.radiated(rng, mass32)
    pt1, pt2 = _measured(rng, pt1[near] * (1 - share1), eta1), _measured(rng, pt2[near] * (1 - share2), eta2)
    delta_phi = _wrapped(np.arctan2(-py[near], px2[near]) - np.arctan2(py[near], px1[near]))
    block = np.stack([pt1, pt2, eta1, eta2, delta_phi], axis=1)
    kept = _detected(rng, eta1, share1) & _detected(rng, eta2, share2)
    return ordered(block[kept & accepted(block)])


def _detected(
    rng: np.random.Generator, eta: NDArray[np.float32], share: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Lose muons near the end of the tracker (1 - 0.23 (|eta| / 2.4)^6 remain) and 8 in 10 not isolated.

    `share` is the part of the muon's momentum that went to its photon.
    """
    lost = np.float32(0.23) * (np.abs(eta) / np.float32(ETA_MAXIMUM)) ** 6
    lost += np.float32(0.8) * (share > ISOLATION)
    return rng.random(len(eta), dtype=np.float32) >= lost


def _measured(
    rng: np.random.Generator, pt: NDArray[np.float32], eta: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Smear momenta by a tracker's resolution: worse for forward tracks and for stiff ones.

    sigma(pt)/pt = hypot(c, 1e-4 pt) with c = 1.35, 2.2, 2.8 % in |eta| below 0.5, below 1.5 and above.
    """
    region = (np.abs(eta) > 0.5).astype(np.intp) + (np.abs(eta) > 1.5)
    relative: NDArray[np.float32] = np.hypot(RESOLUTION[region], np.float32(1e-4) * pt)
    return pt * (1 + relative * rng.standard_normal(len(pt), dtype=np.float32))


def _wrapped(angle: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring an angle into [0, 2 pi)."""
    turn = np.float32(2 * np.pi)
    wrapped = np.mod(angle, turn)
    # A tiny negative angle rounds to 2 pi itself in float32.
    return np.where(wrapped >= turn, np.float32(0), wrapped)
