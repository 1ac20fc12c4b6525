"""The evidence of a run: predictable, exact while there is a pool, silent where a number would only look valid."""

from __future__ import annotations

import math
from functools import cache

import msgspec
import numpy as np
import pytest
from scipy import stats
from tests.aggregator.samples import (
    EVENTS,
    ONE,
    SEVERAL,
    a_death,
    a_fit,
    a_ledger,
    a_monitor,
    a_receipt,
    a_run,
    chunk,
    fitted,
    payloads,
    prepared,
    sample,
)

from nplmon.aggregator.evidence import APPROXIMATE, EXACT, EvidencePart, Fresh
from nplmon.aggregator.ledger import Ledger
from nplmon.aggregator.page import Page
from nplmon.aggregator.part import Applied
from nplmon.aggregator.state import SavedState
from nplmon.broker.messages import Death, Fit, Monitor, WidthFit
from nplmon.nplm.basis import Basis

the_fit = cache(a_fit)
POOL = sample(20_000, 99)


def fresh(begin: int, end: int = len(POOL)) -> Fresh:
    """Give the pool from one place on up to another, as if it ended there."""
    return Fresh(events=POOL[begin:end], left=end - begin, pooled=True)


def apply(ledger: Ledger, *results: Fit | Death, pool: Fresh | None = None) -> Page:
    sequences = [r.receipt.sequence for r in results if isinstance(r, Fit)]
    return ledger.apply(list(results), payloads(sequences), 5.0, pool)


def run(ledger: Ledger, count: int, end: int = len(POOL)) -> list[Page]:
    """Apply the first chunks, each with what the pool has left."""
    pages, used = [], 0
    for i in range(1, count + 1):
        pages.append(apply(ledger, the_fit(i), pool=fresh(used, end)))
        used += pages[-1].pool_used
    return pages


def test_the_exact_form_has_its_lines_and_a_p_value_for_any_time() -> None:
    pages = run(a_ledger(), 4)
    found = pages[-1].snapshot.statistics
    e, sr, cusum = (found[kind] for kind in EXACT)
    assert {one.state for one in (e, sr, cusum)} == {"exact"}
    peak = max(0.0, *(page.snapshot.statistics["log_e"].value or 0.0 for page in pages))
    assert e.p == pytest.approx(math.exp(-peak))
    assert e.threshold == pytest.approx(math.log(1 / a_monitor().alarm.false_alarm_probability))
    assert (sr.p, sr.z, cusum.p) == (None, None, None)
    assert sr.threshold == cusum.threshold == pytest.approx(math.log(1000))
    assert sr.value is not None
    assert cusum.value is not None
    assert sr.value > cusum.value
    assert pages[-1].history[-1].statistics["log_e"] == e


def test_a_page_uses_what_its_coins_ask_for_and_no_more() -> None:
    ledger = a_ledger()
    results = [the_fit(1), a_death(2), the_fit(3)]
    asked = ledger.asked(results)
    page = apply(ledger, *results, pool=fresh(0, asked))
    assert page.pool_used == asked - 1
    assert page.snapshot.statistics["log_e"].state == "exact"
    assert (page.snapshot.pool_used, page.snapshot.pool_left) == (asked - 1, 1)


@pytest.mark.parametrize("size", [2, 3])
def test_a_batch_uses_the_same_events_as_one_by_one(size: int) -> None:
    singles, ledger = run(a_ledger(), 6), a_ledger()
    batches, used = [], 0
    for first in range(1, 7, size):
        results = [the_fit(i) for i in range(first, first + size)]
        batches.append(apply(ledger, *results, pool=fresh(used, used + ledger.asked(results))))
        used += batches[-1].pool_used
    assert batches[-1].state == singles[-1].state
    assert [x for page in batches for x in page.history] == [x for page in singles for x in page.history]


@pytest.mark.parametrize("cut", [1, 3])
def test_a_restart_flips_the_same_coins(cut: int) -> None:
    through = run(a_ledger(), 5)
    other = a_ledger()
    saved = SavedState.from_bytes(through[cut - 1].state)
    other.restore(saved, payloads(saved.kept))
    used = through[cut - 1].snapshot.pool_used
    for i in range(cut + 1, 6):
        page = apply(other, the_fit(i), pool=fresh(used))
        used += page.pool_used
        assert page == through[i - 1]


