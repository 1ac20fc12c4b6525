"""The network: its loss and gradients, its clipping, and what it must not depend on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nplmon.nplm import mlp
from nplmon.nplm.errors import StateError
from nplmon.nplm.mlp import MlpModel, network, network_loss
from nplmon.nplm.reference import Reference
from nplmon.simulators import expo

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(expo.sample(np.random.default_rng(1), 5_000))


@pytest.fixture(scope="module")
def model(reference: Reference) -> MlpModel:
    return MlpModel(reference, steps=300, learning_rate=1e-2)


@pytest.fixture(scope="module")
def chunk() -> NDArray[np.float32]:
    return expo.sample_chunk(np.random.default_rng(2), 500, "bulk", strength=3.0)


def test_gradients_of_the_loss(monkeypatch: pytest.MonkeyPatch):
    """Those that are added block by block are those of the whole loss, which gradcheck compares with differences."""
    rng = np.random.default_rng(3)
    x, events = torch.from_numpy(rng.normal(size=(60, 2))), torch.from_numpy(rng.normal(size=(7, 2)))
    w = torch.from_numpy(rng.uniform(size=60))
    layers = [torch.from_numpy(rng.normal(size=size)).requires_grad_() for size in ((3, 4), (5, 3), (4, 1))]

    def whole(*weights: torch.Tensor) -> torch.Tensor:
        return w @ torch.expm1(network(weights, x)) - network(weights, events).sum()

    assert torch.autograd.gradcheck(whole, tuple(layers))

    monkeypatch.setattr(mlp, "BLOCK_EVENTS", 17)
    value = network_loss(layers, x, w, events)
    assert value == pytest.approx(whole(*layers).item(), rel=1e-12)
    for layer, wanted in zip(layers, torch.autograd.grad(whole(*layers), layers), strict=True):
        assert layer.grad is not None
        assert torch.allclose(layer.grad, wanted, rtol=1e-10)


def test_a_signal_is_found(model: MlpModel, chunk: NDArray[np.float32]):
    background = expo.sample_chunk(np.random.default_rng(4), 500)
    quiet, found = (model.fit(events, float(len(events))) for events in (background, chunk))

    assert found.statistic > quiet.statistic + 10
    f = found.log_ratio(np.array([[0.2], [1.6]]))
    assert f[1] > f[0]


def test_the_statistic_is_that_of_the_ratio(
    model: MlpModel, reference: Reference, chunk: NDArray[np.float32]
):
    fitted = model.fit(chunk, 450.0)
    f = fitted.log_ratio(reference.events)

    direct = 2 * (fitted.log_ratio(chunk).sum() - 450 / 5_000 * np.expm1(f).sum())
    assert fitted.statistic == pytest.approx(direct, abs=1e-3)


def test_the_weights_are_clipped(reference: Reference, chunk: NDArray[np.float32]):
    free, clipped = (
        MlpModel(reference, steps=100, learning_rate=5e-2, clip=clip).fit(chunk, float(len(chunk)))
        for clip in (9.0, 0.3)
    )

    assert max(np.abs(layer).max() for layer in clipped.layers) == pytest.approx(0.3)
    assert max(np.abs(layer).max() for layer in free.layers) > 0.3
    assert clipped.statistic < free.statistic


def test_a_seed_makes_it_repeatable(reference: Reference, chunk: NDArray[np.float32]):
    one, again, other = (
        MlpModel(reference, steps=20, seed=seed).fit(chunk, 500.0).statistic for seed in (5, 5, 6)
    )
    assert one == again != other


def test_order_and_units_change_nothing(reference: Reference, chunk: NDArray[np.float32]):
    def changed(events: NDArray[np.floating]) -> Array:
        return -3.0 + 1e4 * np.asarray(events, dtype=np.float64)

    settings: dict[str, Any] = {"steps": 50, "precision": "float64"}
    one = MlpModel(reference, **settings).fit(chunk, 500.0)
    shuffled = MlpModel(reference, **settings).fit(np.random.default_rng(7).permutation(chunk), 500.0)
    other = MlpModel(Reference(changed(reference.events)), **settings).fit(changed(chunk), 500.0)

    assert shuffled.statistic == pytest.approx(one.statistic, rel=1e-6)
    assert other.statistic == pytest.approx(one.statistic, rel=1e-6)


def test_weights_count_as_events():
    rng = np.random.default_rng(8)
    events, chunk = rng.normal(size=(1000, 2)), rng.normal(0.3, 1.0, size=(100, 2))
    weights = rng.integers(0, 3, size=1000).astype(np.float64)
    settings: dict[str, Any] = {"hidden": (5, 5), "steps": 30, "precision": "float64"}

    weighted = MlpModel(Reference(events, weights), **settings).fit(chunk, 100.0)
    repeated = MlpModel(Reference(np.repeat(events, weights.astype(int), axis=0)), **settings)

    assert repeated.fit(chunk, 100.0).statistic == pytest.approx(weighted.statistic, rel=1e-6)


def test_round_trip(model: MlpModel, chunk: NDArray[np.float32]):
    fitted = model.fit(chunk, 500.0)
    read = model.read(fitted.to_bytes())

    assert (read.statistic, read.expected) == (fitted.statistic, 500.0)
    assert np.array_equal(read.log_ratio(chunk), fitted.log_ratio(chunk))


def test_a_foreign_state_is_refused(model: MlpModel, reference: Reference, chunk: NDArray[np.float32]):
    body = model.fit(chunk, 500.0).to_bytes()

    with pytest.raises(StateError, match="other settings"):
        MlpModel(reference, steps=300, learning_rate=1e-2, clip=8.0).read(body)
    with pytest.raises(StateError, match="another reference"):
        MlpModel(Reference(reference.events[1:]), steps=300, learning_rate=1e-2).read(body)
    for bad in (b"", b"no such thing", body[:-8]):
        with pytest.raises(StateError, match="no fit"):
            model.read(bad)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(np.full((500, 1), 1.0), id="all in one place"),
        pytest.param(np.full((5000, 1), 3.0), id="ten times the rate, in one place"),
        pytest.param(np.full((500, 1), 1e9), id="absurdly far outside"),
        pytest.param(np.full((1, 1), 0.5), id="one event"),
    ],
)
@pytest.mark.parametrize("hidden", [(4,), (30, 30)])
def test_a_violent_chunk_ends(reference: Reference, events: Array, hidden: tuple[int, ...]):
    small = MlpModel(Reference(reference.events[:1000]), hidden=hidden, steps=100, learning_rate=0.1)

    fitted = small.fit(events, 500.0)

    assert 100 < fitted.statistic < np.inf
    assert np.isfinite(fitted.log_ratio(events)).all()


def test_bad_chunks_are_refused(model: MlpModel):
    with pytest.raises(ValueError, match="0 events"):
        model.fit(np.zeros((0, 1)), 1.0)
    with pytest.raises(ValueError, match="not finite"):
        model.fit(np.array([[np.inf]]), 1.0)


@pytest.mark.parametrize(
    "settings", [{"hidden": ()}, {"hidden": (0,)}, {"clip": 0.0}, {"steps": 0}, {"precision": "float16"}]
)
def test_bad_settings_are_refused(reference: Reference, settings: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(settings))):
        MlpModel(reference, **settings)
