"""Merging the states of two runs gives the state of all chunks, in any order and grouping, or is refused."""

from __future__ import annotations

from functools import cache, reduce
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.errors import StateError
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.kernel_fit import KernelFit
from nplmon.nplm.null import Mode
from nplmon.nplm.reference import Reference

SIZES = (150, 90, 300, 120, 60)
MODES: tuple[Mode, ...] = ("shape", "rate")
SUMS = ("t_ref", "t_score", "t_sum")


class Chunk(NamedTuple):
    """A chunk and its fit."""

    events: NDArray[np.float64]
    fitted: KernelFit


@cache
def model(seed: int = 0) -> KernelModel:
    rng = np.random.default_rng(1)
    reference = Reference(rng.normal(size=(4_000, 2)), rng.uniform(0.2, 1.8, size=4_000))
    return KernelModel.prepare(reference, centres=60, sigma=1.5, seed=seed)


@cache
def chunks(mode: Mode) -> list[Chunk]:
    """Chunks of unequal sizes; in mode "rate" of unequal rates too."""
    rng = np.random.default_rng(2)
    samples = [rng.normal(0.1, 1.0, size=(size, 2)) for size in SIZES]
    expected = [size if mode == "shape" else 0.9 * size + 10 for size in SIZES]
    return [
        Chunk(events, fitted)
        for events, fitted in zip(samples, model().fit_together(samples, expected), strict=True)
    ]


def run_of(mode: Mode, numbers: list[int], cap: int = 10**6) -> Aggregation:
    run = Aggregation(model().basis, model().features, model().reference.weights, mode, cap)
    for number in numbers:
        events, fitted = chunks(mode)[number]
        run.apply(fitted.coefficients, fitted.score, fitted.statistic, fitted.expected, events)
    return run


def assert_same(found: Aggregation, wanted: Aggregation) -> None:
    """Compare sums over the reference and of scores to 1e-9, t_agg to what float32 features leave in its sum."""
    assert (found.chunks, found.events, found.frozen) == (wanted.chunks, wanted.events, wanted.frozen)
    assert found.expected == pytest.approx(wanted.expected, rel=1e-12)
    assert found.log_normalisation() == pytest.approx(wanted.log_normalisation(), rel=1e-9, abs=1e-12)
    one, other = found.statistics(), wanted.statistics()
    for kind in SUMS:
        assert one[kind].value == pytest.approx(other[kind].value, rel=1e-9, abs=1e-9), kind
    assert ("t_agg" in one) == ("t_agg" in other)
    for kind in {"t_agg", *SUMS} & one.keys():
        assert one[kind].value == pytest.approx(other[kind].value, rel=1e-6, abs=1e-4), kind
        assert one[kind].null.mean == pytest.approx(other[kind].null.mean, rel=1e-9), kind
        assert one[kind].null.deviation == pytest.approx(other[kind].null.deviation, rel=1e-9), kind


GROUPS = st.tuples(
    st.sampled_from(MODES),
    st.permutations(range(len(SIZES))),
    st.integers(0, len(SIZES)),
    st.integers(0, len(SIZES)),
)


@settings(max_examples=25)
@given(groups=GROUPS)
def test_merging_is_associative_and_commutative_and_gives_the_state_of_the_union(
    groups: tuple[Mode, list[int], int, int],
):
    """Three runs, some of them empty, of the chunks in any order."""
    mode, order, first, second = groups
    low, high = sorted((first, second))
    a, b, c = (run_of(mode, part) for part in (order[:low], order[low:high], order[high:]))
    union = run_of(mode, list(order))

    for merged in (a.merge(b).merge(c), a.merge(b.merge(c)), c.merge(a).merge(b), c.merge(b.merge(a))):
        assert_same(merged, union)


@pytest.mark.parametrize("mode", MODES)
def test_a_merged_run_goes_on_and_is_saved_like_any_other(mode: Mode):
    merged = run_of(mode, [0, 3]).merge(run_of(mode, [1]))
    restored = run_of(mode, [])
    restored.restore(merged.to_bytes(), [chunks(mode)[number].events for number in (0, 3, 1)])

    for run in (merged, restored):
        events, fitted = chunks(mode)[4]
        run.apply(fitted.coefficients, fitted.score, fitted.statistic, fitted.expected, events)
        assert_same(run, run_of(mode, [0, 3, 1, 4]))
        assert run.statistics()["t_chunk"].value == fitted.statistic


def test_the_last_chunk_of_both_is_the_last_of_the_second():
    one, two, none = run_of("shape", [0, 1]), run_of("shape", [2]), run_of("shape", [])

    assert one.merge(two).t_chunk == two.t_chunk
    assert two.merge(one).statistics()["t_chunk"].null.mean == one.statistics()["t_chunk"].null.mean
    assert one.merge(none).t_chunk == none.merge(one).t_chunk == one.t_chunk


def test_merging_changes_neither_run():
    one, two = run_of("shape", [0]), run_of("shape", [1])
    before = one.to_bytes(), two.to_bytes()
    merged = one.merge(two)
    events, fitted = chunks("shape")[2]
    merged.apply(fitted.coefficients, fitted.score, fitted.statistic, fitted.expected, events)

    assert (one.to_bytes(), two.to_bytes()) == before


@pytest.mark.parametrize(
    ("caps", "parts"),
    [
        ((100, 10**6), ([0, 1], [2])),  # the first is frozen
        ((400, 400), ([0, 1], [2])),  # neither is, but 540 events are more than are kept
        ((400, 10**6), ([0, 1], [2])),  # the smaller cap counts
    ],
)
def test_past_the_cap_there_is_no_t_agg_of_both_and_the_others_go_on(
    caps: tuple[int, int], parts: tuple[list[int], list[int]]
):
    one, two = (run_of("rate", part, cap) for part, cap in zip(parts, caps, strict=True))
    union = run_of("rate", [0, 1, 2])

    for merged in (one.merge(two), two.merge(one)):
        found = merged.statistics()
        assert merged.frozen
        assert "t_agg" not in found
        for kind in SUMS:
            assert found[kind].value == pytest.approx(union.statistics()[kind].value, rel=1e-9)
        again = reduce(Aggregation.merge, [merged, run_of("rate", [3])])
        assert "t_agg" not in again.statistics()
        assert again.chunks == 4


def test_a_run_frozen_under_a_smaller_cap_stays_so():
    frozen = run_of("shape", [])
    frozen.restore(run_of("shape", [0, 1], cap=100).to_bytes(), [])

    for merged in (frozen.merge(run_of("shape", [2])), run_of("shape", [2]).merge(frozen)):
        assert merged.frozen
        assert "t_agg" not in merged.statistics()


def test_runs_in_other_modes_are_refused():
    with pytest.raises(StateError, match="mode 'shape' cannot be merged with one in mode 'rate'"):
        run_of("shape", [0]).merge(run_of("rate", [0]))


def test_runs_in_other_eigenbases_are_refused():
    other = Aggregation(model(1).basis, model(1).features, model(1).reference.weights, "shape", 10)

    with pytest.raises(StateError, match="other references or eigenbases"):
        run_of("shape", [0]).merge(other)