def test_chunks_flip_coins_of_their_own() -> None:
    """The same coins for every chunk would ask for the same numbers of events everywhere."""
    ledger = a_ledger()
    numbers = [
        ledger.asked([msgspec.structs.replace(the_fit(1), receipt=a_receipt(i))]) - 1 for i in range(1, 31)
    ]
    assert len(set(numbers)) > 20
    # Five pool events for each event of a chunk, on average.
    assert sum(numbers) == pytest.approx(30 * EVENTS * 5, abs=4 * math.sqrt(30 * EVENTS * 30))


def test_the_ratio_of_a_chunk_does_not_change_with_the_chunk() -> None:
    """The same third chunk with three models fitted to it: the same e-values, for it is tested before it is learned.

    And they are those of the ratio that was there before it came.
    """
    found = []
    for last in (the_fit(3), fitted(a_receipt(3), chunk(3) * 2), fitted(a_receipt(3), chunk(4))):
        ledger, used = a_ledger(), 0
        for result in (the_fit(1), the_fit(2)):
            page = apply(ledger, result, pool=fresh(used))
            used += page.pool_used
        before = page.snapshot.statistics["log_e_poisson"].value
        bet = ledger._evidence._process.log_ratios(chunk(3)).sum()
        after = apply(ledger, last, pool=fresh(used)).snapshot.statistics
        assert before is not None
        assert after["log_e_poisson"].value == pytest.approx(before + bet)
        found.append({kind: after[kind].value for kind in EXACT + APPROXIMATE})
    assert found[0] == found[1] == found[2]
    assert abs(bet) > 0.01


def test_without_a_pool_there_is_no_number_and_the_remedy_is_named() -> None:
    page = apply(a_ledger(), the_fit(1))
    for kind in EXACT:
        one = page.snapshot.statistics[kind]
        assert (one.state, one.value, one.p, one.threshold) == ("stopped", None, None, None)
        assert "no pool: nplmon pool add r FILE" in one.note
        assert kind not in page.history[0].statistics
    assert (page.snapshot.pool_left, page.snapshot.untested) == (None, EVENTS)
    for kind in APPROXIMATE:
        assert page.snapshot.statistics[kind].state == "closed form"


def test_an_empty_pool_stops_it_and_after_a_refill_it_goes_on() -> None:
    pages = run(a_ledger(), 1)
    end = pages[0].pool_used + 100
    ledger, used, states = a_ledger(), 0, []
    for i in range(1, 5):
        page = apply(ledger, the_fit(i), pool=fresh(used, end if i < 4 else len(POOL)))
        used += page.pool_used
        states.append(page.snapshot.statistics["log_e"].state)
        if i in {2, 3}:
            one = page.snapshot.statistics["log_sr"]
            assert (one.value, one.p, one.threshold) == (None, None, None)
            assert "the pool is empty: nplmon pool add r FILE" in one.note
            assert page.snapshot.pool_left == 0
    assert states == ["exact", "stopped", "stopped", "exact"]
    last = page.snapshot
    assert EVENTS < last.untested < 2 * EVENTS
    assert f"{last.untested} events of the run were not tested" in last.statistics["log_e"].note


def test_past_the_budget_the_approximate_form_has_no_number() -> None:
    ledger = a_ledger(exposure_budget=1.5 * EVENTS / 2000)
    first, second = run(ledger, 2)
    for kind in APPROXIMATE:
        within, past = first.snapshot.statistics[kind], second.snapshot.statistics[kind]
        assert within.state == "closed form"
        assert "exposure 0.04 of the budget of 0.06" in within.note
        assert (past.state, past.value, past.p, past.threshold) == ("invalid", None, None, None)
        assert "past the budget" in past.note
    assert second.snapshot.statistics["log_e"].state == "exact"
    assert second.snapshot.exposure_budget == 0.06


