"""Several kernel widths in one run: which of them is shown, and what its p accounts for."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import msgspec
import numpy as np
import pytest
from tests.aggregator.samples import (
    ONE,
    SEVERAL,
    a_fit,
    a_ledger,
    a_monitor,
    a_receipt,
    a_run,
    as_message,
    calibration,
    chunk,
    closed_form,
    fits_on,
    fitted,
    payloads,
    prepared,
)

from nplmon.aggregator.judge import Judge
from nplmon.aggregator.ledger import Ledger
from nplmon.aggregator.page import Page
from nplmon.aggregator.state import SavedState
from nplmon.aggregator.thresholds import typical
from nplmon.aggregator.widths import Widths
from nplmon.api.ratios import mixture
from nplmon.broker.messages import AlarmPolicy, Fit, Snapshot
from nplmon.nplm.errors import StateError
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.preparation import prepare
from nplmon.nplm.ratio import AveragedRatio
from nplmon.nplm.reference import Reference
from nplmon.prepared import Prepared, PreparedWidth

LARGE = 400
SIGMAS = (0.1, 2.0)


def large(sequence: int) -> np.ndarray:
    """Give ordinary events, enough for all widths."""
    return np.random.default_rng([3, sequence]).exponential(size=(LARGE, 2)).astype(np.float32)


def tilt(sequence: int) -> np.ndarray:
    """Give events with a slope."""
    return (large(sequence) * 1.1).astype(np.float32)


@cache
def one_feature() -> Prepared:
    """Prepare a large reference with one feature and two widths."""
    events = np.random.default_rng(5).exponential(size=(20_000, 1)).astype(np.float32)
    bases = [prepare(events, centres=150, lambda_=1e-5, sigma=sigma) for sigma in SIGMAS]
    widths = tuple(PreparedWidth(f"w{basis.sigma}", basis, basis.features(events)) for basis in bases)
    return Prepared(Reference(events), widths)


def alone(width: int) -> Prepared:
    """Give the same reference with one of the widths."""
    return Prepared(one_feature().reference, one_feature().widths[width : width + 1])


def snapshot_of(ready: Prepared, chunks: list[np.ndarray]) -> Snapshot:
    """Run the chunks through a ledger."""
    monitor = a_monitor(features=("x",), units=("",))
    ledger = Ledger(monitor, a_run(), ready, event_cap=10_000, exposure_budget=0.5)
    ledger.judge = Judge(closed=closed_form(ready, "shape", typical(len(chunks[0])), (1000.0, 100.0)))
    models = [KernelModel(ready.reference, width.basis, width.features) for width in ready.widths]
    fits = [
        as_message(a_receipt(i, len(e)), [m.fit(e, len(e)) for m in models]) for i, e in enumerate(chunks, 1)
    ]
    return ledger.apply(list(fits), {i: e.tobytes() for i, e in enumerate(chunks, 1)}, 5.0).snapshot


def narrow_peak(rng: np.random.Generator) -> np.ndarray:
    """Give 1,000 events, 40 of them in a peak that is narrow beside the broad kernels."""
    events = rng.exponential(size=(1000, 1))
    events[:40] = rng.normal(1.0, 0.03, size=(40, 1))
    return events.astype(np.float32)


def slope(rng: np.random.Generator) -> np.ndarray:
    """Give 1,000 events of a slightly flatter exponential."""
    return (1.1 * rng.exponential(size=(1000, 1))).astype(np.float32)


def run_of(events: list[np.ndarray], quantiles: tuple[float, ...], event_cap: int = 100_000) -> Page:
    ledger = a_ledger(quantiles=quantiles, event_cap=event_cap)
    fits = [fitted(a_receipt(i, len(e)), e, quantiles=quantiles) for i, e in enumerate(events, 1)]
    return ledger.apply(list(fits), {i: e.tobytes() for i, e in enumerate(events, 1)}, 5.0)


@pytest.mark.parametrize(("anomaly", "winner"), [(narrow_peak, 0), (slope, 1)])
def test_the_width_that_sees_it_wins(
    anomaly: Callable[[np.random.Generator], np.ndarray], winner: int
) -> None:
    """Each width alone finds one of the two and misses the other; together both are found, and the finder shown."""
    rng = np.random.default_rng(7)
    chunks = [anomaly(rng) for _ in range(3)]
    alone_z = [snapshot_of(alone(width), chunks).statistics["t_score"].z for width in (0, 1)]
    together = snapshot_of(one_feature(), chunks)
    found = together.statistics["t_score"]
    assert alone_z[winner] > 5
    assert alone_z[1 - winner] < 3
    # The choice between two costs 0.2 at most out there.
    assert alone_z[winner] - 0.2 < found.z < alone_z[winner]
    assert together.winner == winner
    assert found.width == together.sigmas[winner] == SIGMAS[winner]


def test_one_width_is_what_it_was() -> None:
    """The p of one width is its closed-form p itself, and the numbers are those of its aggregation."""
    page = run_of([large(1), tilt(2)], ONE)
    widths = Widths(prepared(), "shape", 100_000)
    for i, events in enumerate((large(1), tilt(2)), 1):
        widths.apply(fitted(a_receipt(i, LARGE), events), float(LARGE), events)
    for kind, one in widths.runs[0].statistics().items():
        shown = page.snapshot.statistics[kind]
        assert (shown.value, shown.width) == (one.value, widths.sigmas[0])
        assert shown.p == math.exp(one.log_p)
        assert "sigma" not in shown.note


def test_a_width_is_the_same_with_and_without_others() -> None:
    """Values of the winner are those of a run with this width alone."""
    events = [large(1), tilt(2)]
    together = run_of(events, SEVERAL).snapshot
    alone = run_of(events, (SEVERAL[together.winner],)).snapshot
    assert together.statistics["t_score"].value == alone.statistics["t_score"].value
    assert (together.effect_size, together.features) == (alone.effect_size, alone.features)
    # The price of the choice: p is larger, and the threshold too.
    assert together.statistics["t_score"].p >= alone.statistics["t_score"].p
    assert together.statistics["t_score"].threshold > alone.statistics["t_score"].threshold


def test_alarm_and_threshold_belong_together() -> None:
    """The value reaches the threshold where the joint p is that of the threshold, whatever width wins."""
    policy = AlarmPolicy(expected_run_length=50, warning_run_length=5)
    ledger = a_ledger(a_monitor(alarm=policy), quantiles=SEVERAL)
    judged = calibration("shape", (50, 5), SEVERAL)
    for n in range(1, 6):
        events = tilt(n)
        fit = fitted(a_receipt(n, LARGE), events, quantiles=SEVERAL)
        page = ledger.apply([fit], {n: events.tobytes()}, float(n))
        one = page.snapshot.statistics["t_score"]
        limit = judged.p("t_score", n, judged.alarm("t_score", n)).log_p
        assert (one.value >= one.threshold) == (one.p <= math.exp(limit))
        limit = judged.p("t_score", n, judged.warning("t_score", n)).log_p
        assert (one.value >= one.warning_threshold) == (one.p <= math.exp(limit))


def test_widths_too_narrow_for_the_chunks_are_left_out() -> None:
    """40 events are enough for the broad kernels alone: the narrow ones have no null, and do not count."""
    events = chunk(1)[:40]
    fit = fitted(a_receipt(1, 40), events, quantiles=SEVERAL)
    found = (
        a_ledger(quantiles=SEVERAL).apply([fit], {1: events.tobytes()}, 5.0).snapshot.statistics["t_score"]
    )
    widths = Widths(prepared(SEVERAL), "shape", 10_000)
    widths.apply(fit, 40.0, events)
    degrees = [run.degrees for run in widths.runs]
    assert degrees[0] > degrees[1] > 20 > degrees[2]
    assert "too small for sigma" in found.note
    assert (found.state, found.width) == ("closed form", prepared(SEVERAL).sigmas[2])
    # The calibration takes all three as tested: p is rather too large.
    assert found.p >= math.exp(widths.runs[2].statistics()["t_score"].log_p)


def test_where_all_are_left_out_nothing_looks_like_a_probability() -> None:
    events = chunk(1)[:3]
    fit = fitted(a_receipt(1, 3), events, quantiles=SEVERAL)
    page = a_ledger(quantiles=SEVERAL).apply([fit], {1: events.tobytes()}, 5.0)
    for kind, one in page.snapshot.statistics.items():
        if not kind.startswith("t_"):
            continue
        assert (one.state, one.p, one.z, one.threshold) == ("uncalibrated", None, None, None)
        assert one.value is not None
    # The least unreasonable one is shown: the broadest.
    assert page.snapshot.winner == 2


def test_a_width_that_overflows_does_not_hide_the_others() -> None:
    """Its value is no number; the others go on, and p still accounts for it."""
    monitor = a_monitor(mode="rate", rate=float(LARGE))
    events = large(1)
    fit = fitted(a_receipt(1, LARGE, exposure=1.0), events, quantiles=SEVERAL)
    run = Widths(prepared(SEVERAL), "rate", 100_000).runs[0]
    wild = np.zeros(run.basis.size)
    wild[0] = (
        5000 / np.abs(run.reference_features[:, 0]).max() * np.sign(np.median(run.reference_features[:, 0]))
    )
    first = msgspec.structs.replace(fit.widths[0], coefficients=wild.tobytes())
    page = a_ledger(monitor, event_cap=100_000, quantiles=SEVERAL).apply(
        [msgspec.structs.replace(fit, widths=(first, *fit.widths[1:]))], {1: events.tobytes()}, 5.0
    )
    found = page.snapshot.statistics["t_ref"]
    assert found.state == "closed form"
    assert found.width in prepared(SEVERAL).sigmas[1:]
    assert "overflows" in found.note


def test_a_fit_of_other_widths_is_refused() -> None:
    with pytest.raises(ValueError, match="reset the run"):
        a_ledger(quantiles=SEVERAL).apply([a_fit(1)], payloads([1]), 5.0)


def test_a_state_of_other_widths_is_refused() -> None:
    saved = SavedState.from_bytes(a_ledger().apply([a_fit(1)], payloads([1]), 5.0).state)
    with pytest.raises(StateError, match="1 kernel widths, not 3"):
        a_ledger(quantiles=SEVERAL).restore(saved, payloads([1]))


def test_the_projection_is_of_the_winner() -> None:
    """Past the cap the ratio that is kept belongs to the eigenbasis of the width that is shown."""
    events = [large(1), tilt(2)]
    page = run_of(events, SEVERAL, event_cap=LARGE)
    assert page.projection is not None
    ratio = AveragedRatio.from_bytes(page.projection)
    assert ratio.basis == prepared(SEVERAL).widths[page.snapshot.winner].basis.digest


def test_the_mixture_is_of_the_winner() -> None:
    """What a reader evaluates is what the marginals and the effect size were computed from."""
    events = [large(1), tilt(2)]
    fits: list[Fit] = [fitted(a_receipt(i, LARGE), e, quantiles=SEVERAL) for i, e in enumerate(events, 1)]
    snapshot = run_of(events, SEVERAL).snapshot
    basis = fits_on(SEVERAL)[snapshot.winner].basis
    reference = prepared(SEVERAL).reference.events
    log_ratio = mixture(fits, a_monitor(), snapshot).log_ratio(basis, reference)
    assert snapshot.effect_size is not None
    assert np.abs(np.expm1(log_ratio)).mean() == pytest.approx(snapshot.effect_size.value, rel=1e-5)
