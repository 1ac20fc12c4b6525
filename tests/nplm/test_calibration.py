"""Calibration: p of the smallest p with its resolution, thresholds, and how far toys and closed form are apart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from nplmon.nplm.basis import Basis
from nplmon.nplm.calibration import Calibration
from nplmon.nplm.disagreement import disagreement
from nplmon.nplm.errors import StateError
from nplmon.nplm.level_process import cross_moments
from nplmon.nplm.preparation import prepare
from nplmon.nplm.run_length import toys_needed
from nplmon.nplm.toy_plan import ToyPlan, Trajectories

PLAN = ToyPlan(mode="shape", source="fixed-reference", chunks=6, events=100.0, seed=1)


def uniform_toys(seed: int, toys: int, chunks: int = 6, widths: int = 1) -> Trajectories:
    log_p = np.log(np.random.default_rng(seed).uniform(size=(toys, chunks, widths)))
    return Trajectories(
        plan=PLAN.digest, numbers=np.arange(toys), values={"t_score": -log_p}, log_p={"t_score": log_p}
    )


def bases(lambda_: float = 1e-4) -> tuple[list[Basis], list[NDArray[np.float32]]]:
    events = np.random.default_rng(5).exponential(size=(20_000, 1))
    found = [prepare(events, centres=80, sigma=sigma, lambda_=lambda_) for sigma in (0.3, 0.7, 2.0)]
    return found, [basis.features(events[:10_000]) for basis in found]


def test_p_counts_toys():
    """(1 + k) / (n + 1), k counted here by hand, at every chunk; ranks kept apart add at most 1 %."""
    toys = uniform_toys(1, 3_000)
    found = Calibration.from_trajectories([toys], plan=PLAN, pool=6_000)
    for n in range(1, 7):
        column = toys.log_p["t_score"][:, n - 1, 0]
        for p in (0.002, 0.03, 0.1, 0.4, 0.97):
            one = found.p("t_score", n, float(np.log(p)))
            exact = (1 + np.count_nonzero(column <= np.log(p))) / 3_001
            assert one.source == "toys"
            assert one.resolution == 1 / 3_001
            assert exact - 1e-12 <= np.exp(one.log_p) <= 1.01 * exact + 1e-12
    assert (found.toys, found.source, found.pool_exposure) == (3_000, "fixed-reference", 0.1)
    assert found.p("t_score", 1, 0.0).log_p <= 0


def test_below_the_resolution_the_closed_form_takes_over():
    """With one width p goes on as the closed form's; with three as the union bound: never above the resolution."""
    one = Calibration.from_trajectories([uniform_toys(2, 200)])
    three = Calibration.from_trajectories([uniform_toys(2, 200, widths=3)])
    deep = one.p("t_score", 2, -20.0)
    bound = three.p("t_score", 2, -20.0)

    assert (deep.log_p, deep.source) == (-20.0, "closed form")
    assert bound.log_p == pytest.approx(-20.0 + np.log(3))
    assert bound.source == "union bound"
    least = float(three.kinds["t_score"].log_p[0, 1])
    just = three.p("t_score", 2, least - 1e-9)
    assert just.log_p <= np.log(1 / 201) + 1e-12
    assert just.resolution == 1 / 201
    values = [three.p("t_score", 2, x).log_p for x in np.linspace(-12, 0, 400).tolist()]
    assert (np.diff(values) >= 0).all()


def test_beyond_the_toys_p_is_the_closed_form_and_thresholds_stay():
    found = Calibration.from_trajectories([uniform_toys(3, 500)], run_length=50, warning_run_length=20)

    assert found.p("t_score", 7, -3.0).source == "closed form"
    assert found.p("t_score", 7, -3.0).resolution is None
    assert found.alarm("t_score", 7) == found.alarm("t_score", 1_000)
    assert found.p("t_ref", 1, -3.0).source == "closed form"  # not among the toys
    with pytest.raises(ValueError, match="no alarm threshold of t_ref: calibrated are t_score"):
        found.alarm("t_ref", 1)
    with pytest.raises(ValueError, match="after chunk 0"):
        found.p("t_score", 0, -3.0)
    with pytest.raises(ValueError, match="log p of nan"):
        found.p("t_score", 1, float("nan"))


