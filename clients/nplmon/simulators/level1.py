"""A sample like that of a Level-1 trigger: 8 objects x (pt, eta, phi), 24 features, absent objects all zero.

Four jets, two electrons and two muons, each kind in falling pt. Zero padding is that of the
public Level-1 samples (Govorkova et al., arXiv:2107.02157). The spectra are a sketch with the right traits:
power laws, a common hard scale, back-to-back jets, leptons inside jets, sharp acceptances.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nplmon.simulators.errors import positive_count, within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["FEATURES", "OBJECTS", "UNITS", "blocks", "sample", "sample_mixture", "sample_signal"]

OBJECTS = ("jet1", "jet2", "jet3", "jet4", "electron1", "electron2", "muon1", "muon2")
FEATURES = tuple(f"{name}_{quantity}" for name in OBJECTS for quantity in ("pt", "eta", "phi"))
UNITS = ("GeV", "", "rad") * len(OBJECTS)

BLOCK = 65_536
SATURATION = 1023.5
"""Largest pt that a trigger's word holds, GeV."""


class _Objects(NamedTuple):
    """Momenta of one kind of object, each (N, k) float32."""

    pt: NDArray[np.float32]
    eta: NDArray[np.float32]
    phi: NDArray[np.float32]


def sample(rng: np.random.Generator, events: int) -> NDArray[np.float32]:
    """Draw ordinary events, each with at least one object.

    Parameters
    ----------
    rng : numpy Generator
    events : int

    Returns
    -------
    array (events, 24) of float32
        Columns as in `FEATURES`.

    Raises
    ------
    SimulationError
        If `events` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> x = sample(np.random.default_rng(1), 1000)
    >>> x.shape, bool((x[:, 0] >= x[:, 3]).all())
    ((1000, 24), True)
    """
    return _joined(rng, events, signal=False)


def sample_signal(rng: np.random.Generator, events: int) -> NDArray[np.float32]:
    """Draw events with a heavy particle that decays to two hard muons, about 120 GeV each, back to back.

    Raises
    ------
    SimulationError
        If `events` is negative.
    """
    return _joined(rng, events, signal=True)


def sample_mixture(rng: np.random.Generator, events: int, *, fraction: float) -> NDArray[np.float32]:
    """Draw events of which each is, with probability `fraction`, one of the signal.

    Raises
    ------
    SimulationError
        If `fraction` is outside 0 to 1 or `events` negative.
    """
    positive_count("events", events)
    within("fraction", fraction, 0.0, 1.0)
    signal = int(rng.binomial(events, fraction))
    return rng.permutation(np.concatenate([sample(rng, events - signal), sample_signal(rng, signal)]))


def blocks(
    rng: np.random.Generator, events: int, *, size: int = BLOCK, signal: bool = False
) -> Iterator[NDArray[np.float32]]:
    """Yield the sample in blocks of at most `size`, so that millions of events need no memory.

    Raises
    ------
    SimulationError
        If `events` is negative or `size` below 1.

    Examples
    --------
    >>> import numpy as np
    >>> [len(block) for block in blocks(np.random.default_rng(1), 25, size=10)]
    [10, 10, 5]
    """
    positive_count("events", events)
    within("size", size, 1, np.inf)
    left = events
    while left > 0:
        wanted = min(size, left)
        block = _events(rng, wanted, signal=signal)
        while len(block) < wanted:
            block = np.concatenate([block, _events(rng, wanted - len(block), signal=signal)])
        yield block
        left -= wanted


def _joined(rng: np.random.Generator, events: int, *, signal: bool) -> NDArray[np.float32]:
    positive_count("events", events)
    result = np.empty((events, len(FEATURES)), dtype=np.float32)
    filled = 0
    for block in blocks(rng, events, signal=signal):
        result[filled : filled + len(block)] = block
        filled += len(block)
    return result


