"""How many toys make a batch, and how a reference is split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.aggregator.samples import KERNEL, fits_on, sample
from tests.trainer.test_toys import an_order

from nplmon.nplm.reference import Reference
from nplmon.trainer import replaying
from nplmon.trainer.replaying import Replaying, batch_size, split


def timed(monkeypatch: pytest.MonkeyPatch, first: float, once: float, each: float, **plan: Any) -> int:
    """Give the size of a batch where the first call takes `first` longer, and each one `once` beside its toys."""
    clock, calls = [0.0], [0]

    def run(self: Replaying, number: int, count: int, pause: object) -> bytes:
        calls[0] += 1
        clock[0] += once + count * each + (first if calls[0] == 1 else 0.0)
        return b"toys %d+%d" % (number, count)

    monkeypatch.setattr(Replaying, "run", run)
    monkeypatch.setattr(replaying.time, "perf_counter", lambda: clock[0])
    replays = Replaying.of(an_order(**plan), fits_on(), sample(500, 99), KERNEL, fits_on()[0].device)
    result, seconds, size = replays.time(lambda: None)
    assert result == b"toys 0+1"
    assert seconds == pytest.approx(
        once / size + each if plan.get("source") != "disjoint" else once + each + first
    )
    return size


def test_a_batch_takes_two_seconds_also_where_the_first_toy_took_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A first toy that prepares everything says nothing of the others: batches of one toy took hours for minutes."""
    assert timed(monkeypatch, first=3.0, once=0.1, each=0.05) in {37, 38}


def test_what_is_done_once_is_at_most_a_fifth(monkeypatch: pytest.MonkeyPatch) -> None:
    assert timed(monkeypatch, first=0.0, once=1.5, each=0.1) in {59, 60}


def test_where_nothing_is_shared_the_first_toy_tells_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert timed(monkeypatch, first=0.0, once=0.0, each=0.45, source="disjoint") == 4
    assert timed(monkeypatch, first=0.0, once=0.0, each=30.0, source="disjoint") == 1


def test_a_batch_is_never_empty_and_never_endless() -> None:
    assert (batch_size(0.0, 1e3), batch_size(0.0, 1e-9), batch_size(10.0, 1e-9)) == (1, 500, 500)


def test_a_split_is_the_same_for_all_and_loses_nothing() -> None:
    reference = Reference(sample(400))
    rest, pool = split(reference, 100, seed=3)
    again, _ = split(reference, 100, seed=3)
    other, _ = split(reference, 100, seed=4)
    assert np.array_equal(rest.events, again.events)
    assert not np.array_equal(rest.events, other.events)
    together = np.concatenate([rest.events, pool])
    assert sorted(map(tuple, together)) == sorted(map(tuple, reference.events))
