"""What must not change the statistics of a run, on runs drawn at random.

Each fit is right to 3e-4 of t (at least of 1), and t_sum of three chunks adds three of them; the rest of the tolerance
is for float32 features. Merging is in `test_merge.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nplmon.nplm import KernelModel, Reference, RunResult, aggregate
from nplmon.nplm.preparation import prepare

Array = NDArray[np.float64]
FEW = settings(max_examples=12, deadline=None, derandomize=True)
SEEDS = st.integers(0, 10**6)


@dataclass(frozen=True)
class Sample:
    """A run: its chunks, and their expected counts in mode "rate"."""

    chunks: list[Array] = field(repr=False)
    expected: list[float] | None

    def of(self, model: KernelModel) -> RunResult:
        return aggregate(model, self.chunks, self.expected, union=True)


@st.composite
def samples(draw: st.DrawFn, least: int = 1) -> Sample:
    """One to three chunks of 60 to 300 events in two dimensions, ordinary or shifted."""
    rng = np.random.default_rng(draw(SEEDS))
    sizes = draw(st.lists(st.integers(60, 300), min_size=least, max_size=3))
    shift = draw(st.sampled_from([0.0, 0.3]))
    chunks = [rng.normal(shift, 1.0, size=(size, 2)) for size in sizes]
    return Sample(chunks, draw(st.sampled_from([None, [1.1 * size + 5 for size in sizes]])))


@cache
def reference() -> Reference:
    rng = np.random.default_rng(1)
    return Reference(rng.normal(size=(3_000, 2)), rng.uniform(0.2, 1.8, size=3_000))


@cache
def model() -> KernelModel:
    return KernelModel.prepare(reference(), centres=60, sigma=1.5, lambda_=1e-4)


def assert_same(found: RunResult, wanted: RunResult, relative: float = 1e-3) -> None:
    assert found.values.keys() == wanted.values.keys()
    for kind, value in wanted.values.items():
        assert found.values[kind] == pytest.approx(value, rel=relative, abs=3e-3), kind
    for kind, one in wanted.statistics.items():
        assert found.statistics[kind].log_p == pytest.approx(one.log_p, rel=2 * relative, abs=3e-3), kind


@FEW
@given(sample=samples(least=2), seed=SEEDS)
def test_the_order_of_events_and_chunks(sample: Sample, seed: int):
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(sample.chunks))
    turned = [rng.permutation(sample.chunks[k]) for k in order]
    expected = None if sample.expected is None else [sample.expected[k] for k in order]

    assert_same(aggregate(model(), turned, expected, union=True), sample.of(model()))


@FEW
@given(sample=samples(), share=st.floats(0.0, 1.0), seed=SEEDS)
def test_the_splitting_of_weights(sample: Sample, share: float, seed: int):
    """A reference event of weight v is as many of weight u v and (1 - u) v; 0 included.

    The eigenbasis is that of the reference before: its number of events enters the penalty.
    """
    weights = reference().weights
    assert weights is not None
    split = np.random.default_rng(seed).random(len(weights)) < 0.3
    events = np.concatenate([reference().events, reference().events[split]])
    v = np.concatenate([np.where(split, share * weights, weights), (1 - share) * weights[split]])
    other = KernelModel(Reference(events, v), model().basis)

    assert_same(sample.of(other), sample.of(model()))


@FEW
@given(
    sample=samples(),
    scales=st.tuples(*2 * [st.sampled_from([-1e4, -1.0, 1e-3, 2.5])]),
    offsets=st.tuples(*2 * [st.floats(-3, 3)]),
)
def test_an_affine_change_of_units(sample: Sample, scales: tuple[float, float], offsets: tuple[float, float]):
    """Offsets are in the feature's own spread."""

    def changed(x: Array) -> Array:
        return np.asarray((x + np.array(offsets)) * np.array(scales))

    other = KernelModel.prepare(
        Reference(changed(np.asarray(reference().events)), reference().weights),
        centres=60,
        sigma=1.5,
        lambda_=1e-4,
    )

    assert_same(replace(sample, chunks=[changed(x) for x in sample.chunks]).of(other), sample.of(model()))


@FEW
@given(sample=samples(), times=st.integers(2, 4))
def test_duplicated_centres(sample: Sample, times: int):
    """Every reference event is a centre, and each is there several times, with its share of the weight.

    The same functions are spanned, where none is truncated and the penalty, lambda (N_R + N_k), is made equal.
    """
    once = reference().events[:40]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nplmon.nplm.preparation.TRUNCATION", 1e-6)
        for events, lam in zip(sample.chunks, sample.expected or [None] * len(sample.chunks), strict=True):
            equal = 1e-2 * (len(once) + len(events)) / (times * len(once) + len(events))
            plain = KernelModel(Reference(once), prepare(once, centres=1_000, sigma=1.0, lambda_=1e-2))
            again = Reference(np.tile(once, (times, 1)), np.full(times * len(once), 1 / times))
            repeated = KernelModel(
                again, prepare(again.events, again.weights, centres=1_000, sigma=1.0, lambda_=equal)
            )
            found, wanted = (
                aggregate(one, [0.8 * events], None if lam is None else [lam]) for one in (repeated, plain)
            )

            assert found.values["t_sum"] == pytest.approx(wanted.values["t_sum"], rel=1e-3, abs=2e-3)
            np.testing.assert_allclose(found.log_ratio(once), wanted.log_ratio(once), atol=1e-2)


@FEW
@given(sample=samples())
def test_one_chunk_aggregated_is_that_chunk(sample: Sample):
    """In mode "shape" t_agg gains 2 N (d - log(1 + d)) by the division by the ratio's mean 1 + d over R."""
    for events, lam in zip(sample.chunks, sample.expected or [None] * len(sample.chunks), strict=True):
        run = aggregate(model(), [events], None if lam is None else [lam], union=True)
        d = np.expm1(run.log_normalisation)
        gain = 2 * run.expected * (d - np.log1p(d))

        assert run.values["t_sum"] == run.t_chunk[0]
        assert run.values["t_agg"] == pytest.approx(run.t_chunk[0] + gain, rel=1e-3, abs=1e-3)
        assert run.values["t_full"] == pytest.approx(run.t_chunk[0], rel=1e-3, abs=1e-3)
        null = run.chunk_statistics[0].null
        for kind in ("t_agg", "t_score", "t_sum", "t_full"):
            # One takes the penalty of the observed count, one that of the expected count.
            assert run.statistics[kind].null.mean == pytest.approx(null.mean, rel=5e-3), kind