def with_model(sequence: int, norm: float) -> Fit:
    """Give a fit whose first coefficient is this."""
    plain = the_fit(sequence)
    model = np.zeros(len(np.frombuffer(plain.widths[0].coefficients)))
    model[0] = norm
    width = msgspec.structs.replace(plain.widths[0], coefficients=model.tobytes())
    return msgspec.structs.replace(plain, widths=(width,), receipt=a_receipt(sequence, exposure=1.0))


@pytest.mark.parametrize("norm", [1e31, np.nan])
def test_a_model_that_overflows_is_not_learned_from(norm: float) -> None:
    part = a_part()
    part.supply(fresh(0))
    part.add(Applied(fit=the_fit(1), events=chunk(1), expected=80.0, at=5.0))
    before = part._process.log_ratios(POOL[:20])
    part.add(Applied(fit=with_model(2, norm), events=chunk(2), expected=80.0, at=5.0))
    assert {one.state for kind, one in part.statistics().items() if kind in EXACT} == {"exact"}
    np.testing.assert_array_equal(part._process.log_ratios(POOL[:20]), before)


def test_evidence_of_zero_has_no_logarithm_and_no_number() -> None:
    """In mode rate a ratio whose mean over the reference overflows loses all: E is 0."""
    part = a_part(a_monitor(mode="rate", rate=float(EVENTS)))
    for i in (1, 2, 3):
        part.add(Applied(fit=with_model(i, 1e29), events=chunk(i), expected=80.0, at=5.0))
    lost = part.statistics()["log_e_poisson"]
    assert lost.state in {"invalid", "closed form"}
    assert (lost.value is None) == (lost.state == "invalid")
    assert lost.value is None or (math.isfinite(lost.value) and lost.value < -1e300)


def a_part(
    monitor: Monitor | None = None, name: str = "a", quantiles: tuple[float, ...] = ONE
) -> EvidencePart:
    """Give the part of a run, with nothing in it."""
    return EvidencePart(monitor or a_monitor(), a_run(name=name), prepared(quantiles), 0.5)


@pytest.mark.slow
def test_the_exact_form_of_three_widths_is_fair_and_rarely_crosses() -> None:
    """500 null runs of 8 chunks on one reference of 2,000 events: its own fluctuation must not be found.

    E after the third chunk has mean 1 within 4 standard errors, and E crosses 10 in at most the 99 % quantile of the
    binomial distribution with p = 0.1. Coins that go with the events, pool events used twice, or the best of the
    widths in place of their mean would be seen. The models are one Newton step from 0: any of the past will do.
    """
    rng = np.random.default_rng(5)
    widths = prepared(SEVERAL).widths
    third, peaks = [], []
    for number in range(500):
        part, logs = a_part(name=f"r{number}", quantiles=SEVERAL), []
        for i in range(1, 9):
            events = rng.exponential(size=(EVENTS, 2)).astype(np.float32)
            models = [one_step(width.basis, events) for width in widths]
            result = msgspec.structs.replace(
                the_fit(1), receipt=a_receipt(i), widths=tuple(map(with_coefficients, models))
            )
            pool = rng.exponential(size=(part.asked([result.receipt]), 2)).astype(np.float32)
            part.supply(Fresh(events=pool, left=len(pool), pooled=True))
            part.add(Applied(fit=result, events=events, expected=float(EVENTS), at=5.0))
            assert part.taken == len(pool) - 1
            logs.append(part.statistics()["log_e"].value)
        third.append(math.exp(logs[2]))
        peaks.append(max(logs))
    error = np.std(third) / math.sqrt(len(third))
    assert abs(np.mean(third) - 1) < 4 * error
    assert np.std(np.log(third)) > 0.05
    assert sum(peak >= math.log(10) for peak in peaks) <= stats.binom.ppf(0.99, len(peaks), 0.1)


def one_step(basis: Basis, events: np.ndarray) -> np.ndarray:
    psi = basis.features(events).astype(np.float64)
    curvature = len(events) * basis.second_moment + basis.penalty(len(events))
    return np.asarray((psi.sum(axis=0) - len(events) * basis.mean_feature) / curvature)


def with_coefficients(model: np.ndarray) -> WidthFit:
    return msgspec.structs.replace(the_fit(1).widths[0], coefficients=model.tobytes())
