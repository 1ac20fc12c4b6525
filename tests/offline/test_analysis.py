"""An analysis gives what the numerical core gives, finds an anomaly, and says what it cannot know."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from tests.offline.conftest import Compare, exponential, sample

from nplmon.nplm import MlpModel, aggregate, fit
from nplmon.nplm.run import Scheme
from nplmon.offline import family
from nplmon.offline.analysis import Analysis
from nplmon.offline.errors import AnalysisError
from nplmon.offline.report import report
from nplmon.offline.sample import Sample
from nplmon.offline.settings import Settings
from nplmon.simulators import expo


def test_a_single_test_is_the_fit_of_all_events(compare: Compare) -> None:
    found = compare(exponential(5, 900), exponential(6, 600))
    fitted = fit(found.model, found.data.events)
    assert set(found.verdicts) == {"t_full"}
    assert found.answer.value == pytest.approx(fitted.statistic, abs=1e-3)
    assert found.answer.state == "closed form"
    assert len(found.chunks) == 1
    assert found.exposure_ratio == pytest.approx(1_500 / 20_000)
    assert found.course == []


def test_an_aggregation_is_that_of_the_core(anomaly: Analysis) -> None:
    run = aggregate(anomaly.model, [chunk.events for chunk in anomaly.chunks], union=True)
    assert set(anomaly.verdicts) == {"t_agg", "t_ref", "t_score", "t_sum", "t_full"}
    for kind, one in anomaly.verdicts.items():
        assert one.value == pytest.approx(run.values[kind], rel=1e-6), kind
        assert one.closed_form is not None
        assert one.closed_form.log_p == pytest.approx(run.statistics[kind].log_p), kind
    assert [one.value for one in anomaly.chunk_verdicts] == pytest.approx(run.t_chunk)
    # The course ends where the run does, and begins with the first chunk alone.
    assert anomaly.course[-1].value == pytest.approx(anomaly.answer.value, rel=1e-6)
    first = aggregate(anomaly.model, [anomaly.chunks[0].events])
    assert anomaly.course[0].value == pytest.approx(first.values["t_agg"], rel=1e-6)


def test_the_anomaly_is_found_and_the_null_is_not(null: Analysis, anomaly: Analysis) -> None:
    """The peak has 270 events on 200 within two widths: beyond doubt; p of the null, fixed by its seed, is ordinary."""
    assert anomaly.answer.z is not None
    assert anomaly.answer.z > 6
    assert null.answer.p is not None
    assert 0.01 < null.answer.p < 0.99
    assert anomaly.effect_size > 0
    (one,) = anomaly.marginals
    peak = int(np.searchsorted(one.edges, 1.6)) - 1
    assert one.learned[peak] > 1.3 * one.reference[peak]


def test_a_sum_has_the_null_of_n_chunks(compare: Compare) -> None:
    found = compare(exponential(2, 2_000), size=500, analysis="sum")
    assert found.answer.kind == "t_sum"
    assert found.answer.value == pytest.approx(sum(one.value for one in found.chunk_verdicts), rel=1e-6)
    assert found.answer.closed_form is not None
    chunk = found.chunk_verdicts[0].closed_form
    assert chunk is not None
    # Four times that of one chunk, up to what they share: the reference's error.
    assert found.answer.closed_form.mean == pytest.approx(4 * chunk.mean, rel=0.05)


def test_resource_limited_needs_toys_for_p(compare: Compare) -> None:
    data = exponential(2, 2_000)
    bare = compare(data, size=500, analysis="resource-limited", models=2, tested=2)
    assert (bare.answer.kind, bare.answer.state, bare.answer.p) == ("t_agg", "uncalibrated", None)
    assert "toys" in bare.answer.note
    events = [chunk.events for chunk in bare.chunks]
    run = aggregate(bare.model, events, scheme=Scheme(models=2, tested=2))
    assert bare.answer.value == pytest.approx(run.values["t_agg"], rel=1e-6)
    assert len(bare.chunk_verdicts) == 2
    toys = compare(data, size=500, analysis="resource-limited", models=2, tested=2, toys=9)
    assert toys.answer.state == "toys"
    assert toys.answer.p is not None
    assert toys.answer.p * 10 == pytest.approx(round(toys.answer.p * 10))


def test_toys_are_repeatable_and_agree_with_the_closed_form(compare: Compare) -> None:
    """150 toys of a single test: their mean is within 4 standard errors of the closed form's, and p is no accident."""
    data = exponential(7, 300)
    found = compare(data, toys=150)
    toys, closed = found.answer.toys, found.answer.closed_form
    assert toys is not None
    assert closed is not None
    assert abs(toys.mean - closed.mean) < 4 * closed.deviation / np.sqrt(150)
    assert toys.closed_form_p is not None
    assert toys.closed_form_p > 1e-4
    assert found.held_out == 10_000
    assert len(found.model.reference.events) == 10_000
    again = compare(data, toys=10).answer.toys
    other = compare(data, toys=10, seed=1).answer.toys
    assert again is not None
    assert other is not None
    assert not np.array_equal(again.values, other.values)
    assert np.array_equal(again.values, compare(data, toys=10).answer.toys.values)  # type: ignore[union-attr]  # as above


