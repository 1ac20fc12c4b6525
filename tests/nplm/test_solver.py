"""Fits side by side, other losses and precisions, and where a fit begins: none of it changes the minimum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.nplm.oracle import Oracle

from nplmon.nplm.errors import FitError, StateError
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.kernel_fit import KernelFit
from nplmon.nplm.reference import Reference

Events = NDArray[np.float64]


def exponential(rng: np.random.Generator, events: int, signal: int = 0) -> Events:
    return np.concatenate([rng.exponential(size=(events, 1)), rng.normal(6.4, 0.16, size=(signal, 1))])


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(np.random.default_rng(1).exponential(size=(20_000, 1)))


@pytest.fixture(scope="module")
def model(reference: Reference) -> KernelModel:
    return KernelModel.prepare(reference, centres=200, sigma=0.7)


@pytest.fixture(scope="module")
def five() -> tuple[KernelModel, Events]:
    rng = np.random.default_rng(2)
    events = rng.normal(size=(15_000, 5))
    return KernelModel.prepare(Reference(events[:12_000]), centres=150, sigma=3.0), events[12_000:]


def test_together_is_as_alone_whatever_the_sizes(model: KernelModel):
    """Ordinary chunks, one with a signal, one beyond all reason that Newton's method has to end, and a tiny one."""
    rng = np.random.default_rng(3)
    chunks = [exponential(rng, 300), exponential(rng, 400, 10), np.full((200, 1), 3.0), exponential(rng, 5)]
    expected = [300.0, 380.0, 200.0, 5.0]

    together = model.fit_together(chunks, expected, tolerance=1e-6)

    for one, chunk, lam in zip(together, chunks, expected, strict=True):
        alone = model.fit(chunk, lam, tolerance=1e-6)
        assert one.statistic == pytest.approx(alone.statistic, rel=1e-4, abs=1e-4)
        np.testing.assert_allclose(one.score, alone.score, rtol=1e-6, atol=1e-6)
        assert one.expected == lam


