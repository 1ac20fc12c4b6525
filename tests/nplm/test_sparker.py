"""SparKer: its gradients, its convex step, what it must not depend on, and what the paper shows of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import optimize

from nplmon.nplm.errors import FitError, StateError
from nplmon.nplm.reference import Reference
from nplmon.nplm.sparker import Alternation, SparkerModel
from nplmon.nplm.sparse_loss import Point, SparseLoss, entropy
from nplmon.simulators import expo

Array = NDArray[np.float64]
SIGMA, LAMBDA_A, LAMBDA_H = 1.3, 1e-2, 1e-1


@pytest.fixture(scope="module")
def sample() -> tuple[Array, Array, Array]:
    """Give reference, w v and events of a small problem in two features."""
    rng = np.random.default_rng(1)
    return rng.normal(size=(300, 2)), rng.uniform(0.05, 0.2, size=300), rng.normal(0.4, 1.0, size=(40, 2))


@pytest.fixture(scope="module")
def loss(sample: tuple[Array, Array, Array]) -> SparseLoss:
    x, v, events = (torch.from_numpy(array) for array in sample)
    return SparseLoss(x, events, v, sigma=SIGMA, lambda_a=LAMBDA_A, lambda_h=LAMBDA_H)


def differentiable(
    evaluate: Callable[[Array, Array], Point], lambda_: float = 1.0
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Wrap a loss with its own gradients for gradcheck."""

    class Wrapped(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, a: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
            point = evaluate(a.detach().numpy(), m.detach().numpy())
            ctx.gradients = point.coefficient_gradient, point.location_gradient
            return torch.tensor(lambda_ * point.value, dtype=torch.float64)

        @staticmethod
        def backward(ctx: Any, outer: torch.Tensor) -> Any:
            return tuple(lambda_ * outer * torch.from_numpy(gradient) for gradient in ctx.gradients)

    return Wrapped.apply  # type: ignore[no-any-return]  # torch leaves it untyped


@pytest.mark.parametrize("kernels", [1, 4])
def test_gradients_of_the_loss_with_both_penalties(loss: SparseLoss, kernels: int):
    rng = np.random.default_rng(2)
    a = torch.from_numpy(rng.normal(size=kernels)).requires_grad_()
    m = torch.from_numpy(rng.normal(size=(kernels, 2))).requires_grad_()

    assert torch.autograd.gradcheck(differentiable(loss.evaluate), (a, m))


def test_the_gradient_is_that_of_the_minimum_over_the_coefficients(loss: SparseLoss):
    m = torch.from_numpy(np.random.default_rng(3).normal(size=(4, 2))).requires_grad_()

    def smallest(_: Array, locations: Array) -> Point:
        return loss.minimise(locations, tolerance=1e-15)

    fixed = torch.zeros(4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda m: differentiable(smallest)(fixed, m), (m,), atol=1e-5)


def test_the_loss_is_the_one_of_the_document(sample: tuple[Array, Array, Array], loss: SparseLoss):
    """Its terms, written out: NP loss + lambda_a / M sum a^2 - lambda_H L_H, L_H = - sum kbar log kbar."""
    x, v, events = sample
    rng = np.random.default_rng(4)
    a, m = rng.normal(size=3), rng.normal(size=(3, 2))

    def kernel(points: Array) -> Array:
        return np.exp(-((points[:, None] - m) ** 2).sum(axis=2) / (2 * SIGMA**2))

    likelihood = v @ np.expm1(kernel(x) @ a) - (kernel(events) @ a).sum()
    mean = kernel(m).sum(axis=1) / 3
    wanted = likelihood + LAMBDA_A / 3 * (a**2).sum() + LAMBDA_H * (mean * np.log(mean)).sum()

    point = loss.evaluate(a, m)
    assert point.value == pytest.approx(wanted, rel=1e-10)
    assert point.statistic == pytest.approx(-2 * likelihood, rel=1e-10)


def test_entropy_is_largest_at_one_part_in_e():
    """Two kernels at a distance: kbar = (1 + k) / 2, which never comes down to 1/e; far apart is best."""
    distances = np.linspace(0.0, 8.0, 50)
    values = [entropy(np.array([[0.0], [d]]), 1.0)[0] for d in distances]

    assert np.all(np.diff(values) > -1e-12)
    assert values[0] == pytest.approx(0.0)
    assert values[-1] == pytest.approx(np.log(2))


def check_minimum(loss: SparseLoss, m: Array, tolerance: float) -> None:
    found = loss.minimise(m, tolerance=1e-9)

    def value(a: Array) -> tuple[float, Array]:
        point = loss.evaluate(a, m)
        return point.value, point.coefficient_gradient

    wanted = optimize.minimize(value, np.zeros(len(m)), jac=True, method="BFGS", options={"gtol": 1e-7})
    assert found.value == pytest.approx(wanted.fun, abs=tolerance)
    assert np.abs(found.coefficients - wanted.x).max() < 1e-3 * np.abs(wanted.x).max()


def test_the_convex_step_reaches_the_minimum(loss: SparseLoss):
    check_minimum(loss, np.random.default_rng(5).normal(size=(5, 2)), 1e-8)


def test_coinciding_locations_share_their_coefficient(loss: SparseLoss):
    """The kernels that others span cost nothing to evaluate, and the penalty divides the coefficient evenly."""
    m = np.random.default_rng(6).normal(size=(3, 2))
    found = loss.minimise(np.vstack([m, m[:1]]), tolerance=1e-9)

    check_minimum(loss, np.vstack([m, m[:1]]), 1e-7)
    assert found.coefficients[0] == pytest.approx(found.coefficients[3], rel=1e-6)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(expo.sample(np.random.default_rng(7), 20_000))


@pytest.fixture(scope="module")
def model(reference: Reference) -> SparkerModel:
    return SparkerModel(reference, moves=5)


@pytest.fixture(scope="module")
def chunk() -> NDArray[np.float32]:
    return expo.sample_chunk(np.random.default_rng(8), 1000, "tail", strength=2.0)


def test_a_signal_is_found_where_it_is(model: SparkerModel, chunk: NDArray[np.float32]):
    background = expo.sample_chunk(np.random.default_rng(9), 1000)

    quiet, found = (model.fit(events, float(len(events))) for events in (background, chunk))

    assert found.statistic > quiet.statistic + 20
    f = found.log_ratio(np.array([[0.5], [6.4]]))
    assert f[1] > 0.5 > abs(f[0])


def test_the_locations_are_learned(reference: Reference, chunk: NDArray[np.float32]):
    few, more = (SparkerModel(reference, kernels=3, moves=moves).fit(chunk, 1000.0) for moves in (0, 20))

    assert more.statistic > few.statistic + 0.1
    assert np.abs(more.locations - few.locations).max() > 0.1


def test_the_statistic_is_that_of_the_ratio(
    model: SparkerModel, reference: Reference, chunk: NDArray[np.float32]
):
    fitted = model.fit(chunk, 900.0)
    f = fitted.log_ratio(reference.events)

    direct = 2 * (fitted.log_ratio(chunk).sum() - 900 / 20_000 * np.expm1(f).sum())
    assert fitted.statistic == pytest.approx(direct, abs=1e-3)
    assert fitted.expected == 900.0


def test_the_order_of_the_events_changes_nothing(model: SparkerModel, chunk: NDArray[np.float32]):
    shuffled = np.random.default_rng(10).permutation(chunk)

    one, other = model.fit(chunk, 1000.0), model.fit(shuffled, 1000.0)
    assert other.statistic == pytest.approx(one.statistic, abs=1e-3)


def test_other_units_change_nothing(reference: Reference, chunk: NDArray[np.float32]):
    def changed(events: NDArray[np.floating]) -> Array:
        return 25.0 + 1e3 * np.asarray(events, dtype=np.float64)

    one = SparkerModel(reference, moves=3).fit(chunk, 1000.0)
    other = SparkerModel(Reference(changed(reference.events)), moves=3).fit(changed(chunk), 1000.0)

    assert other.statistic == pytest.approx(one.statistic, abs=1e-3)
    points = np.array([[0.3], [6.0]])
    assert other.log_ratio(changed(points)) == pytest.approx(one.log_ratio(points), abs=1e-3)


def test_weights_count_as_events():
    rng = np.random.default_rng(11)
    events, chunk = rng.normal(size=(2000, 1)), rng.normal(0.3, 1.0, size=(200, 1))
    weights = rng.integers(0, 3, size=2000).astype(np.float64)
    settings: dict[str, Any] = {"kernels": 4, "sigma": 1.0, "moves": 3}

    weighted = SparkerModel(Reference(events, weights), **settings).fit(chunk, 200.0)
    repeated = SparkerModel(Reference(np.repeat(events, weights.astype(int), axis=0)), **settings)

    assert repeated.fit(chunk, 200.0).statistic == pytest.approx(weighted.statistic, abs=1e-4)


def test_round_trip(model: SparkerModel, chunk: NDArray[np.float32]):
    fitted = model.fit(chunk, 1000.0)
    read = model.read(fitted.to_bytes())

    assert (read.statistic, read.expected) == (fitted.statistic, fitted.expected)
    assert np.array_equal(read.log_ratio(chunk), fitted.log_ratio(chunk))


def test_a_foreign_state_is_refused(model: SparkerModel, reference: Reference, chunk: NDArray[np.float32]):
    body = model.fit(chunk, 1000.0).to_bytes()

    with pytest.raises(StateError, match="other settings"):
        SparkerModel(reference, moves=6).read(body)
    with pytest.raises(StateError, match="another reference"):
        SparkerModel(Reference(reference.events[:-1]), moves=5).read(body)
    for bad in (b"", b"no such thing", body[:-8]):
        with pytest.raises(StateError, match="no fit"):
            model.read(bad)


@pytest.mark.parametrize(
    ("events", "expected", "message"),
    [
        (np.zeros((0, 1)), 1.0, "0 events"),
        (np.zeros((3, 2)), 3.0, "shape"),
        (np.array([[0.0], [np.nan]]), 2.0, "event 1 is not finite"),
        (np.zeros((3, 1)), 0.0, "expected count"),
    ],
)
def test_bad_chunks_are_refused(model: SparkerModel, events: Array, expected: float, message: str):
    with pytest.raises(ValueError, match=message):
        model.fit(events, expected)


@pytest.mark.parametrize(
    "settings", [{"kernels": 0}, {"lambda_a": 0.0}, {"moves": -1}, {"precision": "float16"}, {"sigma": -1.0}]
)
def test_bad_settings_are_refused(reference: Reference, settings: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(settings))):
        SparkerModel(reference, **settings)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(np.full((1000, 1), 1.0), id="all in one place"),
        pytest.param(np.full((10_000, 1), 3.0), id="ten times the rate, in one place"),
        pytest.param(np.full((1000, 1), 100.0), id="outside the reference"),
        pytest.param(np.full((1000, 1), 1e9), id="absurdly far outside"),
        pytest.param(np.full((1, 1), 0.5), id="one event"),
        pytest.param(np.repeat([[0.0], [30.0]], 500, axis=0), id="in two places"),
    ],
)
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_violent_chunk_is_told_from_the_reference(reference: Reference, events: Array, precision: Any):
    model = SparkerModel(Reference(reference.events[:2000]), moves=5, precision=precision)

    fitted = model.fit(events, 1000.0)

    assert 100 < fitted.statistic < np.inf
    assert np.isfinite(fitted.log_ratio(events)).all()