def test_the_rate_is_compared_in_mode_rate(compare: Compare) -> None:
    """650 events where 500 were to come are 6.7 Poisson deviations; the shape alone is ordinary."""
    data = exponential(8, 650)
    shape, rate = compare(data), compare(data, mode="rate", expected=[500.0])
    assert shape.answer.z is not None
    assert rate.answer.z is not None
    assert shape.answer.z < 2
    assert rate.answer.z > 3


def test_the_reference_compared_with_itself_is_noted(compare: Compare, reference: Sample) -> None:
    found = compare(reference.events[:1_000])
    assert any("are in the reference too" in note for note in found.notes)
    assert not any("in the reference too" in note for note in compare(exponential(9, 1_000)).notes)


def test_a_reference_that_is_too_small_is_noted(compare: Compare) -> None:
    found = compare(exponential(2, 1_200), base=sample(exponential(1, 2_000)))
    assert found.exposure_ratio == pytest.approx(0.6)
    assert any("exposure 0.6 is past 0.5" in note for note in found.notes)


def test_chunks_that_are_too_small_have_no_p(compare: Compare) -> None:
    found = compare(exponential(2, 100), size=5, analysis="aggregation")
    assert {one.state for one in found.verdicts.values()} == {"uncalibrated"}
    assert all(one.p is None for one in found.chunk_verdicts)
    assert any("chunks of 5 events are too small" in note for note in found.notes)
    assert found.course == []
    assert report(found)["answer"]["p"] is None


def test_weights_enter_as_in_the_core(compare: Compare) -> None:
    """A flat reference, weighted to the law of the data, gives an ordinary p; without its weights it does not."""
    rng = np.random.default_rng(4)
    flat = rng.uniform(0, 10, size=(20_000, 1))
    weighted = sample(flat, weights=10 * np.exp(-flat[:, 0]))
    data = exponential(10, 1_000)
    inside = data[data[:, 0] < 10]
    right, wrong = compare(inside, base=weighted), compare(inside, base=sample(flat))
    assert right.answer.z is not None
    assert wrong.answer.z is not None
    assert abs(right.answer.z) < 3
    assert wrong.answer.z > 10


def test_learned_locations_need_toys_for_p(compare: Compare) -> None:
    """Three kernels find the peak; without a closed form p is from toys, and no smaller than they resolve."""
    small = sample(exponential(1, 3_000))
    data = expo.sample_chunk(np.random.default_rng(3), 200, "bulk", strength=6.0)
    sparker: dict[str, Any] = {"base": small, "model": "sparker", "centres": 3, "sigmas": (0.3,)}
    bare = compare(data, **sparker)
    assert (bare.answer.kind, bare.answer.state, bare.answer.closed_form) == ("t_full", "uncalibrated", None)
    assert "calibrate with toys" in bare.answer.note
    assert report(bare)["settings"]["sigma"] == 0.3
    assert report(bare)["settings"]["lambda"] == 1e-5
    toys = compare(data, **sparker, toys=9)
    assert (toys.answer.state, toys.answer.p) == ("toys", 0.1)
    assert "at most the resolution" in toys.answer.note
    chunks = compare(data[:200], **sparker, size=100, analysis="aggregation")
    assert {one.state for one in chunks.verdicts.values()} == {"uncalibrated"}
    assert chunks.course == []


def test_the_network_takes_no_kernel_and_needs_toys_for_p(
    compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(family, "MlpModel", partial(MlpModel, steps=100))
    data = exponential(2, 100)
    settings: dict[str, Any] = {"model": "mlp", "centres": None, "sigmas": ()}
    found = compare(data, base=sample(exponential(1, 400)), **settings)
    assert (found.answer.kind, found.answer.state) == ("t_full", "uncalibrated")
    assert found.answer.value > 0
    assert found.model.fit(data, 100.0).statistic == found.answer.value
    assert report(found)["settings"]["centres"] is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"analysis": "double"}, "no analysis 'double'"),
        ({"model": "forest"}, "no model 'forest'"),
        ({"mode": "count"}, "no mode 'count'"),
        ({"sigmas": (1.0,), "sigma_quantiles": (0.5,)}, "both give the kernel width"),
        ({"sigmas": (1.0, 1.0)}, "each once"),
        ({"sigmas": (1.0, 2.0), "model": "sparker"}, "takes one kernel width, not 2"),
        ({"sigmas": (1.0, 2.0), "analysis": "sum"}, "or --toys"),
        ({"model": "mlp", "centres": 9}, "has no kernels"),
        ({"models": 2}, "no other analysis takes them"),
        ({"analysis": "resource-limited"}, "needs --models N or --tested N"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(AnalysisError, match=said):
        Settings(**settings)  # type: ignore[arg-type]  # wrong on purpose


def test_what_the_core_refuses_is_told(compare: Compare) -> None:
    with pytest.raises(AnalysisError, match="lambda 0"):
        compare(exponential(2, 100), lambda_=0.0)
    with pytest.raises(AnalysisError, match="4 chunks, 5 to fit"):
        compare(exponential(2, 400), size=100, analysis="resource-limited", models=5)
    with pytest.raises(AnalysisError, match="no device 'abacus'"):
        compare(exponential(2, 100), device="abacus")
