"""Where the data differ, in the ledger: anomalous events and the map of two features."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from tests.aggregator.samples import EVENTS, a_fit, a_ledger, a_monitor, a_receipt, chunk, payloads, prepared

from nplmon.aggregator.anomalous import TOLD, AnomalousEvents
from nplmon.aggregator.binning import Binning
from nplmon.aggregator.page import Page
from nplmon.aggregator.pairs import CELLS, MAPPED, Pairs
from nplmon.aggregator.part import Applied
from nplmon.aggregator.state import SavedState
from nplmon.aggregator.widths import Widths
from nplmon.broker.encoding import from_json, to_json
from nplmon.broker.messages import Snapshot
from nplmon.nplm.errors import StateError
from nplmon.nplm.reference import Reference

STRANGE = np.array([[6.0, 0.1], [0.1, 6.0]], dtype=np.float32)


def strange(number: int) -> np.ndarray:
    """Give a chunk with two events in the tails, the last ones."""
    return np.concatenate([chunk(number), STRANGE])


def after(chunks: list[np.ndarray], event_cap: int = 10_000) -> Page:
    ledger = a_ledger(event_cap=event_cap)
    for sequence, events in enumerate(chunks, start=1):
        page = ledger.apply([a_fit(sequence, events)], {sequence: events.tobytes()}, 5.0)
    return page


@pytest.mark.parametrize("event_cap", [10_000, 3 * EVENTS], ids=["all kept", "frozen after two"])
def test_anomalous_events_are_told_with_their_place_and_values(event_cap: int) -> None:
    events = after([strange(i) for i in range(1, 9)], event_cap).snapshot.anomalous
    assert len(events) == TOLD
    assert [one.log_ratio for one in events] == sorted((one.log_ratio for one in events), reverse=True)
    for one in events:
        assert one.chunk == f"c{one.sequence}"
        np.testing.assert_array_equal(np.float32(one.values), strange(one.sequence)[one.row])
    assert sum(one.row >= EVENTS for one in events) >= 12


def test_a_snapshot_with_all_of_it_can_be_read_again() -> None:
    snapshot = after([strange(1)]).snapshot
    assert snapshot.pair is not None
    assert from_json(to_json(snapshot), Snapshot) == snapshot


def test_ids_of_chunks_without_candidates_are_forgotten() -> None:
    """Else a run of a million chunks would keep a million names."""
    widths = Widths(prepared(), "shape", 0)
    part = AnomalousEvents(widths)
    one = a_fit(1, strange(1))
    for sequence in range(1, 150):
        fit = msgspec.structs.replace(one, receipt=a_receipt(sequence, EVENTS + 2))
        widths.apply(fit, EVENTS + 2.0, strange(sequence))
        part.add(Applied(fit=fit, events=strange(sequence), expected=EVENTS + 2.0, at=1.0))
    assert len(part._chunks) <= 100
    assert set(part._chunks) == set(part._found[0].sequences.tolist())


def test_the_map_counts_every_event_and_is_symmetric_to_the_marginals() -> None:
    snapshot = after([chunk(1), chunk(2)]).snapshot
    found, (x, y) = snapshot.pair, snapshot.features
    assert found is not None
    assert (found.x, found.y) == ("x", "y")
    data, expected = np.array(found.data), np.array(found.reference)
    assert data.shape == expected.shape == (CELLS, CELLS)
    np.testing.assert_array_equal(data.sum(axis=1), np.reshape(x.data, (CELLS, 2)).sum(axis=1))
    np.testing.assert_array_equal(data.sum(axis=0), np.reshape(y.data, (CELLS, 2)).sum(axis=1))
    np.testing.assert_allclose(expected.sum(axis=1), np.reshape(x.reference, (CELLS, 2)).sum(axis=1))
    assert (found.x_edges, found.y_edges) == (x.edges[::2], y.edges[::2])
    learned = np.array(found.learned, dtype=float)
    np.testing.assert_allclose((expected * learned).sum(), 2 * EVENTS)


def pairs_of(events: np.ndarray, data: np.ndarray, mode: str = "shape") -> Pairs:
    """Count data against a reference."""
    names = tuple(f"f{j}" for j in range(events.shape[1]))
    reference = Reference(events)
    monitor = a_monitor(features=names, units=("",) * len(names), mode=mode, rate=1.0)
    part = Pairs(monitor, reference, Binning(reference))
    part.add(Applied(fit=a_fit(1), events=data, expected=float(len(data)), at=1.0))
    return part


def test_two_features_that_are_correlated_are_the_pair() -> None:
    """Four normal features, of which the second and the fourth get a correlation of 0.5: neither's marginal moves."""
    rng = np.random.default_rng(51)
    data = rng.normal(size=(4_000, 4))
    data[:, 3] = 0.5 * data[:, 1] + 0.75**0.5 * data[:, 3]
    part = pairs_of(rng.normal(size=(50_000, 4)).astype(np.float32), data.astype(np.float32))
    excesses = part._excesses(4_000.0)
    assert part._pairs[int(np.argmax(excesses))] == (1, 3)
    assert excesses.max() > 20
    assert np.sort(excesses)[-2] < 4


@pytest.mark.parametrize("mode", ["shape", "rate"])
def test_the_excess_of_noise_is_about_zero(mode: str) -> None:
    """60 samples of 2,000 against references of 4,000 of three features: mean and deviation of 180 excesses.

    Each is (chi^2 - degrees) / sqrt(2 degrees), whose mean is 0 and deviation 1. The mean has an error of 0.1 (pairs
    share features), the deviation of 7 %; three of each. Without the reference's error the mean would be above 2.
    """
    rng = np.random.default_rng(52)
    found = []
    for _ in range(60):
        events, data = rng.normal(size=(4_000, 3)), rng.normal(size=(2_000, 3))
        found.append(pairs_of(events.astype(np.float32), data.astype(np.float32), mode)._excesses(2_000.0))
    assert abs(np.mean(found)) < 0.3
    assert 0.75 < np.std(found) < 1.3


def test_many_features_are_bounded_and_one_has_no_pair() -> None:
    rng = np.random.default_rng(53)
    many = pairs_of(
        rng.normal(size=(500, 30)).astype(np.float32), rng.normal(size=(50, 30)).astype(np.float32)
    )
    assert len(many.counts) == MAPPED * (MAPPED - 1) // 2 == 276
    assert len(many.to_bytes()) < 1_000_000
    one = pairs_of(rng.normal(size=(500, 1)).astype(np.float32), rng.normal(size=(50, 1)).astype(np.float32))
    snapshot = after([chunk(1)]).snapshot
    shown = one.shown(msgspec.structs.replace(snapshot, pair=None), None, np.zeros(500))
    assert shown.pair is None
    assert one.to_bytes() == b""


def test_bytes_of_something_else_are_refused() -> None:
    page = after([chunk(1)])
    saved = SavedState.from_bytes(page.state)
    for name, said in (("anomalous", "are no anomalous events"), ("pairs", "of counts for 1 pairs")):
        broken = msgspec.structs.replace(saved, parts=saved.parts | {name: b"\x01\x02"})
        with pytest.raises(StateError, match=said):
            a_ledger().restore(broken, payloads(saved.kept))
