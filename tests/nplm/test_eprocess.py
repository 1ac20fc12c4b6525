"""E-processes: predictable, the same after a restart, and never NaN. Their fairness is in `test_eprocess_fair.py`."""

from __future__ import annotations

import math
from dataclasses import astuple
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from nplmon.nplm.basis import Basis
from nplmon.nplm.eprocess import EProcess
from nplmon.nplm.errors import StateError
from nplmon.nplm.evidence import Evidence
from nplmon.nplm.null import Mode
from nplmon.nplm.predictable_ratio import PredictableRatio
from nplmon.nplm.preparation import prepare

Array = NDArray[np.float64]


class Run(NamedTuple):
    """A weighted reference, chunks with their models, and a pool."""

    basis: Basis
    features: NDArray[np.float32]
    weights: Array
    chunks: list[Array]
    models: list[Array]
    pool: Array


@cache
def run() -> Run:
    rng = np.random.default_rng(2)
    reference, weights = rng.normal(size=(3_000, 2)), rng.uniform(0.2, 1.8, size=3_000)
    weights[:30] = 0.0
    basis = prepare(reference, weights, centres=40, sigma=1.5, lambda_=1e-4)
    chunks = [rng.normal(0.2, 1.0, size=(size, 2)) for size in (60, 90, 40, 70, 50, 80)]
    models = [rng.normal(0, 0.8, size=basis.size) for _ in chunks]
    return Run(basis, basis.features(reference), weights, chunks, models, rng.normal(size=(5_000, 2)))


def start(mode: Mode = "shape", **settings: float) -> EProcess:
    return EProcess(run().basis, run().features, run().weights, mode, **settings)  # type: ignore[arg-type]


def add(process: EProcess, chunks: range, models: list[Array] | None = None, seed: int = 5) -> EProcess:
    for k in chunks:
        events, pool = run().chunks[k], run().pool[process.pool_used :]
        a = (run().models if models is None else models)[k]
        process.apply(a, 1.1 * len(events), events, pool, np.random.default_rng([seed, k]))
    return process


def seen(process: EProcess) -> tuple[Evidence, Evidence]:
    return process.poisson, process.two_sample


