"""E-processes of several widths: the mean of fair bets on one set of coins is fair; the choice of the best is not."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from nplmon.nplm.basis import Basis
from nplmon.nplm.errors import StateError
from nplmon.nplm.joint_eprocess import JointEProcess
from nplmon.nplm.preparation import prepare

VALUES, CHANCES = np.array([[-1.0], [0.0], [2.0]]), np.array([0.5, 0.3, 0.2])
BASES = [prepare(VALUES, CHANCES, centres=3, sigma=sigma, lambda_=1e-4) for sigma in (0.5, 1.0)]
MODELS = ((1.5, -1.0, 0.7), (-0.9, 0.3, 1.2))
"""f of the two widths at the three values."""


def widths(bases: list[Basis] = BASES) -> list[tuple[Basis, np.ndarray]]:
    return [(basis, basis.features(VALUES)) for basis in bases]


def models(scale: float = 1.0) -> list[np.ndarray]:
    return [
        np.linalg.solve(basis.features(VALUES).astype(np.float64), scale * np.array(f))
        for basis, f in zip(BASES, MODELS, strict=True)
    ]


def taught(mode: str = "shape") -> JointEProcess:
    """Give processes that have learned a model each and have won and lost before."""
    joint = JointEProcess(widths(), CHANCES, mode, chunk_share=1 / 3)
    for number, scale in enumerate((1.0, 0.4)):
        joint.apply(models(scale), 4.0, VALUES[[0, 2, 2]], VALUES[[1] * 40], [number])
    return joint


def again(joint: JointEProcess) -> JointEProcess:
    return JointEProcess.from_bytes(widths(), CHANCES, joint.to_bytes())


def test_the_mean_over_widths_is_fair() -> None:
    """All values of 2 chunk events and of the pool events that seeded coins take: E keeps its mean, to rounding.

    The weights of the widths then differ from each other, since one has won more.
    """
    joint = taught()
    logs = [process.two_sample.log_e for process in joint._processes]
    assert abs(logs[0] - logs[1]) > 0.1
    seeds = [seed for seed in range(200) if joint.asked(2, [seed]) <= 2][:4]
    assert len({joint.asked(2, [seed]) for seed in seeds}) > 1
    for form in ("poisson", "two_sample"):
        mean, count = 0.0, 0
        for seed in seeds:
            pool = joint.asked(2, [seed]) + 1
            for xs in itertools.product(range(3), repeat=2 + pool):
                one = again(joint)
                one.apply(models(), 2.0, VALUES[list(xs[:2])], VALUES[list(xs[2:])], [seed])
                mean += math.prod(CHANCES[list(xs)]) * math.exp(getattr(one, form).log_e)
            count += 1
        if form == "poisson":  # fair for every seed; the coins of the other are a sample of four
            assert mean / count == pytest.approx(math.exp(joint.poisson.log_e), rel=1e-6)
        else:
            assert mean / count == pytest.approx(math.exp(joint.two_sample.log_e), rel=0.5)


def test_over_all_coins_the_exact_form_is_fair() -> None:
    """One chunk event and one pool event, coins drawn 1,500 times: E keeps its mean within 4 standard errors.

    The largest of the widths, in place of the mean, would exceed it.
    """
    joint, rng = taught(), np.random.default_rng(1)
    means, largest = [], []
    for seed in range(1_500):
        drawn = rng.choice(3, size=12, p=CHANCES)
        one = again(joint)
        one.apply(models(), 2.0, VALUES[drawn[:2]], VALUES[drawn[2:]], [seed, 1])
        means.append(math.exp(one.two_sample.log_e - joint.two_sample.log_e))
        largest.append(
            max(
                math.exp(new.two_sample.log_e - old.two_sample.log_e)
                for new, old in zip(one._processes, joint._processes, strict=True)
            )
        )
    error = np.std(means) / math.sqrt(len(means))
    assert abs(np.mean(means) - 1) < 4 * error
    assert np.mean(largest) > 1 + 4 * error


def test_it_is_the_mean_of_processes_on_the_same_coins() -> None:
    joint = taught()
    parts = joint._processes
    assert len({process.pool_used for process in parts}) == 1
    for form in ("poisson", "two_sample"):
        for what in ("log_e", "log_sr", "log_cusum"):
            mean = np.mean([math.exp(getattr(getattr(process, form), what)) for process in parts])
            assert getattr(getattr(joint, form), what) == pytest.approx(math.log(mean))


def test_the_peak_is_of_the_mean_and_the_step_is_said() -> None:
    """The mean of the widths' largest values would be larger: they are reached after different chunks."""
    joint, logs = JointEProcess(widths(), CHANCES, "shape", chunk_share=1 / 3), [0.0]
    for number, events in enumerate(([0, 0, 0], [2, 2, 2], [1, 1, 0], [2, 1, 2])):
        found = joint.apply(models(), 3.0, VALUES[events], VALUES[[0, 1] * 20], [number])
        logs.append(joint.two_sample.log_e)
        assert found.log_two_sample == pytest.approx(logs[-1] - logs[-2])
    assert joint.two_sample.log_peak == max(logs)
    assert joint.two_sample.log_p == -max(logs)


def test_the_cost_of_several_widths_is_bounded_by_their_number() -> None:
    """However long the stream, log E is at most log W below the best width: no dilution with every chunk."""
    joint = JointEProcess(widths(), CHANCES, "shape", chunk_share=1 / 3)
    for number in range(40):
        joint.apply(models(), 3.0, VALUES[[2, 2, 0]], VALUES[[0, 1, 0, 2] * 10], [number])
    best = max(process.poisson.log_e for process in joint._processes)
    assert best > 3
    assert best - math.log(2) <= joint.poisson.log_e <= best


def test_a_restart_changes_nothing_and_other_states_are_refused() -> None:
    joint = taught()
    other = again(joint)
    for one in (joint, other):
        one.apply(models(), 3.0, VALUES[[0, 1, 2]], VALUES[[0, 1] * 20], [9])
    assert (joint.two_sample, joint.poisson, joint.pool_used) == (
        other.two_sample,
        other.poisson,
        other.pool_used,
    )
    body = joint.to_bytes()
    with pytest.raises(StateError, match="2 widths, not 1"):
        JointEProcess.from_bytes(widths(BASES[:1]), CHANCES, body)
    with pytest.raises(StateError, match="another reference"):
        JointEProcess.from_bytes(widths(BASES[::-1]), CHANCES, body)
    with pytest.raises(StateError, match="no saved"):
        JointEProcess.from_bytes(widths(), CHANCES, body[:-5])
    with pytest.raises(ValueError, match="at least one"):
        JointEProcess([], None, "shape")


def test_a_width_that_overflows_learns_nothing_and_the_others_go_on() -> None:
    joint, plain = taught(), taught()
    bad, good = np.full(BASES[0].size, 1e31), models()[1]
    joint.apply([bad, good], 3.0, VALUES[[0, 1]], VALUES[[0] * 20], [3])
    plain.apply([models()[0], good], 3.0, VALUES[[0, 1]], VALUES[[0] * 20], [3])
    before = taught().log_ratios(VALUES)
    np.testing.assert_array_equal(joint.log_ratios(VALUES)[0], before[0])
    np.testing.assert_array_equal(joint.log_ratios(VALUES)[1], plain.log_ratios(VALUES)[1])
    assert joint.two_sample == plain.two_sample
