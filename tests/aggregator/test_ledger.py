"""The ledger: each chunk once and in order, the same after a restart, honest where it cannot go on."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from tests.aggregator.samples import (
    EVENTS,
    ONE,
    SEVERAL,
    a_death,
    a_fit,
    a_ledger,
    a_monitor,
    a_receipt,
    basis,
    calibration,
    chunk,
    fitted,
    payloads,
    prepared,
    sample,
)

from nplmon.aggregator.ledger import Ledger
from nplmon.aggregator.overflow import LARGEST_RATIO
from nplmon.aggregator.page import Page
from nplmon.aggregator.state import SavedState
from nplmon.broker.encoding import from_json, to_json
from nplmon.broker.messages import AlarmPolicy, Death, Fit, Snapshot
from nplmon.nplm.errors import StateError
from nplmon.nplm.ratio import AveragedRatio

CAP = 5 * EVENTS
"""The sixth chunk that is not dead is one too many for the exact t_agg."""
RESULTS: list[Fit | Death] = [a_death(i) if i in {3, 9} else a_fit(i) for i in range(1, 11)]
SEVERAL_RESULTS = [a_death(i) if i in {3, 9} else a_fit(i, quantiles=SEVERAL) for i in range(1, 11)]
BOTH = pytest.mark.parametrize(("quantiles", "results"), [(ONE, RESULTS), (SEVERAL, SEVERAL_RESULTS)])


def apply(ledger: Ledger, *results: Fit | Death) -> Page:
    return ledger.apply(
        list(results), payloads(r.receipt.sequence for r in results if isinstance(r, Fit)), 5.0
    )


@BOTH
@pytest.mark.parametrize("cut", range(1, 10))
def test_a_restart_changes_nothing(
    cut: int, quantiles: tuple[float, ...], results: list[Fit | Death]
) -> None:
    """After any chunk, also a dead one and beyond the cap, all that is written next is the same, byte by byte."""
    one = a_ledger(event_cap=CAP, quantiles=quantiles)
    saved = SavedState.from_bytes(apply(one, *results[:cut]).state)
    other = a_ledger(event_cap=CAP, quantiles=quantiles)
    other.restore(saved, payloads(saved.kept))
    assert other.sequence == cut
    for result in results[cut:]:
        assert apply(one, result) == apply(other, result)


@BOTH
@pytest.mark.parametrize("size", [2, 3, 10])
def test_a_batch_is_the_same_as_one_by_one(
    size: int, quantiles: tuple[float, ...], results: list[Fit | Death]
) -> None:
    one, other = (a_ledger(event_cap=CAP, quantiles=quantiles) for _ in range(2))
    singles = [apply(one, result) for result in results]
    batches = [apply(other, *results[i : i + size]) for i in range(0, len(results), size)]
    assert batches[-1].state == singles[-1].state
    assert batches[-1].snapshot == singles[-1].snapshot
    for what in ("history", "drop_payloads", "drop_fits"):
        assert [x for page in batches for x in getattr(page, what)] == [
            x for page in singles for x in getattr(page, what)
        ]


def test_a_dead_chunk_takes_its_place_and_does_not_count() -> None:
    one, other = a_ledger(), a_ledger()
    page = apply(one, a_fit(1), a_death(2), fitted(a_receipt(3), chunk(3)))
    assert [line.state for line in page.history] == ["applied", "dead", "applied"]
    assert [line.sequence for line in page.history] == [1, 2, 3]
    assert page.history[1].error == "broken"
    assert page.history[1].statistics == {}
    assert page.drop_fits == [2]
    assert (page.snapshot.chunks, page.snapshot.dead, page.snapshot.sequence) == (2, 1, 3)
    # The same two chunks without the death between them.
    alone = other.apply(
        [a_fit(1), fitted(a_receipt(2), chunk(3))], {1: chunk(1).tobytes(), 2: chunk(3).tobytes()}, 5.0
    )
    values = [{k: s.value for k, s in p.snapshot.statistics.items()} for p in (page, alone)]
    assert values[0] == values[1]


def test_before_the_first_chunk_there_is_no_statistic() -> None:
    page = apply(a_ledger(), a_death(1))
    assert page.snapshot.statistics == {}
    assert page.snapshot.alarm.level == "ok"
    other = a_ledger()
    other.restore(SavedState.from_bytes(page.state), {})
    assert apply(other, a_fit(2)).snapshot.chunks == 1


@pytest.mark.parametrize("sequence", [1, 3])
def test_a_result_out_of_order_is_refused(sequence: int) -> None:
    ledger = a_ledger()
    apply(ledger, a_fit(1))
    with pytest.raises(ValueError, match=f"{sequence} follows 1"):
        apply(ledger, a_fit(sequence))


def test_past_the_cap_t_agg_is_frozen_and_t_score_goes_on() -> None:
    ledger = a_ledger(event_cap=CAP)
    pages = [apply(ledger, result) for result in RESULTS]
    before, after = pages[5], pages[6]  # five and six chunks, one of seven is dead
    assert before.projection is None
    assert before.snapshot.ratio_form == "mixture"
    assert before.snapshot.statistics["t_agg"].threshold is not None
    assert before.snapshot.statistics["t_score"].threshold is not None
    frozen = after.snapshot.statistics["t_agg"]
    assert (frozen.state, frozen.sequence) == ("frozen", 6)
    assert frozen.value == before.snapshot.statistics["t_agg"].value
    assert frozen.threshold is None
    assert "frozen after 5 chunks" in frozen.note
    assert after.snapshot.statistics["t_score"].threshold is not None
    assert after.snapshot.statistics["t_score"].sequence == 7
    # All that the exact value needed goes, once each, and what comes later goes at once.
    assert after.drop_payloads == after.drop_fits == [1, 2, 4, 5, 6, 7]
    assert (pages[7].drop_payloads, pages[8].drop_fits) == ([8], [9])
    assert SavedState.from_bytes(after.state).kept == []
    assert all(one.state == "frozen" for one in [p.snapshot.statistics["t_agg"] for p in pages[6:]])


def test_the_projection_is_the_averaged_ratio() -> None:
    """The log of an average of models is no combination of eigenfunctions, so the two agree to a tenth, no better."""
    exact, capped = a_ledger(), a_ledger(event_cap=CAP)
    for result in RESULTS:
        mixture, frozen = apply(exact, result).snapshot, apply(capped, result)
    assert frozen.projection is not None
    assert frozen.snapshot.ratio_form == "projection"
    assert frozen.snapshot.log_normalisation == mixture.log_normalisation
    projected = AveragedRatio.from_bytes(frozen.projection)
    applied = [result for result in RESULTS if isinstance(result, Fit)]
    models = AveragedRatio(
        coefficients=np.stack([np.frombuffer(fit.widths[0].coefficients) for fit in applied]),
        log_weights=np.log([fit.receipt.events for fit in applied]),
        log_normalisation=mixture.log_normalisation,
    )
    events = prepared().reference.events
    difference = projected.log_ratio(basis(), events) - models.log_ratio(basis(), events)
    assert np.abs(difference).mean() < 0.15 * np.abs(models.log_ratio(basis(), events)).mean()


def test_a_first_chunk_over_the_cap_freezes_t_agg_without_a_value() -> None:
    page = apply(a_ledger(event_cap=EVENTS - 1), a_fit(1))
    assert {"t_chunk", "t_agg", "t_ref", "t_score", "t_sum"} <= set(page.snapshot.statistics)
    exact = page.snapshot.statistics["t_agg"]
    assert (exact.state, exact.value, exact.p, exact.sequence) == ("frozen", None, None, 0)
    assert "the first chunk alone" in exact.note
    assert page.snapshot.statistics["t_score"].threshold is not None
    assert page.projection is not None


def test_an_alarm_fires_in_order_and_stays() -> None:
    """Chunks of another distribution, then good ones: first a warning, then the alarm, and then it stays."""
    policy = AlarmPolicy(expected_run_length=5_000, warning_run_length=5)
    ledger = a_ledger(a_monitor(alarm=policy))
    levels, journal = [], []
    for i in range(1, 13):
        events = (chunk(i) * (1.15 if i <= 6 else 1.0)).astype(np.float32)
        page = ledger.apply([a_fit(i, events)], {i: events.tobytes()}, float(i))
        levels.append(page.snapshot.alarm.level)
        assert page.history[-1].alarm == levels[-1]
        journal += page.journal
    assert levels[0] == "ok"
    assert [b for a, b in pairwise(levels) if a != b] == ["warning", "alarm"]
    fired = page.snapshot.alarm
    assert [(entry.kind, entry.level) for entry in journal] == [("warning", "warning"), ("alarm", "alarm")]
    told = journal[-1]
    assert (told.run, told.sequence, told.chunk, told.text) == ("a", fired.sequence, fired.chunk, fired.rule)
    assert fired.sequence == levels.index("alarm") + 1 == fired.since
    assert fired.kind == "t_score"
    last = page.snapshot.statistics["t_score"]
    assert last.value is not None
    assert last.threshold is not None


def test_alarm_and_threshold_belong_together() -> None:
    """Every statistic carries the value that has the p of its thresholds; t_score decides."""
    policy = AlarmPolicy(expected_run_length=50, warning_run_length=5)
    ledger, found = a_ledger(a_monitor(alarm=policy)), calibration("shape", (50, 5))
    for n in (1, 2, 3):
        snapshot = apply(ledger, a_fit(n)).snapshot
        assert snapshot.deciding == "t_score"
        assert snapshot.calibration is not None
        assert (snapshot.calibration.source, snapshot.calibration.run_length) == ("closed form", 50)
        for kind, one in snapshot.statistics.items():
            if not kind.startswith("t_"):
                continue
            assert one.value is not None
            assert (one.value >= one.threshold) == (one.p <= np.exp(found.alarm(kind, n)))
            assert (one.value >= one.warning_threshold) == (one.p <= np.exp(found.warning(kind, n)))
            assert one.warning_threshold < one.threshold
    alone = snapshot.statistics["t_chunk"]
    assert alone.threshold is not None
    null = ledger._widths.runs[0].statistics()["t_chunk"].null
    assert null.tail(alone.threshold) == pytest.approx(1 / 50)


def test_beside_a_test_of_the_rate_the_shape_has_twice_the_run_length() -> None:
    """Hazards add: shape and rate together have the run length that was asked for."""
    policy = AlarmPolicy(expected_run_length=25, warning_run_length=5)
    ledger = a_ledger(a_monitor(alarm=policy, rate=float(EVENTS)))
    fit = msgspec.structs.replace(a_fit(1), receipt=a_receipt(1, exposure=1.0))
    used = apply(ledger, fit).snapshot.calibration
    assert used is not None
    assert (used.run_length, used.warning_run_length) == (50, 10)


def test_a_run_that_nothing_judges_is_refused() -> None:
    """A chunk that is entered without thresholds would be one that no alarm can come from."""
    ledger = a_ledger()
    ledger.judge = None
    assert apply(ledger, a_death(1)).snapshot.deciding is None
    with pytest.raises(ValueError, match="nothing to be judged by"):
        apply(ledger, a_fit(2))


def test_the_first_chunk_chooses_the_thresholds() -> None:
    ledger = a_ledger()
    assert ledger.first_expected([a_death(1)]) is None
    assert ledger.first_expected([a_death(1), a_fit(2), a_fit(3, chunk(3)[:50])]) == EVENTS
    saved = SavedState.from_bytes(apply(ledger, a_death(1), a_fit(2)).state)
    other = a_ledger()
    other.restore(saved, payloads([2]))
    assert other.first_expected([a_fit(3, chunk(3)[:50])]) == EVENTS


def violent(sequence: int) -> Fit:
    """Give a fit whose ratio is exp(some thousands) at some reference events."""
    model = np.zeros(basis().size)
    model[0] = 5000 / np.abs(prepared().widths[0].features[:, 0]).max()
    sign = np.sign(np.median(prepared().widths[0].features[:, 0]))
    fit = a_fit(sequence)
    wild = msgspec.structs.replace(
        fit.widths[0],
        coefficients=(sign * model).tobytes(),
        score=np.full(basis().size, 50.0).tobytes(),
    )
    return msgspec.structs.replace(fit, receipt=a_receipt(sequence, exposure=1.0), widths=(wild,))


def test_an_overflow_is_invalid_and_is_still_an_alarm() -> None:
    ledger = a_ledger(a_monitor(mode="rate", rate=float(EVENTS)))
    page = apply(ledger, violent(1))
    for kind in ("t_agg", "t_ref"):
        one = page.snapshot.statistics[kind]
        assert (one.state, one.value, one.p, one.z, one.threshold) == ("invalid", None, None, None, None)
        assert "overflows" in one.note
    decides = page.snapshot.statistics["t_score"]
    assert decides.state == "closed form"
    assert decides.threshold is not None
    assert (page.snapshot.alarm.level, page.snapshot.alarm.kind) == ("alarm", "t_score")
    # JSON has no infinity: what is written must be read again, and in full.
    assert from_json(to_json(page.snapshot), Snapshot) == page.snapshot
    size = page.snapshot.effect_size
    assert size is not None
    assert (size.value, size.excess) == (None, None)
    assert "overflows" in size.note
    assert None in {event.log_ratio for event in page.snapshot.anomalous}
    assert page.snapshot.pair is not None
    assert None in {ratio for row in page.snapshot.pair.learned for ratio in row}
    for feature in page.snapshot.features:
        assert None in feature.learned
        assert feature.contribution is None
        assert max(one for one in feature.learned if one is not None) <= LARGEST_RATIO
    other = a_ledger(a_monitor(mode="rate", rate=float(EVENTS)))
    saved = SavedState.from_bytes(page.state)
    other.restore(saved, payloads(saved.kept))
    assert apply(ledger, violent(2)) == apply(other, violent(2))


def test_mode_rate_expects_by_exposure() -> None:
    ledger = a_ledger(a_monitor(mode="rate", rate=50.0))
    fit = msgspec.structs.replace(a_fit(1), receipt=a_receipt(1, exposure=2.0))
    assert apply(ledger, fit).snapshot.expected == 100.0
    with pytest.raises(ValueError, match="'c2' was accepted without an exposure"):
        apply(ledger, a_fit(2))


def test_chunks_too_small_for_the_closed_form_get_no_p_value() -> None:
    """Below two expected events per degree of freedom there is nothing that looks like a probability, and no alarm."""
    ledger = a_ledger()
    events = chunk(1)[:2]
    page = ledger.apply([a_fit(1, events)], {1: events.tobytes()}, 1.0)
    for kind in ("t_chunk", "t_agg", "t_ref", "t_score", "t_sum"):
        one = page.snapshot.statistics[kind]
        assert (one.state, one.p, one.z, one.threshold) == ("uncalibrated", None, None, None)
        assert one.value is not None
        assert "too small" in one.note
    assert page.snapshot.alarm.level == "ok"
    assert from_json(to_json(page.snapshot), Snapshot) == page.snapshot


def test_past_the_budget_the_statistics_carry_a_note() -> None:
    ledger = a_ledger(exposure_budget=1.5 * EVENTS / 2000)
    assert apply(ledger, a_fit(1)).snapshot.statistics["t_score"].note == ""
    assert "past the budget" in apply(ledger, a_fit(2)).snapshot.statistics["t_score"].note


def test_the_marginals_count_every_event_once() -> None:
    snapshot = apply(a_ledger(), a_fit(1), a_death(2), a_fit(3)).snapshot
    both = np.concatenate([chunk(1), chunk(3)])
    for j, feature in enumerate(snapshot.features):
        assert (feature.name, feature.unit) == (("x", "GeV"), ("y", ""))[j]
        edges = np.array(feature.edges)
        inside = np.clip(both[:, j], edges[0], np.nextafter(edges[-1], 0))
        assert feature.data == tuple(np.histogram(inside, edges)[0])
        assert sum(feature.reference) == pytest.approx(len(both))
        shift = (both[:, j].mean() - basis().mean[j]) / basis().scale[j]
        assert feature.shift == pytest.approx(shift, rel=1e-4)
        weights = np.array(feature.reference) / len(both)
        assert weights @ np.array(feature.learned) == pytest.approx(1.0)


def test_a_state_of_other_settings_is_refused() -> None:
    saved = SavedState.from_bytes(apply(a_ledger(), a_fit(1)).state)
    for monitor in (a_monitor(epoch=2), a_monitor(reference_hash="cd34")):
        with pytest.raises(StateError, match="was saved for"):
            a_ledger(monitor).restore(saved, payloads([1]))
    with pytest.raises(StateError, match="cannot continue as"):
        a_ledger(a_monitor(mode="rate", rate=1.0)).restore(saved, payloads([1]))


def test_a_state_without_its_events_is_refused() -> None:
    saved = SavedState.from_bytes(apply(a_ledger(), a_fit(1), a_fit(2)).state)
    ledger = a_ledger()
    with pytest.raises(StateError, match="chunk number 2 of run 'a' are not in the store"):
        ledger.restore(saved, payloads([1]))
    with pytest.raises(StateError, match="kept events"):
        ledger.restore(saved, payloads([1]) | {2: sample(3).tobytes()})
    assert ledger.sequence == 0