def alike(one: Evidence, other: Evidence) -> bool:
    """Equal but for rounding: products of matrices may be summed in another order, as arrays lie in memory."""
    return astuple(one) == pytest.approx(astuple(other), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("mode", ["shape", "rate"])
def test_the_ratio_is_its_formula(mode: Mode):
    """Both memories, with plain exponentials in float64."""
    process, x, tau = add(start(mode, memory=3.0), range(4)), run().pool[:20], 3.0
    lam = [1.1 * len(run().chunks[k]) for k in range(4)]
    for memory, decay in enumerate((1.0, math.exp(-1 / tau))):
        w = [lam[k] * decay ** (3 - k) for k in range(4)]

        def ratio(psi: NDArray[np.floating], w: list[float] = w) -> Array:
            past = sum(w[k] * np.exp(psi.astype(np.float64) @ run().models[k]) for k in range(4))
            return np.asarray((lam[0] + past) / (lam[0] + sum(w)))

        mean = run().weights @ ratio(run().features) / run().weights.sum()
        found = process._ratio.log_ratio(run().basis.features(x))[memory]
        np.testing.assert_allclose(np.exp(found), ratio(run().basis.features(x)), rtol=1e-9)
        assert math.exp(process._ratio.log_mean[memory]) == pytest.approx(mean, rel=1e-5)


def test_the_ratio_of_a_chunk_knows_nothing_of_it():
    """Chunk k is tested with what was shown before it came; its own model and later ones change nothing."""
    process, other = start(), start()
    for k in range(5):
        before = process.log_ratio(run().chunks[k]).sum()
        events, pool = run().chunks[k], run().pool[process.pool_used :]
        found = process.apply(run().models[k], 1.0 * len(events), events, pool, np.random.default_rng(k))
        changed = other.apply(-3 * run().models[k], 1.0 * len(events), events, pool, np.random.default_rng(k))

        assert found == changed
        assert found.log_poisson == pytest.approx(before, abs=1e-9)
        other = EProcess.from_bytes(run().basis, run().features, run().weights, process.to_bytes())

    def shown(events: Array) -> Array:
        one = add(start(), range(3))
        before = one.log_ratio(run().pool[:50])
        body = one.to_bytes()
        one.apply(run().models[3], 70.0, events, run().pool[one.pool_used :], np.random.default_rng(0))
        again = EProcess.from_bytes(run().basis, run().features, run().weights, body)
        np.testing.assert_allclose(again.log_ratio(run().pool[:50]), before, rtol=1e-9, atol=1e-12)
        return before

    np.testing.assert_allclose(shown(run().chunks[3]), shown(run().chunks[3] + 5), rtol=1e-9, atol=1e-12)


def test_the_first_chunk_bets_nothing():
    process = add(start("rate"), range(1))

    assert seen(process) == 2 * (Evidence(log_sr=0.0, log_cusum=0.0),)


@pytest.mark.parametrize("mode", ["shape", "rate"])
@pytest.mark.parametrize("cut", [0, 1, 3, 6])
def test_a_restart_changes_nothing(mode: Mode, cut: int):
    through = add(start(mode, model_cap=3), range(6))

    body = add(start(mode, model_cap=3), range(cut)).to_bytes()
    continued = EProcess.from_bytes(run().basis, run().features, run().weights, body)
    add(continued, range(cut, 6))

    assert all(map(alike, seen(continued), seen(through)))
    assert (continued.chunks, continued.pool_used) == (6, through.pool_used)


def test_the_coins_alone_are_random():
    same, others = add(start(), range(4)), add(start(), range(4), seed=6)

    assert all(map(alike, seen(add(start(), range(4))), seen(same)))
    assert alike(others.poisson, same.poisson)
    assert not alike(others.two_sample, same.two_sample)


def test_a_state_of_something_else_is_refused():
    body = add(start(), range(2)).to_bytes()
    other = prepare(run().pool[:500], centres=10)

    with pytest.raises(StateError, match="another reference"):
        EProcess.from_bytes(other, other.features(run().pool[:500]), None, body)
    with pytest.raises(StateError, match="no saved e-process"):
        EProcess.from_bytes(run().basis, run().features, run().weights, body[:-9])
    with pytest.raises(StateError, match="reset the run"):
        EProcess.from_bytes(run().basis, run().features, run().weights, run().basis.to_bytes())


def test_an_empty_pool_stops_the_two_sample_form_alone():
    process = start()
    for k in range(4):
        pool = run().pool[process.pool_used : 600]
        found = process.apply(run().models[k], 50.0, run().chunks[k], pool, np.random.default_rng(k))
        if found.starved:
            break
    stopped, poisson = process.two_sample, process.poisson
    assert process.pool_used == 600
    assert 0 < found.tested < len(run().chunks[k])
    assert process.untested == len(run().chunks[k]) - found.tested

    empty = process.apply(
        run().models[4], 50.0, run().chunks[4], run().pool[600:600], np.random.default_rng(4)
    )

    assert (empty.tested, empty.pool_used, empty.starved, empty.log_two_sample) == (0, 0, True, 0.0)
    assert process.two_sample.log_e == stopped.log_e
    assert process.poisson != poisson
    refilled = process.apply(
        run().models[5], 50.0, run().chunks[5], run().pool[600:], np.random.default_rng(5)
    )
    assert not refilled.starved


def test_a_chunk_without_a_model_is_tested_all_the_same():
    process = add(start(), range(2))
    before = process.log_ratio(run().pool[:9])
    found = process.apply(
        None, 50.0, run().chunks[2], run().pool[process.pool_used :], np.random.default_rng(2)
    )

    assert found.log_poisson != 0
    np.testing.assert_allclose(process.log_ratio(run().pool[:9]), before, rtol=1e-9, atol=1e-12)


def test_merging_bounds_the_models_and_keeps_the_ratio():
    """Models of norm 0.1: the mixture and its merged form differ in the second order, 0.01 at most."""
    rng = np.random.default_rng(4)
    memories = [math.inf, 10.0]
    exact = PredictableRatio(run().features, run().weights, memories=memories, model_cap=1000)
    merged = PredictableRatio(run().features, run().weights, memories=memories, model_cap=8)
    x, share = run().basis.features(run().pool[:200]), run().weights / run().weights.sum()
    for _ in range(60):
        a = rng.normal(size=run().basis.size)
        for ratio in (exact, merged):
            ratio.learn(0.1 * a / np.linalg.norm(a) + 0.3 * (np.arange(a.size) == 0), 50.0)
        assert merged.models <= 8
        mean = np.exp(merged.log_ratio(run().features)) @ share
        np.testing.assert_allclose(np.exp(merged.log_mean), mean, rtol=1e-5)

    assert exact.models == 60
    np.testing.assert_allclose(merged.log_ratio(x), exact.log_ratio(x), atol=0.01)
    assert np.abs(exact.log_ratio(x)).max() > 0.1


def test_nothing_overflows():
    """A model of norm 1e29, then thousands of e-values of e^(+-1e4): logarithms, not NaN."""
    for mode in ("shape", "rate"):
        process = start(mode)
        for k, norm in enumerate((1e29, -1e29, 1e3, 1e29)):
            process.apply(
                norm * np.ones(run().basis.size) / run().basis.size,
                50.0,
                run().chunks[k],
                run().pool[process.pool_used :],
                np.random.default_rng(k),
            )
        numbers = [x for one in seen(process) for x in (one.log_e, one.log_sr, one.log_cusum, one.log_p)]
        assert not np.isnan(numbers).any()
    evidence = Evidence()
    for k in range(5_000):
        evidence = evidence.times(1e4 if k % 3 else -1e4)
    assert evidence.log_sr >= evidence.log_cusum > 1e7
    gone = evidence.times(-math.inf).times(1.0)
    assert (gone.log_e, gone.log_cusum, gone.log_p) == (-math.inf, 1.0, evidence.log_p)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_a_model_that_overflows_is_refused_and_leaves_no_trace(bad: float):
    process = add(start(), range(2))
    body = process.to_bytes()

    with pytest.raises(ValueError, match="its ratio overflows"):
        process.apply(
            np.full(run().basis.size, bad), 50.0, run().chunks[2], run().pool, np.random.default_rng(0)
        )
    with pytest.raises(ValueError, match="give a positive one"):
        process.apply(run().models[2], 0.0, run().chunks[2], run().pool, np.random.default_rng(0))
    with pytest.raises(ValueError, match="not finite"):
        process.apply(run().models[2], 9.0, np.full((3, 2), np.nan), run().pool, np.random.default_rng(0))

    assert process.to_bytes() == body


@pytest.mark.parametrize("settings", [{"chunk_share": 0.0}, {"memory": 0.0}, {"model_cap": 1}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]):
    with pytest.raises(ValueError, match="give"):
        start(**settings)


def test_the_detectors_are_their_recursions():
    rng, e = np.random.default_rng(0), Evidence()
    E, S, M = 1.0, 0.0, 0.0
    for _ in range(30):
        x, y = rng.lognormal(size=2)
        E, S, M = E * x, (1 + S) * y, max(1, M) * y
        e = e.times(math.log(x), math.log(y))
        np.testing.assert_allclose(np.exp([e.log_e, e.log_sr, e.log_cusum]), [E, S, M])
