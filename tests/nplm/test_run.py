"""A run aggregated in one call: the schemes, families without an eigenbasis, and where there is no p-value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from nplmon.nplm import Fitted, KernelModel, Reference, Scheme, aggregate
from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.null import Nulls
from nplmon.nplm.run import FULL, STREAMING

Array = NDArray[np.float64]
SIZES = (400, 250, 600, 300)
RATES = [410.0, 240.0, 610.0, 290.0]


@cache
def model() -> KernelModel:
    rng = np.random.default_rng(1)
    reference = Reference(rng.normal(size=(4_000, 2)), rng.uniform(0.2, 1.8, size=4_000))
    return KernelModel.prepare(reference, centres=60, sigma=1.5, lambda_=1e-4)


@cache
def chunks() -> list[Array]:
    rng = np.random.default_rng(2)
    return [rng.normal(0.1, 1.0, size=(size, 2)) for size in SIZES]


@dataclass(frozen=True)
class OtherFit:
    """A fit that is known by its log ratio alone."""

    fitted: Fitted

    @property
    def statistic(self) -> float:
        return self.fitted.statistic

    @property
    def expected(self) -> float:
        return self.fitted.expected

    def log_ratio(self, x: NDArray[np.floating]) -> Array:
        return self.fitted.log_ratio(x)

    def to_bytes(self) -> bytes:
        return self.fitted.to_bytes()


class OtherModel:
    """A family without an eigenbasis, which fits as the kernel model does."""

    @property
    def reference(self) -> Reference:
        return model().reference

    def fit(self, events: NDArray[np.floating], expected: float) -> OtherFit:
        return OtherFit(model().fit(events, expected))

    def read(self, body: bytes) -> OtherFit:
        return OtherFit(model().read(body))


@pytest.mark.parametrize("expected", [None, RATES], ids=["shape", "rate"])
def test_a_whole_run_is_the_service_s_running_state(expected: list[float] | None):
    run = aggregate(model(), chunks(), expected)
    mode = "shape" if expected is None else "rate"
    state = Aggregation(model().basis, model().features, model().reference.weights, mode, event_cap=10**6)
    for fit, events in zip(model().fit_together(chunks(), expected or SIZES), chunks(), strict=True):
        state.apply(fit.coefficients, fit.score, fit.statistic, fit.expected, events)
    wanted = state.statistics()

    assert (run.mode, run.chunks, run.events) == (mode, 4, sum(SIZES))
    assert run.expected == sum(expected or SIZES)
    assert run.exposure_ratio == pytest.approx(state.exposure_ratio)
    assert run.values.keys() == run.statistics.keys() == {"t_agg", "t_ref", "t_score", "t_sum"}
    assert run.uncalibrated == {}
    for kind, found in run.statistics.items():
        assert found.value == run.values[kind] == pytest.approx(wanted[kind].value, rel=1e-6)
        assert found.log_p == pytest.approx(wanted[kind].log_p, rel=1e-5)
    assert [one.value for one in run.chunk_statistics] == run.t_chunk
    assert sum(run.t_chunk) == pytest.approx(run.values["t_sum"])
    own = Nulls(basis=model().basis, mode=mode).chunk((expected or SIZES)[1])
    assert run.chunk_statistics[1].null.mean == pytest.approx(own.mean)


def test_a_run_of_one_chunk_is_that_chunk():
    """To the tolerance of the fit."""
    run = aggregate(model(), chunks()[:1], RATES[:1], union=True)

    for kind in ("t_agg", "t_sum", "t_full"):
        assert run.values[kind] == pytest.approx(run.t_chunk[0], abs=2e-3), kind


@pytest.mark.parametrize("expected", [None, RATES], ids=["shape", "rate"])
def test_the_averaged_ratio_is_a_function(expected: list[float] | None):
    run = aggregate(model(), chunks(), expected)
    x = model().reference.events
    plain = sum(fit.expected * np.exp(fit.log_ratio(x)) for fit in run.fits) / run.expected
    weights = model().reference.weights
    mean = np.average(plain, weights=weights) if expected is None else 1.0

    np.testing.assert_allclose(run.log_ratio(x), np.log(plain / mean), atol=1e-5)
    np.testing.assert_allclose(run.reference_log_ratio, run.log_ratio(x), atol=1e-5)
    assert run.log_normalisation == pytest.approx(np.log(mean), abs=1e-6)


@pytest.mark.parametrize("scheme", [FULL, STREAMING, Scheme(models=2), Scheme(tested=1)])
@pytest.mark.parametrize("expected", [None, RATES], ids=["shape", "rate"])
def test_a_family_without_an_eigenbasis_has_the_same_values_and_no_p(
    scheme: Scheme, expected: list[float] | None
):
    wanted = aggregate(model(), chunks(), expected, scheme=scheme, union=True)
    found = aggregate(OtherModel(), chunks(), expected, scheme=scheme, union=True)

    assert found.values.keys() == wanted.values.keys() - {"t_score"}
    for kind, value in found.values.items():
        assert value == pytest.approx(wanted.values[kind], abs=2e-3), kind
        assert "kernel family alone" in found.uncalibrated[kind]
    assert found.statistics == {}
    assert found.chunk_statistics == []
    assert found.t_chunk == pytest.approx(wanted.t_chunk, abs=1e-3)
    assert len(found.trajectory) == len(wanted.trajectory)
    np.testing.assert_allclose(found.reference_log_ratio, wanted.reference_log_ratio, atol=1e-3)


def test_the_fit_to_the_union_has_the_null_of_one_chunk_of_its_size():
    run = aggregate(model(), chunks(), union=True)
    alone = model().fit(np.concatenate(chunks()), sum(SIZES))

    assert run.values["t_full"] == pytest.approx(alone.statistic, abs=1e-3)
    null = Nulls(basis=model().basis, mode="shape").chunk(sum(SIZES))
    assert run.statistics["t_full"].null.mean == pytest.approx(null.mean)


def test_streaming_keeps_no_events_and_tells_the_values_after_each_chunk():
    run = aggregate(model(), chunks(), scheme=STREAMING)

    assert run.values.keys() == run.statistics.keys() == {"t_ref", "t_score", "t_sum"}
    assert len(run.trajectory) == len(SIZES)
    for count, found in enumerate(run.trajectory, start=1):
        wanted = aggregate(model(), chunks()[:count])
        assert found == pytest.approx({kind: wanted.values[kind] for kind in found}, rel=1e-4, abs=1e-3)


@pytest.mark.parametrize(("models", "tested"), [(2, None), (None, 1), (2, 2), (1, 3)])
def test_a_resource_limited_run_tests_the_average_of_some_models_at_some_events(
    models: int | None, tested: int | None
):
    """The first models, the last events; what is known of the fitted chunks alone keeps its null."""
    run = aggregate(model(), chunks(), RATES, scheme=Scheme(models=models, tested=tested))
    fitted, last = models or 4, tested or 4
    limited = aggregate(model(), chunks()[:fitted], RATES[:fitted])
    at = limited.log_ratio(np.concatenate(chunks()[-last:]))
    v = model().reference.weights
    assert v is not None
    away = v @ np.expm1(limited.reference_log_ratio) / v.sum()

    wanted = 2 * (at.sum() - sum(RATES[-last:]) * away)
    assert run.values["t_agg"] == pytest.approx(wanted, abs=2e-3)
    assert "t_agg" not in run.statistics
    assert run.uncalibrated.keys() == {"t_agg"}
    assert "calibrate with toys" in run.uncalibrated["t_agg"]
    for kind in ("t_ref", "t_score", "t_sum"):
        assert run.statistics[kind].value == pytest.approx(limited.values[kind], abs=2e-3)
        assert run.statistics[kind].null.mean == pytest.approx(limited.statistics[kind].null.mean)
        assert run.statistics[kind].chunks == fitted
    assert (run.chunks, len(run.fits)) == (4, fitted)


def test_chunks_too_small_for_the_closed_form_have_values_and_no_p():
    wide = KernelModel.prepare(model().reference, centres=60, sigma=0.7, lambda_=1e-7)
    run = aggregate(wide, [events[:40] for events in chunks()], union=True)

    assert run.values.keys() == {"t_agg", "t_ref", "t_score", "t_sum", "t_full"}
    assert run.statistics == {}
    assert run.chunk_statistics == []
    assert all("too small" in reason for reason in run.uncalibrated.values())


def test_another_loss_has_values_and_no_p():
    """The closed form is that of the likelihood loss: the logistic one is twice as much regularised."""
    logistic = KernelModel(model().reference, model().basis, model().features, loss="logistic")
    run = aggregate(logistic, chunks())

    assert run.values.keys() == {"t_agg", "t_ref", "t_score", "t_sum"}
    assert run.statistics == {}
    assert all("likelihood loss" in reason for reason in run.uncalibrated.values())


@pytest.mark.parametrize("family", ["kernel", "other"])
def test_progress_counts_the_fits(family: str):
    told: list[tuple[int, int]] = []
    aggregate(
        model() if family == "kernel" else OtherModel(),
        chunks(),
        union=True,
        progress=lambda done, total: told.append((done, total)),
    )

    assert told == sorted(told)
    assert told[-1] == (5, 5)
    assert len(told) == (2 if family == "kernel" else 5)


def test_impossible_runs_are_refused():
    with pytest.raises(ValueError, match="no chunks"):
        aggregate(model(), [])
    with pytest.raises(ValueError, match="3 expected counts for 4 chunks"):
        aggregate(model(), chunks(), RATES[:3])
    with pytest.raises(ValueError, match=r"chunk 1: events of shape \(3, 1\)"):
        aggregate(model(), [chunks()[0], np.zeros((3, 1))])
    with pytest.raises(ValueError, match="4 chunks, 5 to fit and 4 to test"):
        aggregate(model(), chunks(), scheme=Scheme(models=5))
    with pytest.raises(ValueError, match="models 0, tested None"):
        Scheme(models=0)
    with pytest.raises(ValueError, match="tested -1"):
        Scheme(tested=-1)