def test_the_joint_p_of_toys_with_several_widths():
    """Three independent widths: P(min p <= 0.01) = 1 - 0.99^3, within four binomial errors of 4,000 toys."""
    found = Calibration.from_trajectories([uniform_toys(4, 4_000, widths=3)])
    p = float(np.exp(found.p("t_score", 3, float(np.log(0.01))).log_p))
    expected = 1 - 0.99**3

    assert abs(p - expected) < 4 * (expected / 4_000) ** 0.5


def test_a_run_length_needs_toys():
    """The number is told before anything is queued, and fewer are refused."""
    assert toys_needed(1_000) == 10_000
    assert toys_needed(12.34) == 124
    with pytest.raises(ValueError, match="run length of 1 chunks"):
        toys_needed(1)
    with pytest.raises(ValueError, match=r"999 toys .* 100 chunks: give at least 1000"):
        Calibration.from_trajectories([uniform_toys(5, 999)], run_length=100)


def test_toys_of_another_plan_are_refused():
    with pytest.raises(ValueError, match="not "):
        Calibration.from_trajectories([uniform_toys(6, 50)], plan=dataclasses.replace(PLAN, seed=2))


def test_what_is_not_finite_is_refused_or_ends_the_statistic():
    """t_agg of long runs ends where the events are no longer kept; a NaN from the first chunk on is a failure."""
    toys = uniform_toys(7, 500)
    log_p = toys.log_p["t_score"].copy()
    log_p[:, 4:] = np.nan
    ends = dataclasses.replace(
        toys,
        values=toys.values | {"t_agg": log_p},
        log_p=toys.log_p | {"t_agg": log_p},
    )
    found = Calibration.from_trajectories([ends], run_length=40)
    assert found.p("t_agg", 4, -2.0).source == "toys"
    assert found.p("t_agg", 5, -2.0).source == "closed form"
    assert found.kinds["t_agg"].alarm is not None
    assert found.kinds["t_agg"].alarm.length == 4

    log_p = toys.log_p["t_score"].copy()
    log_p[17, 0] = np.nan
    broken = dataclasses.replace(toys, log_p={"t_score": log_p})
    with pytest.raises(ValueError, match="t_score of toy 17 is not finite"):
        Calibration.from_trajectories([broken])


def test_one_width_in_closed_form_is_the_closed_form():
    (basis, *_), _ = bases()
    found = Calibration.closed_form([basis], "shape", 300.0, run_length=60, warning_run_length=20, seed=3)
    again = Calibration.closed_form([basis], "shape", 300.0, run_length=60, warning_run_length=20, seed=3)
    one = found.p("t_score", 17, -4.321)

    assert (one.log_p, one.resolution, one.source) == (-4.321, None, "closed form")
    assert found.alarm("t_agg", 30) == again.alarm("t_score", 30)
    assert found.alarm("t_chunk", 3) == pytest.approx(-np.log(60))
    assert found.warning("t_score", 10) > found.alarm("t_score", 10)
    assert found.alarm("t_score", found.length + 1) == found.alarm("t_score", 10**6)
    assert found.p("t_sum", 3, -2.0).log_p == -2.0


def test_saved_and_read_it_is_the_same():
    widths, features = bases()
    moments = cross_moments(features, np.ones(len(features[0])))
    closed = Calibration.closed_form(
        widths, "rate", 300.0, run_length=30, warning_run_length=10, moments=moments, key="abc"
    )
    toys = Calibration.from_trajectories(
        [uniform_toys(8, 400, widths=2)], run_length=40, key="xyz", plan=PLAN
    )
    for one in (closed, toys):
        body = one.to_bytes()
        read = Calibration.from_bytes(body)
        assert read.to_bytes() == body
        assert (read.key, read.origin, read.widths) == (one.key, one.origin, one.widths)
        assert read.disagreement == one.disagreement
        for n in (1, 5, 100):
            assert read.p("t_score", n, -3.3) == one.p("t_score", n, -3.3)
            assert read.alarm("t_score", n) == one.alarm("t_score", n)
        for broken in (body[:-3], body[:40] + b"x" + body[41:], b""):
            with pytest.raises(StateError, match="calibrat"):
                Calibration.from_bytes(broken)


