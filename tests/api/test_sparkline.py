"""The sparkline: few points, the extremes among them, whatever the length of the run."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nplmon.api.sparkline import MOST_PARTS, Sparkline


def line_of(values: list[float | None]) -> Sparkline:
    line = Sparkline()
    for sequence, value in enumerate(values, 1):
        line.add(sequence, value, None if value is None else 100.0 + sequence)
    return line


@given(st.lists(st.none() | st.floats(-1e6, 1e6), max_size=400))
def test_extremes_and_the_last_point_are_kept(values: list[float | None]) -> None:
    kept = line_of(values).columns()
    present = [value for value in values if value is not None]
    assert len(kept.sequence) <= 2 * MOST_PARTS + 1
    assert list(kept.sequence) == sorted(set(kept.sequence))
    assert [values[sequence - 1] for sequence in kept.sequence] == list(kept.value)
    assert list(kept.threshold) == [100.0 + sequence for sequence in kept.sequence]
    if present:
        assert {min(present), max(present), present[-1]} <= set(kept.value)
    if len(values) <= MOST_PARTS:
        assert list(kept.value) == present


def test_a_run_without_values_has_no_point() -> None:
    assert line_of([None] * 100).columns().sequence == ()


def test_a_long_run_has_a_point_in_each_stretch() -> None:
    kept = line_of([float(sequence) for sequence in range(10_000)]).columns().sequence
    assert 30 <= len(kept) <= 61
    assert max(later - before for before, later in pairwise(kept)) <= 1024
