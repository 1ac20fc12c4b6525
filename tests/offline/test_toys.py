"""Toys are drawn from events that are not in the reference, each event at most once in a toy."""

from __future__ import annotations

import numpy as np
import pytest

from nplmon.nplm.reference import Reference
from nplmon.offline.errors import AnalysisError
from nplmon.offline.toys import Pool, hold_out

EVENTS = np.arange(1_000.0)[:, None]


def test_reference_and_pool_are_disjoint_and_complete() -> None:
    weights = np.linspace(0.5, 1.5, 1_000)
    kept, pool = hold_out(Reference(EVENTS, weights), 15, 20.0, np.random.default_rng(0))
    assert (len(kept.events), len(pool.events)) == (700, 300)  # fifteen disjoint toys of 20
    assert sorted([*kept.events[:, 0], *pool.events[:, 0]]) == EVENTS[:, 0].tolist()
    assert kept.weights is not None
    assert pool.weights is not None
    assert np.array_equal(kept.weights, weights[kept.events[:, 0].astype(int)])
    assert np.array_equal(pool.weights, weights[pool.events[:, 0].astype(int)])


def test_ten_toys_or_half_are_held_out() -> None:
    _, pool = hold_out(Reference(EVENTS), 2, 20.0, np.random.default_rng(0))
    assert len(pool.events) == 200
    kept, pool = hold_out(Reference(EVENTS), 1_000, 50.0, np.random.default_rng(0))
    assert (len(kept.events), len(pool.events)) == (500, 500)
    with pytest.raises(AnalysisError, match=r"half of its 1,000 events are 500: give a larger reference"):
        hold_out(Reference(EVENTS), 10, 450.0, np.random.default_rng(0))


def test_a_toy_has_no_event_twice_and_the_counts_of_its_mode() -> None:
    pool = Pool(EVENTS)
    rng = np.random.default_rng(1)
    toys = [pool.draw(rng, [100.0, 50.0], "shape") for _ in range(3)]
    assert {tuple(len(chunk) for chunk in toy) for toy in toys} == {(100, 50)}
    for toy in toys:
        assert len(np.unique(np.concatenate(toy))) == 150
    counts = [len(pool.draw(rng, [100.0], "rate")[0]) for _ in range(200)]
    # Poisson: the variance of 200 counts is within 5 of its standard errors, 100 sqrt(2 / 200) = 10, of the mean.
    assert 50 < np.var(counts) < 150
    assert abs(np.mean(counts) - 100) < 5 * 10 / np.sqrt(200)


def test_weighted_events_come_as_often_as_they_weigh() -> None:
    """Half of the events weigh 3 times the others: 3/4 of the drawn ones are theirs, to 5 binomial errors."""
    pool = Pool(EVENTS, np.where(np.arange(1_000) < 500, 3.0, 1.0))
    rng = np.random.default_rng(2)
    drawn = np.concatenate([pool.draw(rng, [100.0], "shape")[0][:, 0] for _ in range(100)])
    assert abs(np.mean(drawn < 500) - 0.75) < 5 * np.sqrt(0.75 * 0.25 / len(drawn))
    with pytest.raises(AnalysisError, match="after the weights"):
        pool.draw(rng, [900.0], "shape")
