"""The e-values are fair, by enumeration: their mean under H0 is 1.

The problems have three values x with known probabilities under H0: the weights of the reference, so that its means are
those under H0 and the expectation of every e-value must be 1 to rounding (of features in float32).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from scipy import stats

from nplmon.nplm.basis import Basis
from nplmon.nplm.eprocess import EProcess, interleave, log_factors
from nplmon.nplm.null import Mode
from nplmon.nplm.preparation import prepare

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
    of_chunk, of_pool = (np.exp(x) for x in log_factors(np.array([np.inf, -np.inf]), 0.5))
    orders = [(0, 1), (1, 0)]

    fixed = np.mean([of_chunk[one] * of_pool[other] for one, other in orders])
    flipped = sum(
        0.5 * chance * of_chunk[one] ** used * of_pool[other] ** taken
        for one, other in orders
        for chance, before in coins(1, 1, 0.5)
        for used, taken in [interleave(1, 1, 0.5, Coins(before))]
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
