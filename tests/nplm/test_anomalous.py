"""The most anomalous events: those that were put in are found, and what early noise chose falls behind."""

from __future__ import annotations

import numpy as np
import pytest

from nplmon.nplm.anomalous import CANDIDATES, SCREENED, Anomalous
from nplmon.nplm.errors import StateError
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.reference import Reference

ORDINARY, STRANGE, CHUNKS = 600, 12, 12


@pytest.fixture(scope="module")
def model() -> KernelModel:
    rng = np.random.default_rng(61)
    return KernelModel.prepare(Reference(rng.normal(size=(10_000, 2))), centres=150, sigma=0.7, lambda_=1e-4)


def chunk(number: int) -> np.ndarray:
    """Give ordinary events and, last, a few of a narrow peak at (1.5, -1.5)."""
    rng = np.random.default_rng([62, number])
    peak = rng.normal((1.5, -1.5), 0.2, size=(STRANGE, 2))
    return np.concatenate([rng.normal(size=(ORDINARY, 2)), peak]).astype(np.float32)


def after(model: KernelModel, *, kept: bool, chunks: int = CHUNKS) -> Anomalous:
    found = Anomalous(model.basis)
    for number in range(1, chunks + 1):
        events = chunk(number)
        fit = model.fit(events, float(len(events)))
        features = model.basis.features(events) if kept else None
        found.add(fit.coefficients, fit.expected, events, sequence=number, features=features)
    return found


@pytest.mark.parametrize("kept", [True, False], ids=["features at hand", "screened"])
def test_events_of_a_peak_are_found(model: KernelModel, kept: bool) -> None:
    """144 of 7,344 events are of the peak, in whose middle the density is 5.6 times the reference's.

    So 82 % of the most anomalous events should be of it: at least 12 of 20 and 70 of 100 (binomial, 99 % and
    more). Judged by another place of the coefficients, next to none are.
    """
    found = after(model, kept=kept)
    assert (found.rows[:20] >= ORDINARY).sum() >= 12
    assert (found.rows >= ORDINARY).sum() >= 70
    for sequence, row, event in zip(found.sequences, found.rows, found.events, strict=True):
        np.testing.assert_array_equal(event, chunk(sequence)[row])
    assert len(found.rows) == CANDIDATES
    assert (np.diff(found.log_ratios) <= 0).all()


def test_the_log_ratio_is_the_mean_of_the_models(model: KernelModel) -> None:
    """Of models with 612 and 100 expected events, weighted so."""
    found = Anomalous(model.basis)
    first, second = model.fit(chunk(1), 612.0), model.fit(chunk(2)[:100], expected=100.0)
    found.add(first.coefficients, 612.0, chunk(1), sequence=1)
    found.add(second.coefficients, 100.0, chunk(2)[:100], sequence=2)
    psi = model.basis.features(found.events)
    wanted = psi @ ((612 * first.coefficients + 100 * second.coefficients) / 712)
    np.testing.assert_allclose(found.log_ratios, wanted, atol=1e-5)


def test_a_large_chunk_is_screened_evenly(model: KernelModel) -> None:
    """3,500 events without features: every fourth is judged, so that the cost of a chunk is bounded."""
    found = Anomalous(model.basis)
    events = np.random.default_rng(63).normal(size=(3 * SCREENED + 500, 2)).astype(np.float32)
    found.add(model.fit(events, 3500.0).coefficients, float(len(events)), events, sequence=1)
    assert set((found.rows % 4).tolist()) == {0}
    assert len(found.rows) == CANDIDATES


def test_fewer_events_than_candidates_are_all_kept(model: KernelModel) -> None:
    found = Anomalous(model.basis)
    found.add(np.zeros(model.basis.size), 5.0, chunk(1)[:5], sequence=1)
    assert sorted(found.rows.tolist()) == [0, 1, 2, 3, 4]


def test_it_goes_on_from_what_was_saved(model: KernelModel) -> None:
    one, other = after(model, kept=True, chunks=3), Anomalous(model.basis)
    other.restore(one.to_bytes())
    fit = model.fit(chunk(4), 612.0)
    for found in (one, other):
        features = model.basis.features(chunk(4))
        found.add(fit.coefficients, fit.expected, chunk(4), sequence=4, features=features)
    assert one.to_bytes() == other.to_bytes()
    with pytest.raises(StateError, match="are no candidates"):
        other.restore(b"")
    wider = KernelModel.prepare(model.reference, centres=20)
    with pytest.raises(StateError, match="another eigenbasis"):
        Anomalous(wider.basis).restore(one.to_bytes())
