"""E-processes: fair by enumeration, predictable, the same after a restart, and never NaN.

The enumerated problems have three values x with known probabilities under H0: the weights of the reference, so that
its means are those under H0 and the expectation of every e-value must be 1 to rounding (of features in float32).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from nplmon.nplm.basis import Basis
from nplmon.nplm.eprocess import EProcess, interleave, log_factors
from nplmon.nplm.errors import StateError
from nplmon.nplm.evidence import Evidence
from nplmon.nplm.null import Mode
from nplmon.nplm.predictable_ratio import PredictableRatio
from nplmon.nplm.preparation import prepare

Array = NDArray[np.float64]
VALUES, CHANCES = np.array([[-1.0], [0.0], [2.0]]), np.array([0.5, 0.3, 0.2])
NONE = np.empty((0, 1))


class Coins(np.random.Generator):
    """A generator whose numbers of pool events before each event of the chunk are given."""

    def __init__(self, before: tuple[int, ...]) -> None:
        super().__init__(np.random.PCG64(0))
        self._before = before

    def geometric(self, p, size=None):
        assert size == len(self._before)
        return np.array(self._before, dtype=np.int64) + 1


def coins(events: int, pool: int, chunk_share: float) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Give all that the coins can ask for, with its probability; `pool` stands for that many or more."""
    for before in itertools.product(range(pool + 1), repeat=events):
        chance = 1.0
        for number in before:
            rest = (1 - chunk_share) ** number
            chance *= rest if number == pool else rest * chunk_share
        yield chance, before


@cache
def three() -> Basis:
    return prepare(VALUES, CHANCES, centres=3, sigma=1.0, lambda_=1e-4)


def taught(mode: Mode, chunk_share: float = 1 / 3) -> EProcess:
    """Give a process that has learned two models far from 1, of means other than 1."""
    features = three().features(VALUES)
    process = EProcess(three(), features, CHANCES, mode, chunk_share=chunk_share)
    for f in ((1.5, -1.0, 0.7), (-0.5, -1.2, 2.0)):
        a = np.linalg.solve(features.astype(np.float64), f)
        process.apply(a, 4.0, VALUES[[0, 2]], NONE, np.random.default_rng(0))
    return process


def test_the_two_sample_form_is_fair():
    """All values of 2 chunk and 2 pool events, all coins: the mean is 1, also where the pool runs empty."""
    process, events, pool = taught("shape"), 2, 2
    log_r = process.log_ratio(VALUES)
    assert np.abs(log_r).max() > 0.3
    total = starved = 0.0
    for xs in itertools.product(range(3), repeat=events + pool):
        body = process.to_bytes()
        chance_x = math.prod(CHANCES[list(xs)])
        for chance, before in coins(events, pool, process.chunk_share):
            one = EProcess.from_bytes(three(), three().features(VALUES), CHANCES, body)
            found = one.apply(None, 2.0, VALUES[list(xs[:events])], VALUES[list(xs[events:])], Coins(before))
            assert found.starved == (found.tested < events) == (sum(before) >= pool)
            total += chance_x * chance * math.exp(found.log_two_sample)
            starved += chance_x * chance * found.starved

    assert total == pytest.approx(1, abs=1e-9)
    assert 0.1 < starved < 0.9


def mean_of_rule(rule: str) -> float:
    """Give the expectation of the two-sample e-value of one event, r = 2 or 1/4, one event in the pool, pi = 1/2."""
    r, chances, pi = np.array([2.0, 0.25]), np.array([0.4, 0.6]), 0.5
    of_chunk, of_pool = (np.exp(x) for x in log_factors(np.log(r), pi))
    mean = 0.0
    for chance, (before,) in coins(1, 2, pi):
        if rule == "stops when the pool is empty":
            tested, taken = before < 1, min(before, 1)
        elif rule == "gives up the chunk":
            tested, taken = before <= 1, before if before <= 1 else 0
        else:  # "goes on until a coin asks for more"
            tested, taken = before <= 1, min(before, 1)
        for x, y in itertools.product(range(2), repeat=2):
            e = (of_chunk[x] if tested else 1) * (of_pool[y] if taken else 1)
            mean += chance * chances[x] * chances[y] * e
    return mean


def test_other_rules_at_the_end_of_the_pool_are_not_fair():
    """They let the coins choose: neither has mean 1, whatever the ratio is."""
    assert mean_of_rule("stops when the pool is empty") == pytest.approx(1, abs=1e-12)
    assert mean_of_rule("gives up the chunk") != pytest.approx(1, abs=1e-3)
    assert mean_of_rule("goes on until a coin asks for more") != pytest.approx(1, abs=1e-3)


