"""The cumulative statistics: against the formulas written out, in any order, across a restart, past the cap."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.basis import Basis
from nplmon.nplm.errors import StateError
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.kernel_fit import KernelFit
from nplmon.nplm.null import Mode, Nulls
from nplmon.nplm.preparation import prepare
from nplmon.nplm.reference import Reference

Array = NDArray[np.float64]
SIZES = (150, 90, 300, 120, 60)
MODES: tuple[Mode, ...] = ("shape", "rate")


class Chunk(NamedTuple):
    """A chunk and its fit."""

    events: Array
    expected: float
    fitted: KernelFit


class Problem(NamedTuple):
    """A weighted reference and fitted chunks."""

    basis: Basis
    features: NDArray[np.float32]
    weights: Array
    chunks: list[Chunk]


@cache
def problem(mode: Mode) -> Problem:
    rng = np.random.default_rng(1)
    reference = rng.normal(size=(4_000, 2))
    weights = rng.uniform(0.2, 1.8, size=len(reference))
    weights[:50] = 0.0
    basis = prepare(reference, weights, centres=60, sigma=1.5)
    features = basis.features(reference)
    prepared = KernelModel(Reference(reference, weights), basis, features)
    chunks = []
    for size in SIZES:
        events = rng.normal(0.1, 1.0, size=(size, 2))
        expected = float(size) if mode == "shape" else 0.9 * size + 10
        chunks.append(Chunk(events, expected, prepared.fit(events, expected)))
    return Problem(basis, features, weights, chunks)


def start(mode: Mode, cap: int = 10**6) -> Aggregation:
    basis, features, weights, _ = problem(mode)
    return Aggregation(basis, features, weights, mode, cap)


def add(run: Aggregation, chunks: Sequence[Chunk]) -> Aggregation:
    for events, expected, fitted in chunks:
        run.apply(fitted.coefficients, fitted.score, fitted.statistic, expected, events)
    return run


def values(run: Aggregation) -> dict[str, float]:
    return {kind: statistic.value for kind, statistic in run.statistics().items()}


def by_the_formulas(mode: Mode, chunks: Sequence[Chunk]) -> dict[str, float]:
    """Every statistic as it is defined, with plain exponentials in float64."""
    basis, features, v, _ = problem(mode)
    psi, total = features.astype(np.float64), v.sum()
    events = np.concatenate([basis.features(c.events).astype(np.float64) for c in chunks])
    expected = sum(c.expected for c in chunks)
    ratio = sum(c.expected * np.exp(psi @ c.fitted.coefficients) for c in chunks) / expected
    at_events = sum(c.expected * np.exp(events @ c.fitted.coefficients) for c in chunks) / expected
    if mode == "shape":
        mean = v @ ratio / total
        ratio, at_events = ratio / mean, at_events / mean
    w = expected / total
    score = events.sum(axis=0) - w * v @ psi
    mu = basis.second_moment
    mean_a = sum(
        c.expected * c.fitted.score / (c.expected * mu + basis.lambda_ * (4_000 + len(c.events)))
        for c in chunks
    )
    mean_a = mean_a / expected
    return {
        "t_chunk": chunks[-1].fitted.statistic,
        "t_sum": sum(c.fitted.statistic for c in chunks),
        "t_agg": 2 * (np.log(at_events).sum() - w * v @ (ratio - 1)),
        "t_ref": 2 * w * v @ (ratio * np.log(ratio) - ratio + 1),
        "t_score": 2 * score @ mean_a - expected * mu @ mean_a**2,
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [1, 2, len(SIZES)])
def test_the_statistics_are_their_formulas(mode: Mode, count: int):
    chunks = problem(mode).chunks[:count]

    found, wanted = values(add(start(mode), chunks)), by_the_formulas(mode, chunks)

    assert found.keys() == wanted.keys()
    for kind, value in wanted.items():
        # Scores and sums of float32 features; t_score is small beside its two terms.
        assert found[kind] == pytest.approx(value, rel=1e-5, abs=2e-4), kind


def test_one_chunk_aggregated_is_that_chunk():
    chunk = problem("rate").chunks[0]
    found = values(add(start("rate"), [chunk]))

    assert found["t_agg"] == pytest.approx(chunk.fitted.statistic, rel=1e-6)
    assert found["t_sum"] == found["t_chunk"] == chunk.fitted.statistic


def test_one_chunk_aggregated_is_that_chunk_up_to_its_normalisation():
    """In mode "shape" dividing r by its mean 1 + d over R raises t by 2 N (d - log(1 + d)), N d^2 to second order.

    The penalty keeps d from being 0, the value at an unpenalised minimum.
    """
    chunk = problem("shape").chunks[0]
    run = add(start("shape"), [chunk])
    d = np.expm1(run.log_normalisation())
    found = values(run)["t_agg"]

    assert abs(d) > 0
    raised = 2 * chunk.expected * (d - np.log1p(d))
    assert found == pytest.approx(chunk.fitted.statistic + raised, rel=1e-6)
    assert found == pytest.approx(chunk.fitted.statistic, rel=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_the_order_of_chunks_and_events_does_not_matter(mode: Mode):
    chunks = problem(mode).chunks
    rng = np.random.default_rng(3)
    turned = [chunks[i]._replace(events=rng.permutation(chunks[i].events)) for i in (3, 0, 4, 1, 2)]

    found, other = values(add(start(mode), chunks)), values(add(start(mode), turned))

    for kind in ("t_agg", "t_ref", "t_score", "t_sum"):
        assert other[kind] == pytest.approx(found[kind], rel=1e-6, abs=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_equal_chunks_average_to_one_of_them(mode: Mode):
    """The same chunk n times: the averaged ratio is its own, and t_agg and t_score are n times as large."""
    chunk = problem(mode).chunks[2]
    one, three = (values(add(start(mode), [chunk] * count)) for count in (1, 3))

    for kind in ("t_agg", "t_ref", "t_score", "t_sum"):
        assert three[kind] == pytest.approx(3 * one[kind], rel=1e-5, abs=1e-4)


def null_means(mode: Mode, chunks: Sequence[Chunk]) -> dict[str, float]:
    """Give the expectation of each quadratic form in the chunks' scores, from their full covariance.

    With c_k the score of chunk k: cov(c_k, c_l) = delta_kl lam_k C + lam_k lam_l S / N_eff, where S is diag(mu) - m m'
    and C the same in mode "shape", diag(mu) in mode "rate"; and the estimates are c_k / (lam_k mu + Lam_k).
    """
    basis, *_ = problem(mode)
    mu, m = basis.second_moment, basis.mean_feature
    of_means = mu - m**2
    c = of_means if mode == "shape" else mu
    lam = np.array([chunk.expected for chunk in chunks])
    curvature = lam[:, None] * mu + basis.lambda_ * (4_000 + np.array([[len(x.events)] for x in chunks]))
    gain = lam[:, None] / lam.sum() / curvature
    cov = np.diag(lam)[..., None] * c + np.outer(lam, lam)[..., None] * of_means / basis.effective_events
    aa = np.einsum("kj,klj,lj->j", gain, cov, gain)
    ca = np.einsum("klj,lj->j", cov, gain)
    each = np.einsum("kkj->kj", cov) * (2 / curvature - lam[:, None] * mu / curvature**2)
    return {
        "t_agg": float(np.sum(2 * ca - lam.sum() * mu * aa)),
        "t_score": float(np.sum(2 * ca - lam.sum() * mu * aa)),
        "t_ref": float(np.sum(lam.sum() * mu * aa)),
        "t_sum": float(each.sum()),
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [1, 2, len(SIZES)])
def test_the_nulls_have_the_mean_of_their_statistics_for_chunks_of_any_size(mode: Mode, count: int):
    """The sizes differ by a factor of five; a size that stands for all is off by several per cent."""
    chunks = problem(mode).chunks[:count]
    found = add(start(mode), chunks).statistics()

    for kind, mean in null_means(mode, chunks).items():
        assert found[kind].null.mean == pytest.approx(mean, rel=1e-6), kind
        assert found[kind].chunks == count
        assert not found[kind].frozen


def test_the_null_of_the_last_chunk_is_its_own():
    run = add(start("rate"), problem("rate").chunks)

    wanted = Nulls(basis=run.basis, mode="rate").chunk(problem("rate").chunks[-1].expected)
    np.testing.assert_array_equal(run.statistics()["t_chunk"].null.weights, wanted.weights)
    lam = sum(chunk.expected for chunk in problem("rate").chunks)
    assert run.exposure_ratio == pytest.approx(lam / run.basis.effective_events)


def test_nothing_to_tell_before_the_first_chunk():
    assert start("shape").statistics() == {}


# ---- restart


def told(run: Aggregation) -> dict[str, tuple[float, float, float, int, bool]]:
    """Give all that a run tells: values, nulls, numbers of chunks."""
    return {
        kind: (s.value, s.null.mean, s.null.deviation, s.chunks, s.frozen)
        for kind, s in run.statistics().items()
    }


def kept_events(chunks: Sequence[Chunk], frozen: bool) -> list[Array]:
    return [] if frozen else [chunk.events for chunk in chunks]


@settings(max_examples=20)
@given(
    mode=st.sampled_from(MODES), cut=st.integers(0, len(SIZES)), cap=st.sampled_from([10**6, 100, 400, 600])
)
def test_a_restored_run_continues_bit_for_bit(mode: Mode, cut: int, cap: int):
    chunks = problem(mode).chunks
    run = add(start(mode, cap), chunks[:cut])

    restored = start(mode, cap)
    restored.restore(run.to_bytes(), kept_events(chunks[:cut], run.frozen))

    assert told(restored) == told(run)
    for chunk in chunks[cut:]:
        add(run, [chunk])
        add(restored, [chunk])
        assert told(restored) == told(run)
        assert restored.to_bytes() == run.to_bytes()
    assert restored.frozen == run.frozen


@pytest.mark.parametrize("mode", MODES)
def test_a_state_of_the_other_mode_is_refused(mode: Mode):
    body = add(start(mode), problem(mode).chunks[:1]).to_bytes()
    other: Mode = "rate" if mode == "shape" else "shape"

    with pytest.raises(StateError, match=f"'{mode}'.*cannot continue as.*'{other}'"):
        start(other).restore(body, [problem(mode).chunks[0].events])


def test_a_state_of_another_reference_is_refused():
    chunks = problem("shape").chunks[:1]
    body = add(start("shape"), chunks).to_bytes()
    reference = np.random.default_rng(9).normal(size=(3_000, 2))
    basis = prepare(reference, centres=60, sigma=1.5)
    run = Aggregation(basis, basis.features(reference), None, "shape", 10**6)

    with pytest.raises(StateError, match="another reference"):
        run.restore(body, [chunks[0].events])


def test_a_state_of_a_reference_of_the_same_size_is_refused():
    """Another seed gives arrays of the same shapes, and other numbers."""
    rng = np.random.default_rng(9)
    events = rng.normal(size=(500, 1))
    runs = []
    for seed in (0, 1):
        basis = prepare(events, centres=3, sigma=1.5, seed=seed)
        runs.append(Aggregation(basis, basis.features(events), None, "shape", 10**6))
    assert runs[0].basis.size == runs[1].basis.size

    with pytest.raises(StateError, match="another reference"):
        runs[1].restore(runs[0].to_bytes(), [])


@pytest.mark.parametrize("missing", [0, 1])
def test_a_state_without_its_events_is_refused_and_leaves_the_run_as_it_was(missing: int):
    chunks = problem("shape").chunks[:2]
    body = add(start("shape"), chunks).to_bytes()
    run = start("shape")

    with pytest.raises(StateError, match=r"has 240 kept events, not \d+: reset the run"):
        run.restore(body, [chunks[1 - missing].events])
    assert run.statistics() == {}
    assert values(add(run, chunks)) == values(add(start("shape"), chunks))


@pytest.mark.parametrize("body", [b"", b"not a state", bytes(100)])
def test_bytes_that_are_no_state_are_refused(body: bytes):
    with pytest.raises(StateError, match="reset the run"):
        start("shape").restore(body, [])


def test_a_state_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch):
    body = start("shape").to_bytes()
    monkeypatch.setattr("nplmon.nplm.aggregation.FORMAT", "nplmon-aggregation-0")

    with pytest.raises(StateError, match="aggregation-0"):
        start("shape").restore(body, [])


# ---- the cap


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("cap", "kept"), [(540, 3), (539, 2), (150, 1)])
def test_past_the_cap_t_agg_is_frozen_and_the_others_go_on(mode: Mode, cap: int, kept: int):
    chunks = problem(mode).chunks
    run, uncapped = add(start(mode, cap), chunks), add(start(mode), chunks)
    frozen_at = add(start(mode), chunks[:kept]).statistics()["t_agg"]
    found, others = run.statistics(), uncapped.statistics()

    assert run.frozen
    assert run.kept == 0
    assert found["t_agg"].frozen
    assert found["t_agg"].chunks == kept
    assert found["t_agg"].value == frozen_at.value
    np.testing.assert_array_equal(found["t_agg"].null.weights, frozen_at.null.weights)
    for kind in ("t_chunk", "t_ref", "t_score", "t_sum"):
        assert found[kind].value == others[kind].value
        assert found[kind].chunks == len(chunks)
        assert not found[kind].frozen


def test_once_frozen_t_agg_stays_so_for_smaller_chunks():
    chunks = problem("shape").chunks
    run = add(start("shape", 260), chunks[:3])  # 150 + 90 fit, 300 do not; 60 more would

    assert add(run, chunks[4:]).statistics()["t_agg"].chunks == 2


def test_a_first_chunk_beyond_the_cap_leaves_no_t_agg():
    run = add(start("shape", 10), problem("shape").chunks[:2])

    assert run.frozen
    assert values(run).keys() == {"t_chunk", "t_ref", "t_score", "t_sum"}
