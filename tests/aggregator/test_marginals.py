"""Where the data differ, and how much, as a reader of the snapshot sees it."""

from __future__ import annotations

import msgspec
import numpy as np
from tests.aggregator.samples import a_fit, a_ledger, chunk

from nplmon.aggregator.marginals import ranked
from nplmon.broker.findings import FeatureRatio
from nplmon.broker.messages import Snapshot

MOVED = 1.5


def after(chunks: list[np.ndarray]) -> Snapshot:
    """Apply these chunks and give the last snapshot."""
    ledger = a_ledger()
    for sequence, events in enumerate(chunks, start=1):
        page = ledger.apply([a_fit(sequence, events)], {sequence: events.tobytes()}, 5.0)
    return page.snapshot


def test_the_moved_feature_is_ranked_first_and_its_shift_stands_out() -> None:
    """The second of two exponential features is stretched: by 0.5 deviations after standardisation."""
    chunks = [chunk(i) * np.array([1.0, MOVED], dtype=np.float32) for i in range(1, 5)]
    still, moved = after(chunks).features
    assert (moved.name, moved.rank, still.rank) == ("y", 1, 2)
    assert moved.shift_low is not None
    assert moved.shift_low > 0.2
    assert moved.contribution is not None
    assert moved.contribution > moved.contribution_null_mean + 4 * moved.contribution_null_deviation
    assert still.shift_low is not None
    assert still.shift_high is not None
    assert still.shift_low < still.shift < still.shift_high
    events = np.concatenate(chunks)[:, 1]
    assert moved.shift_error is not None
    # The reference's error is small beside it, and the spread is that of the data, not 1.
    np.testing.assert_allclose(moved.shift_error, events.std(ddof=1) / len(events) ** 0.5, rtol=0.15)


def test_the_effect_size_comes_with_what_noise_makes_of_it() -> None:
    quiet = after([chunk(i) for i in range(1, 5)]).effect_size
    moved = after([chunk(i) * np.float32(MOVED) for i in range(1, 5)]).effect_size
    assert quiet is not None
    assert moved is not None
    assert quiet.excess is not None
    assert moved.value is not None
    assert moved.excess == moved.value - moved.null_mean
    assert abs(quiet.excess) < 4 * quiet.null_deviation
    assert moved.excess > 4 * moved.null_deviation


def test_one_event_has_no_interval() -> None:
    """One event has no spread: an error of 0 would look like certainty."""
    (feature, _) = after([chunk(1)[:1]]).features
    assert (feature.shift_error, feature.shift_low, feature.shift_high) == (None, None, None)


def test_without_contributions_the_shifts_rank() -> None:
    """Where the learned ratio overflows it says nothing: the means of the data still do."""
    plain = FeatureRatio(
        name="x",
        unit="",
        edges=(0.0, 1.0),
        data=(1.0,),
        reference=(1.0,),
        reference_error=(0.1,),
        learned=(None,),
        shift=0.1,
        shift_error=0.1,
        contribution=None,
    )
    other = msgspec.structs.replace(plain, name="y", shift=-0.5, contribution=3.0)
    assert [one.rank for one in ranked([plain, other])] == [2, 1]
    known = [msgspec.structs.replace(one, contribution=value) for one, value in ((plain, 5.0), (other, 3.0))]
    assert [one.rank for one in ranked(known)] == [1, 2]