def test_counts_fixed_in_advance_are_not_fair():
    """Two events, r = (inf, 0), one of them of the chunk: without coins the mean is 2, with them it is 1."""
    of_chunk, of_pool = (np.exp(x) for x in log_factors(np.log([1e300, 1e-300]) * 2, 0.5))
    orders = [(0, 1), (1, 0)]

    fixed = np.mean([of_chunk[one] * of_pool[other] for one, other in orders])
    flipped = sum(
        0.5 * chance * math.exp(sum(np.log([of_chunk[one]] * used + [of_pool[other]] * taken)))
        for one, other in orders
        for chance, before in coins(1, 1, 0.5)
        for used, taken in [interleave(1, 1, 0.5, Coins(before))]
        if (of_chunk[one] if used else 1) * (of_pool[other] if taken else 1) > 0
    )

    assert fixed == pytest.approx(2)
    assert flipped == pytest.approx(1)


def test_the_interleaving_is_that_of_coin_flips():
    """The mean number of pool events is (1 - pi) / pi per event, within 4 standard errors; exact means, see above."""
    rng, events, share = np.random.default_rng(3), 50, 1 / 6
    taken = np.array([interleave(events, 10**6, share, rng)[1] for _ in range(2_000)])
    error = math.sqrt(events * (1 - share) / share**2 / len(taken))

    assert taken.mean() == pytest.approx(events * (1 - share) / share, abs=4 * error)
    assert taken.var() == pytest.approx(events * (1 - share) / share**2, rel=0.15)


def counts(most: int) -> Iterator[tuple[int, int, int]]:
    return itertools.product(range(most + 1), repeat=3)


def e_value(process: EProcess, body: bytes, numbers: tuple[int, int, int], expected: float) -> float:
    one = EProcess.from_bytes(three(), three().features(VALUES), CHANCES, body)
    events = np.repeat(VALUES, numbers, axis=0)
    return math.exp(one.apply(None, expected, events, NONE, np.random.default_rng(0)).log_poisson)


def test_the_poisson_form_is_fair():
    """Independent Poisson numbers of each value, up to 13, where less than 1e-7 of the mean lies above."""
    process, expected = taught("rate"), 1.0
    body = process.to_bytes()
    chances = [stats.poisson.pmf(np.arange(14), expected * p) for p in CHANCES]
    mean = sum(
        math.prod(chances[i][n] for i, n in enumerate(numbers)) * e_value(process, body, numbers, expected)
        for numbers in counts(13)
        if sum(numbers) <= 13
    )

    assert mean == pytest.approx(1, abs=1e-5)


def test_the_multinomial_form_is_fair_whatever_the_count():
    process = taught("shape")
    body = process.to_bytes()
    for count in (1, 3, 5):
        mean = sum(
            stats.multinomial.pmf(numbers, count, CHANCES) * e_value(process, body, numbers, 7.0)
            for numbers in counts(count)
            if sum(numbers) == count
        )
        assert mean == pytest.approx(1, abs=1e-6)


def test_the_poisson_form_with_the_observed_count_is_smaller():
    """Its mean is (m e^(1 - m))^N: that is why mode "shape" takes the multinomial form."""
    rate, count = taught("rate"), 3
    body = rate.to_bytes()
    log_r = rate._ratio.log_ratio(three().features(VALUES))[0]
    m = CHANCES @ np.exp(log_r)
    mean = sum(
        stats.multinomial.pmf(numbers, count, CHANCES) * e_value(rate, body, numbers, float(count))
        for numbers in counts(count)
        if sum(numbers) == count
    )

    assert mean == pytest.approx((m * math.exp(1 - m)) ** count, rel=1e-5)
    assert mean < 0.99


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
        np.testing.assert_array_equal(again.log_ratio(run().pool[:50]), before)
        return before

    np.testing.assert_array_equal(shown(run().chunks[3]), shown(run().chunks[3] + 5))


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

    assert continued.to_bytes() == through.to_bytes()
    assert seen(continued) == seen(through)
    assert (continued.chunks, continued.pool_used) == (6, through.pool_used)


def test_the_coins_alone_are_random():
    same, others = add(start(), range(4)), add(start(), range(4), seed=6)

    assert seen(add(start(), range(4))) == seen(same)
    assert others.poisson == same.poisson
    assert others.two_sample != same.two_sample


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
    np.testing.assert_array_equal(process.log_ratio(run().pool[:9]), before)


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