def test_a_disagreement_is_found_with_its_size():
    """Toys whose p is uniform give no warning; where p is a twentieth too often small at one chunk it is told."""
    assert Calibration.from_trajectories([uniform_toys(9, 1_000)]).warnings == []

    toys = uniform_toys(10, 1_000)
    toys.log_p["t_score"][:, 4, 0] *= 1.4
    found = Calibration.from_trajectories([toys]).disagreement["t_score"]
    p = np.linspace(0.01, 0.99, 99)
    assert found.chunk == 5
    assert found.p == found.resolution
    assert found.size == pytest.approx((p ** (1 / 1.4) - p).max(), abs=4 * 0.5 / 1_000**0.5)
    assert "after 5 chunks" in found.warning
    assert "alarms too often" in found.warning
    cautious = disagreement("t_agg", 0.6 * uniform_toys(11, 1_000).log_p["t_score"])
    assert "is too cautious" in cautious.warning
    assert cautious.size < 0


@pytest.mark.slow
def test_the_significance_of_a_disagreement_is_uniform():
    """200 sets of 300 toys without one, each toy a dependent run of 6: KS above 1 %, and p <= 5 % as often as that."""
    rng = np.random.default_rng(12)
    found = []
    for seed in range(200):
        walk = np.cumsum(rng.standard_normal((300, 6, 1)), axis=1) / np.sqrt(np.arange(1, 7))[:, None]
        found.append(disagreement("t_agg", stats.norm.logsf(walk), seed).p)
    low, high = stats.binom.interval(0.999, 200, 0.05)
    assert low <= np.count_nonzero(np.array(found) <= 0.05) <= high
    assert stats.kstest(found, "uniform").pvalue > 0.01


def direct(widths: list[Basis], features: list[NDArray[np.float32]], draws: int) -> NDArray[np.float64]:
    """Draw log p of every width at once as they are defined: Gaussian scores of all components, nothing reduced."""
    nulls, roots = [], []
    for basis, psi in zip(widths, features, strict=True):
        mu = basis.second_moment
        h = 300 * mu / (300 * mu + basis.penalty(300))
        centred = (psi - psi.mean(axis=0)) / np.sqrt(mu)
        roots.append(centred * np.sqrt(2 * h - h**2))
        nulls.append(np.linalg.eigvalsh(np.cov(roots[-1].T, bias=True)))
    covariance = np.cov(np.concatenate(roots, axis=1).T, bias=True)
    value, vector = np.linalg.eigh(covariance)
    z = (
        np.random.default_rng(13).standard_normal((draws, value.size))
        @ (vector * np.sqrt(np.maximum(value, 0))).T
    )
    parts = np.split(z**2, np.cumsum([basis.size for basis in widths])[:-1], axis=1)
    found = []
    for part, weights in zip(parts, nulls, strict=True):
        t = part.sum(axis=1)
        # The empirical p of many draws of the same null, which needs no formula.
        null = np.sort(
            np.random.default_rng(14).standard_normal((draws, weights.size)) ** 2 @ np.maximum(weights, 0)
        )
        found.append(np.log((1 + draws - np.searchsorted(null, t)) / (draws + 1)))
    return np.stack(found, axis=1)


def test_the_joint_p_of_several_widths_in_closed_form():
    """The smallest p of three widths, beside draws of all their components: 10, 5, 1 and 0.2 % of it.

    20,000 draws each, within four binomial errors of the difference. The union bound, three times the smallest, would
    be a factor of 1.6 off.
    """
    widths, features = bases()
    moments = cross_moments(features, np.ones(len(features[0])))
    found = Calibration.closed_form(
        widths, "shape", 300.0, run_length=50, warning_run_length=20, moments=moments
    )
    whole = np.sort(direct(widths, features, 20_000).min(axis=1))
    for level in (0.1, 0.05, 0.01, 0.002):
        one = found.p("t_score", 9, float(whole[round(level * 20_000) - 1]))
        assert one.source == "closed form"
        assert abs(np.exp(one.log_p) - level) < 4 * (2 * level / 20_000) ** 0.5
    deep = found.p("t_score", 9, -30.0)
    assert (deep.source, deep.log_p) == ("union bound", pytest.approx(-30 + np.log(3)))
    assert np.exp(found.p("t_chunk", 1, found.alarm("t_chunk", 1)).log_p) == pytest.approx(1 / 50, rel=0.02)
