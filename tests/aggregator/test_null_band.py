"""Statistics bring the quantiles of their nulls, for a band around their course."""

from __future__ import annotations

import numpy as np
import pytest
from tests.aggregator.samples import SEVERAL, a_fit, a_ledger, chunk, payloads
from tests.aggregator.test_judge import a_judge
from tests.aggregator.test_tolerance import a_tolerant_ledger

from nplmon.aggregator.ledger import Ledger
from nplmon.broker.judgement import NULL_LEVELS
from nplmon.broker.messages import Snapshot

KINDS = ("t_chunk", "t_agg", "t_ref", "t_score", "t_sum")


def after(ledger: Ledger, chunks: int = 3, quantiles: tuple[float, ...] = (0.9,)) -> Snapshot:
    """Apply ordinary chunks."""
    for i in range(1, chunks + 1):
        page = ledger.apply([a_fit(i, quantiles=quantiles)], payloads([i]), 5.0)
    return page.snapshot


@pytest.mark.parametrize("several", [False, True])
def test_the_band_is_that_of_the_null_that_is_shown(several: bool) -> None:
    quantiles = SEVERAL if several else (0.9,)
    ledger = a_ledger(quantiles=quantiles)
    snapshot = after(ledger, quantiles=quantiles)
    joint = ledger._widths.statistics()
    for kind in KINDS:
        one, core = snapshot.statistics[kind], joint[kind].statistic
        wanted = [core.threshold(1 - p) for p in NULL_LEVELS]
        assert one.null_quantiles == pytest.approx(wanted, abs=1e-3 * core.null.deviation), kind
        assert (np.diff(one.null_quantiles) > 0).all()
        assert one.null_mean is not None
        assert one.null_quantiles[2] < one.null_quantiles[3] < one.null_mean < one.null_quantiles[4]


def test_the_excess_of_t_agg_is_in_its_band() -> None:
    ledger = a_ledger()
    found = after(ledger).statistics
    excess = ledger._widths.statistics()["t_agg"].statistic.excess
    assert excess > 0
    moved = np.subtract(found["t_agg"].null_quantiles, found["t_score"].null_quantiles)
    assert moved == pytest.approx(excess)


def test_toys_move_p_and_not_the_band() -> None:
    plain, toys = a_ledger(), a_ledger()
    toys.judge = a_judge()
    one, other = (after(ledger, 1).statistics["t_score"] for ledger in (plain, toys))
    assert (one.state, other.state) == ("closed form", "calibrated")
    assert one.null_quantiles == other.null_quantiles


def test_what_is_frozen_keeps_its_band() -> None:
    found = after(a_ledger(event_cap=170)).statistics["t_agg"]
    assert found.state == "frozen"
    assert found.null_quantiles == after(a_ledger(), 2).statistics["t_agg"].null_quantiles


def test_where_no_null_is_known_there_is_no_band() -> None:
    snapshot = after(a_tolerant_ledger())
    assert snapshot.statistics["t_profiled"].p is not None  # by a bound
    for kind in ("t_profiled", "log_e", "log_sr", "log_cusum"):
        assert snapshot.statistics[kind].null_quantiles == ()


def test_chunks_too_small_for_the_closed_form_have_no_band() -> None:
    events = chunk(1)[:2]
    page = a_ledger().apply([a_fit(1, events)], {1: events.tobytes()}, 1.0)
    for kind in KINDS:
        assert page.snapshot.statistics[kind].state == "uncalibrated"
        assert page.snapshot.statistics[kind].null_quantiles == ()
