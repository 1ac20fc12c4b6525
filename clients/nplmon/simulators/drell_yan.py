"""The Drell-Yan process q qbar -> photon*, Z -> mu+ mu-: mass, rapidity, pt, decay, radiation.

Each law is a table made once from its formula and sampled by its inverse; nothing here knows of a detector.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RAPIDITY_MAXIMUM", "decay_cosine", "mass", "mass_density", "pair_pt", "radiated", "rapidity"]

SQRT_S = 13_000.0
Z_MASS, Z_WIDTH = 91.1876, 2.4952
SIN2_THETA = 0.2312
ALPHA = 1 / 137.036
MUON_MASS = 0.10566

# The rapidity of a pair lies between those of its two muons, so pairs beyond the muons' cut never pass it.
RAPIDITY_MAXIMUM = 2.4
# Masses start below the cut at 60 GeV because resolution lifts a few pairs over it.
MASS_LOW, MASS_HIGH = 55.0, 6_000.0

# Shape of the pair's transverse momentum at the Z mass, GeV.
PT_CORE, PT_POWER, PT_END = 5.0, 1.17, 53.0


def _coupling(mass: NDArray[np.float64], charge: float, isospin: float) -> NDArray[np.float64]:
    """Squared amplitude of photon, interference and Z for one quark, in e^4 (PDG, Electroweak model).

    Q^2 + 2 Q Q_l v v_l Re(chi) + (v^2 + a^2)(v_l^2 + a_l^2) |chi|^2 with v = T3 - 2 Q sin^2, a = T3 and
    chi = s / (4 sin^2 cos^2 (s - M_Z^2 + i s Gamma_Z / M_Z)).
    """
    s = mass**2
    chi = s / (4 * SIN2_THETA * (1 - SIN2_THETA)) / (s - Z_MASS**2 + 1j * s * Z_WIDTH / Z_MASS)
    vector, lepton_vector = isospin - 2 * charge * SIN2_THETA, -0.5 + 2 * SIN2_THETA
    z_squared = (vector**2 + isospin**2) * (lepton_vector**2 + 0.25)
    return charge**2 - 2 * charge * vector * lepton_vector * chi.real + z_squared * np.abs(chi) ** 2


def _luminosities(
    mass: NDArray[np.float64], rapidity: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Products x1 q(x1) x2 qbar(x2), both ways round, for up-like and down-like quarks.

    Zero beyond |y| = ln(sqrt(s)/M). Valence x^0.5 (1-x)^3.5 and x^0.5 (1-x)^4.5 normalised to two u
    and one d, sea 0.1 x^-0.33 (1-x)^7: a proton seen at Q ~ 100 GeV to about 20 %, which is what mass and
    rapidity need. Strange, charm and bottom are fractions of the sea.
    """
    x1, x2 = (np.minimum(mass / SQRT_S * np.exp(sign * rapidity), 1.0) for sign in (1, -1))

    def valence(x: NDArray[np.float64], norm: float, power: float) -> NDArray[np.float64]:
        return norm * np.sqrt(x) * (1 - x) ** power

    def sea(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return 0.1 * x**-0.33 * (1 - x) ** 7

    both = 2 * sea(x1) * sea(x2)
    up = valence(x1, 2.33, 3.5) * sea(x2) + sea(x1) * valence(x2, 2.33, 3.5) + 1.36 * both
    down = valence(x1, 1.29, 4.5) * sea(x2) + sea(x1) * valence(x2, 1.29, 4.5) + 1.80 * both
    return up, down


def mass_density(mass: NDArray[np.float64], rapidity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross section d sigma / dM dy before cuts, arbitrary units: sum of coupling x luminosity / M^3.

    Parameters
    ----------
    mass, rapidity : arrays that broadcast
        GeV; rapidity of the pair.
    """
    up, down = _luminosities(mass, rapidity)
    return (_coupling(mass, 2 / 3, 0.5) * up + _coupling(mass, -1 / 3, -0.5) * down) / mass**3


class _MassTable(NamedTuple):
    mass: NDArray[np.float64]
    cumulative: NDArray[np.float64]


def _integral(density: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulative trapezoid along the last axis, from 0 to 1."""
    pieces = 0.5 * (density[..., 1:] + density[..., :-1]) * np.diff(at)
    total = np.concatenate([np.zeros((*pieces.shape[:-1], 1)), np.cumsum(pieces, axis=-1)], axis=-1)
    cumulative: NDArray[np.float64] = total / total[..., -1:]
    return cumulative


@cache
def _mass_table() -> _MassTable:
    """Cumulative mass spectrum; nodes crowd under the Z peak, so that straight lines between them suffice."""
    peak = Z_MASS + Z_WIDTH * np.tan(np.linspace(-1.5, 1.5, 601))
    mass = np.unique(
        np.concatenate([np.geomspace(MASS_LOW, MASS_HIGH, 900), peak[(peak > MASS_LOW) & (peak < 200)]])
    )
    rapidity = np.linspace(-RAPIDITY_MAXIMUM, RAPIDITY_MAXIMUM, 49)
    spectrum = mass_density(mass[:, None], rapidity[None, :]).sum(axis=1)
    return _MassTable(mass, _integral(spectrum, mass))


def mass(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Draw masses of pairs with |y| < 2.4, GeV."""
    table = _mass_table()
    return np.interp(rng.random(size), table.cumulative, table.mass)


_RAPIDITY_MASSES = np.geomspace(MASS_LOW, MASS_HIGH, 24)
_RAPIDITY_STEPS = 256


def _rapidity_bound(mass: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest |y|: both partons must have x < 1, and the muons must stay inside their cut."""
    return np.minimum(np.log(SQRT_S / mass), RAPIDITY_MAXIMUM)


@cache
def _rapidity_table() -> NDArray[np.float64]:
    """Quantiles of the rapidity at each of a few masses (rows); columns are equal steps of probability."""
    probability = np.linspace(0, 1, _RAPIDITY_STEPS + 1)
    rows = []
    for mass, bound in zip(_RAPIDITY_MASSES, _rapidity_bound(_RAPIDITY_MASSES), strict=True):
        rapidity = np.linspace(-bound, bound, 961)
        rows.append(np.interp(probability, _integral(mass_density(mass, rapidity), rapidity), rapidity))
    return np.stack(rows)


def rapidity(rng: np.random.Generator, mass: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw a rapidity for each pair, from the parton densities at its mass."""
    table = _rapidity_table()
    place = np.log(mass / MASS_LOW) * ((len(table) - 1) / np.log(MASS_HIGH / MASS_LOW))
    # Stochastic rounding mixes the laws of the two nearest rows: a linear interpolation in density.
    row = np.clip(place + rng.random(len(mass)), 0, len(table) - 1).astype(np.intp)
    step = rng.random(len(mass)) * _RAPIDITY_STEPS
    below = step.astype(np.intp)
    flat = row * (_RAPIDITY_STEPS + 1) + below
    low, high = table.ravel()[flat], table.ravel()[flat + 1]
    # The row below in mass reaches a little beyond the bound of this mass.
    bound = _rapidity_bound(mass)
    drawn: NDArray[np.float64] = np.clip(low + (step - below) * (high - low), -bound, bound)
    return drawn


@cache
def _pt_table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pt = np.concatenate([np.linspace(0, 60, 601), np.geomspace(60.2, 400, 200)])
    density = pt / (1 + (pt / PT_CORE) ** 2) ** PT_POWER * np.exp(-((pt / PT_END) ** 2))
    return pt, _integral(density, pt)


def pair_pt(rng: np.random.Generator, mass: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw a transverse momentum for each pair, GeV.

    At the Z mass dN/dpt ~ pt / (1 + (pt/core)^2)^power exp(-(pt/end)^2): the Sudakov peak, the power law of
    gluon emission and its end near the hard scale; elsewhere it scales with sqrt(M / M_Z).
    """
    pt, cumulative = _pt_table()
    return np.interp(rng.random(len(mass)), cumulative, pt) * np.sqrt(mass / Z_MASS)


def decay_cosine(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Draw cos(theta) from (3/8)(1 + cos^2): the real root of c^3 + 3c = w, c = 2 sinh(asinh(w/2) / 3).

    The forward-backward term needs the muons' charges, which the features do not have.
    """
    w = rng.random(size, dtype=np.float32) * np.float32(8) - np.float32(4)
    cosine: NDArray[np.float32] = 2 * np.sinh(np.arcsinh(w / 2) / 3)
    return cosine


def radiated(rng: np.random.Generator, mass: NDArray[np.float32]) -> NDArray[np.float32]:
    """Draw the share of its momentum that one muon of each pair loses to a collinear photon.

    Leading logarithm, resummed: b z^(b-1) (1 - z + z^2/2) with b = (alpha/pi)(ln(M^2/m^2) - 1), about 0.03.
    """
    b = np.float32(ALPHA / np.pi) * (np.float32(2) * np.log(mass / np.float32(MUON_MASS)) - np.float32(1))
    share: NDArray[np.float32] = rng.random(len(mass), dtype=np.float32) ** (1 / b)
    # Hard photons are thinned to the splitting function; the thinned ones are soft, hence no loss at all.
    soft = rng.random(len(mass), dtype=np.float32) > 1 - share + share**2 / 2
    share[soft] = 0
    return share