def _events(rng: np.random.Generator, size: int, *, signal: bool) -> NDArray[np.float32]:
    """Draw `size` events and keep those with any object."""
    jets = _jets(rng, size)
    muons = _inside_jets(rng, jets, probability=0.3, share=(1.5, 5.0))
    if signal:
        muons = _hard_pair(rng, size)
    electrons = _inside_jets(rng, jets, probability=0.4, share=(2.0, 2.0))
    kinds = [
        _recorded(jets, pt_minimum=20.0, eta_maximum=4.0),
        _recorded(electrons, pt_minimum=10.0, eta_maximum=2.5),
        _recorded(muons, pt_minimum=3.0, eta_maximum=2.4),
    ]
    events = np.concatenate(kinds, axis=1).reshape(size, len(FEATURES))
    return events[events.any(axis=1)]


def _jets(rng: np.random.Generator, size: int) -> _Objects:
    """Two jets that balance at a hard scale falling as its 4th power, and two softer ones from radiation."""
    # One float32 in 2^24 is 0, whose scale would be infinite.
    uniform = np.maximum(rng.random((size, 1), dtype=np.float32), np.float32(2**-24))
    scale = np.float32(25) * uniform ** np.float32(-1 / 3)
    spread = np.exp(rng.standard_normal((size, 2), dtype=np.float32) * _f32(0.15, 0.25))
    soft = rng.beta(1.2, 1.8, (size, 2)).astype(np.float32)
    pt = scale * np.concatenate([spread, soft], axis=1)
    boost = np.float32(1.2) * rng.standard_normal((size, 1), dtype=np.float32)
    eta = boost + rng.standard_normal((size, 4), dtype=np.float32)
    phi = rng.random((size, 1), dtype=np.float32) * np.float32(2 * np.pi) + np.zeros((1, 4), dtype=np.float32)
    # Radiation broadens the balance; the soft jets follow the hard ones at random angles.
    away = _f32(0.0, np.pi, 0.0, np.pi)
    phi += away + rng.standard_normal((size, 4), dtype=np.float32) * _f32(0.0, 0.25, 0.9, 0.9)
    return _Objects(pt, eta, phi)


def _inside_jets(
    rng: np.random.Generator, jets: _Objects, *, probability: float, share: tuple[float, float]
) -> _Objects:
    """Leptons found in the two hard jets with some probability, with a beta-distributed share of their pt."""
    shape = (len(jets.pt), 2)
    found = rng.random(shape) < probability
    pt = jets.pt[:, :2] * rng.beta(*share, shape).astype(np.float32) * found
    eta = jets.eta[:, :2] + np.float32(0.1) * rng.standard_normal(shape, dtype=np.float32)
    phi = jets.phi[:, :2] + np.float32(0.1) * rng.standard_normal(shape, dtype=np.float32)
    return _Objects(pt, eta, phi)


def _hard_pair(rng: np.random.Generator, size: int) -> _Objects:
    """Two muons of one heavy particle."""
    pt = np.abs(120 + 30 * rng.standard_normal((size, 2), dtype=np.float32)).astype(np.float32)
    eta = np.float32(0.9) * rng.standard_normal((size, 2), dtype=np.float32)
    phi = rng.random((size, 1), dtype=np.float32) * np.float32(2 * np.pi) + _f32(0.0, np.pi)
    return _Objects(pt, eta, phi + np.float32(0.1) * rng.standard_normal((size, 2), dtype=np.float32))


def _recorded(objects: _Objects, *, pt_minimum: float, eta_maximum: float) -> NDArray[np.float32]:
    """Apply a kind's acceptance, set the rest to zero and order by pt: (N, k, 3)."""
    present = (objects.pt >= pt_minimum) & (np.abs(objects.eta) < eta_maximum)
    turn = np.float32(2 * np.pi)
    phi = objects.phi - turn * np.round(objects.phi / turn)
    pt = np.minimum(objects.pt, np.float32(SATURATION))
    table: NDArray[np.float32] = np.stack([pt, objects.eta, phi], axis=2) * present[:, :, None]
    order = np.argsort(-table[:, :, 0], axis=1, kind="stable")
    return np.take_along_axis(table, order[:, :, None], axis=1)


def _f32(*values: float) -> NDArray[np.float32]:
    """Make a row of float32 numbers; products with float32 arrays stay float32."""
    return np.array(values, dtype=np.float32)