def test_single_precision_agrees(reference: Reference, chunk: NDArray[np.float32]):
    double, single = (
        SparkerModel(reference, moves=1, precision=precision).fit(chunk, 1000.0)
        for precision in ("float64", "float32")
    )
    assert single.statistic == pytest.approx(double.statistic, rel=1e-2)


def test_fewer_events_than_kernels(reference: Reference):
    fitted = SparkerModel(reference, kernels=12, moves=2).fit(np.linspace(0, 3, 5)[:, None], 5.0)

    assert fitted.locations.shape == (12, 1)
    assert np.isfinite(fitted.statistic)


def test_the_published_alternation_descends(reference: Reference, chunk: NDArray[np.float32]):
    """It stays above the minimum, as it stops long before, and comes closer with more epochs."""
    small = Reference(reference.events[:2000])
    t = [
        SparkerModel(
            small,
            kernels=4,
            alternation=Alternation(
                epochs=epochs, coefficient_steps=10, location_steps=10, learning_rate=2e-2
            ),
        )
        .fit(chunk, 1000.0)
        .statistic
        for epochs in (1, 4, 10)
    ]
    converged = SparkerModel(small, kernels=4).fit(chunk, 1000.0).statistic

    assert 0 < t[0] < t[1] < t[2] < converged


def test_a_wild_learning_rate_is_told(reference: Reference, chunk: NDArray[np.float32]):
    wild = Alternation(epochs=5, coefficient_steps=5, location_steps=5, learning_rate=1e4)

    with np.errstate(all="ignore"), pytest.raises(FitError, match="learning rate"):
        SparkerModel(Reference(reference.events[:500]), alternation=wild).fit(chunk, 1000.0)
    with pytest.raises(ValueError, match="epochs=0"):
        Alternation(epochs=0)