def test_more_than_fit_side_by_side(model: KernelModel, monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(4)
    chunks = [exponential(rng, 200) for _ in range(7)]
    whole = model.fit_together(chunks, [200.0] * 7, tolerance=1e-6)
    monkeypatch.setattr("nplmon.nplm.kernel.TOGETHER", 3)

    parts = model.fit_together(chunks, [200.0] * 7, tolerance=1e-6)

    assert len(parts) == 7
    np.testing.assert_allclose([f.statistic for f in parts], [f.statistic for f in whole], atol=1e-4)


def test_one_bad_chunk_refuses_all(model: KernelModel):
    rng = np.random.default_rng(5)
    with pytest.raises(ValueError, match="event 2 is not finite"):
        model.fit_together([exponential(rng, 10), np.array([[1.0], [2.0], [np.nan]])], [10.0, 3.0])


def test_the_default_tolerance_leaves_t_right_to_one_in_a_thousand(model: KernelModel):
    rng = np.random.default_rng(6)
    chunks = [exponential(rng, 400, signal) for signal in 10 * (0, 4, 8)]
    expected = [400.0] * len(chunks)

    rough = model.fit_together(chunks, expected)
    fine = model.fit_together(chunks, expected, tolerance=1e-8)

    for one, best in zip(rough, fine, strict=True):
        assert abs(one.statistic - best.statistic) <= 1e-3 * max(1.0, best.statistic)
        assert one.resolution <= 3e-4 * max(1.0, best.statistic)


@pytest.mark.parametrize("signal", [0, 8])
def test_the_logistic_loss_in_one_dimension(reference: Reference, signal: int):
    logistic = KernelModel.prepare(reference, centres=200, sigma=0.7, loss="logistic")
    chunk = exponential(np.random.default_rng(7), 400, signal)

    same_as_the_oracle(logistic, chunk, 400.0)


@pytest.mark.parametrize("dimensions", [5, 12])
def test_the_logistic_loss_with_weights(dimensions: int):
    rng = np.random.default_rng(8)
    events, weights = rng.normal(size=(15_000, dimensions)), rng.uniform(0.5, 1.5, size=15_000)
    logistic = KernelModel.prepare(Reference(events, weights), centres=150, loss="logistic")

    same_as_the_oracle(logistic, rng.normal(0.1, 1.0, size=(250, dimensions)), 230.0)


def same_as_the_oracle(model: KernelModel, chunk: Events, expected: float) -> None:
    wanted = Oracle(model.basis, model.reference.events, model.reference.weights, "logistic").fit(
        chunk, expected
    )
    fitted, fine = model.fit(chunk, expected), model.fit(chunk, expected, tolerance=1e-7)
    for one in (fitted, fine):
        assert abs(one.statistic - wanted.statistic) <= 1e-3 * max(1.0, wanted.statistic)
    apart = np.abs(fine.log_ratio(chunk) - wanted.at_events)
    assert np.median(apart) < 1e-3
    assert apart.max() < 1e-2


def test_the_losses_agree_where_the_difference_is_small(five: tuple[KernelModel, Events]):
    """Both estimate the same ratio: with a strong penalty, f is small, and so is what tells them apart."""
    model, events = five
    models = [
        KernelModel.prepare(model.reference, centres=150, sigma=3.0, lambda_=1e-3, loss=loss)
        for loss in ("likelihood", "logistic")
    ]
    one, other = (model.fit(events[:300] + 0.1, 300.0).log_ratio(events) for model in models)

    assert 0 < np.std(one - other) < 0.5 * np.std(one)
    assert np.corrcoef(one, other)[0, 1] > 0.98


def test_a_logistic_fit_to_data_outside_the_reference_ends(model: KernelModel):
    """All data beyond the outermost centre: the loss separates them, and t is finite."""
    logistic = KernelModel(model.reference, model.basis, loss="logistic")
    assert np.isfinite(logistic.fit(np.full((300, 1), 12.0), 300.0).statistic)


@pytest.mark.parametrize("start", ["at the minimum", "far away"])
def test_a_fit_may_begin_anywhere(model: KernelModel, start: str):
    chunk = exponential(np.random.default_rng(9), 400, 6)
    cold = model.fit(chunk, 400.0, tolerance=1e-7)
    begin = cold.coefficients if start == "at the minimum" else -2 * cold.coefficients

    warm = model.fit(chunk, 400.0, tolerance=1e-7, start=begin)

    assert warm.statistic == pytest.approx(cold.statistic, rel=1e-5)
    np.testing.assert_allclose(warm.coefficients, cold.coefficients, atol=1e-3)
    if start == "at the minimum":
        assert warm.iterations < cold.iterations


@pytest.mark.parametrize(("precision", "close"), [("float64", 1e-5), ("float16", 2e-3)])
def test_other_precisions(five: tuple[KernelModel, Events], precision: str, close: float):
    model, events = five
    other = KernelModel(model.reference, model.basis, precision=precision)  # type: ignore[arg-type] # parametrised
    for shift in (0.0, 0.2):
        chunk = events[:400] + shift
        one = model.fit(chunk, 400.0, tolerance=1e-7)
        assert other.fit(chunk, 400.0, tolerance=1e-7).statistic == pytest.approx(
            one.statistic, rel=close, abs=close
        )


def test_features_that_do_not_fit_are_kept_in_half_precision(
    five: tuple[KernelModel, Events], monkeypatch: pytest.MonkeyPatch
):
    model, _ = five
    needed = 4 * model.features.size
    cached = []
    for memory in (4 * needed, 4 * needed - 4):
        monkeypatch.setattr("nplmon.nplm.kernel._memory", lambda device, memory=memory: memory)
        cached.append(KernelModel(model.reference, model.basis)._sums.psi.element_size())
    assert cached == [4, 2]


def test_events_of_weight_zero_do_not_matter(reference: Reference):
    """Also not where the ratio overflows at them."""
    rng = np.random.default_rng(10)
    weights = np.ones(len(reference.events))
    far = Reference(np.vstack([reference.events, [[40.0]]]), np.append(weights, 0.0))
    plain = Reference(reference.events, weights)
    chunk = exponential(rng, 300, 20)

    with_it, without = (KernelModel.prepare(one, centres=20_000, sigma=0.7) for one in (far, plain))

    assert with_it.fit(chunk, 300.0).statistic == pytest.approx(without.fit(chunk, 300.0).statistic, rel=1e-6)
    assert with_it.features.shape == (20_001, with_it.basis.size)


def test_a_fit_is_read_again(model: KernelModel, reference: Reference):
    fitted = model.fit(exponential(np.random.default_rng(11), 200), 210.0)
    points = np.linspace(0, 5, 7)[:, None]

    again = model.read(fitted.to_bytes())

    assert isinstance(again, KernelFit)
    np.testing.assert_allclose(again.log_ratio(points), fitted.log_ratio(points), rtol=1e-6, atol=1e-9)
    assert (again.statistic, again.expected, again.iterations) == (fitted.statistic, 210.0, fitted.iterations)
    other = KernelModel.prepare(reference, centres=200, sigma=0.8)
    with pytest.raises(StateError, match="another eigenbasis"):
        other.read(fitted.to_bytes())
    with pytest.raises(StateError, match="7 bytes are no fit"):
        model.read(b"nothing")


def test_fits_far_from_the_quadratic_regime_are_right_too():
    """Sixty degrees of freedom for 200 events: L-BFGS moves slowly there and must not take that for the end."""
    rng = np.random.default_rng(0)
    model = KernelModel.prepare(Reference(rng.normal(size=(5_000, 1))), centres=200, sigma=0.1)
    chunks = [rng.normal(size=(200, 1)) for _ in range(150)]

    rough = model.fit_together(chunks, [200.0] * 150)
    fine = model.fit_together(chunks, [200.0] * 150, tolerance=1e-8)

    for one, best in zip(rough, fine, strict=True):
        assert abs(one.statistic - best.statistic) <= 1e-3 * best.statistic


def test_few_events_in_many_dimensions():
    rng = np.random.default_rng(2)
    model = KernelModel.prepare(Reference(rng.normal(size=(500, 12))), centres=10, sigma=1.04, lambda_=1e-9)
    chunk = rng.normal(size=(3, 12))

    assert model.fit(chunk, 3.0).statistic == pytest.approx(
        model.fit(chunk, 3.0, tolerance=1e-8).statistic, rel=1e-3
    )


def test_a_single_component():
    """One centre, or a kernel wider than anything: only the rate is left."""
    events = np.random.default_rng(3).normal(size=(1_000, 1))
    for settings in ({"centres": 1, "sigma": 3.0}, {"centres": 50, "sigma": 1e5}):
        model = KernelModel.prepare(Reference(events), **settings)  # type: ignore[arg-type] # two kinds of numbers
        assert model.basis.size == 1
        assert np.isfinite(model.fit(events[:100], 100.0).statistic)


def test_a_logistic_fit_that_says_nothing_is_an_error():
    """Data wider than the reference and ten times as many: the likelihood of the logistic minimum is absurd."""
    rng = np.random.default_rng(4)
    reference = Reference(rng.normal(size=(3_000, 2)))
    model = KernelModel.prepare(reference, centres=100, sigma=0.42, lambda_=1e-8, loss="logistic")
    ordinary, wide = rng.normal(size=(300, 2)), 1.5 * rng.normal(size=(300, 2))

    with pytest.raises(FitError, match=r"chunk 70: t is -.*the loss 'likelihood' bears them"):
        model.fit_together([*([ordinary] * 70), wide], [*([300.0] * 70), 30.0])


def test_a_hopeless_start_is_left(model: KernelModel):
    chunk = exponential(np.random.default_rng(13), 300)
    cold = model.fit(chunk, 300.0, tolerance=1e-6)

    warm = model.fit(chunk, 300.0, tolerance=1e-6, start=np.full(model.basis.size, 1e4))

    assert warm.statistic == pytest.approx(cold.statistic, rel=1e-4)
    for start in (np.zeros(model.basis.size + 1), np.full(model.basis.size, np.nan)):
        with pytest.raises(ValueError, match=f"give {model.basis.size} finite coefficients"):
            model.fit(chunk, 300.0, start=start)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"loss": "np"}, "loss 'np': give one of likelihood, logistic"),
        ({"precision": "half"}, "precision 'half': give one of auto, float64, float32, float16"),
        ({"placement": "kmeans"}, r"placement 'kmeans': give one of uniform, k-means\+\+"),
        ({"sigma": np.inf}, "sigma inf"),
    ],
)
def test_unknown_settings_are_refused_before_the_preparation(
    reference: Reference, setting: dict[str, Any], message: str
):
    with pytest.raises(ValueError, match=message):
        KernelModel.prepare(reference, **setting)


def test_features_of_another_reference_are_refused(model: KernelModel, reference: Reference):
    with pytest.raises(ValueError, match="for 20000 events"):
        KernelModel(reference, model.basis, model.features[:100])


def test_lists_are_taken_for_arrays():
    model = KernelModel.prepare(Reference([[0.0], [1.0], [2.0], [3.0]]), sigma=1.0)  # type: ignore[arg-type] # as in a notebook
    assert model.fit([[1.0]], 1.0).statistic >= 0  # type: ignore[arg-type] # as in a notebook
