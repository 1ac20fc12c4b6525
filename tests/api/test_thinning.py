"""Thinning keeps what a plot must show, within the points it may have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nplmon.api.thinning import DEAD_SHARE, Thinning
from nplmon.broker.lines import Mark


def kept(marks: list[Mark], points: int) -> list[int]:
    """Give the places of the chunks that are kept."""
    thinning = Thinning[int](len(marks), points, sum(mark.dead for mark in marks))
    for place, mark in enumerate(marks):
        thinning.offer(mark, place)
    return thinning.kept()


@st.composite
def runs(draw: st.DrawFn) -> list[Mark]:
    """Give a run whose alarm is latched: it rises and never falls."""
    values = draw(st.lists(st.none() | st.floats(-1e3, 1e3), max_size=300))
    rises = sorted(draw(st.lists(st.integers(0, 300), min_size=2, max_size=2)))
    levels = ("ok", "warning", "alarm")
    return [
        Mark(value, None, levels[sum(place >= rise for rise in rises)], dead=value is None)
        for place, value in enumerate(values)
    ]


@given(runs(), st.integers(10, 60))
def test_what_happened_is_kept_within_the_points(marks: list[Mark], points: int) -> None:
    places = kept(marks, points)
    assert len(places) <= points
    assert places == sorted(set(places))
    if len(marks) <= points:
        assert places == list(range(len(marks)))
    if not marks:
        return
    assert {0, len(marks) - 1} <= set(places)
    values = [mark.value for mark in marks if mark.value is not None]
    if values:
        assert {min(values), max(values)} <= {marks[place].value for place in places}
    rises = [i for i in range(1, len(marks)) if marks[i].alarm != marks[i - 1].alarm]
    assert set(rises) <= set(places)
    dead = [i for i, mark in enumerate(marks) if mark.dead]
    if len(dead) * DEAD_SHARE <= points:
        assert set(dead) <= set(places)


@pytest.mark.parametrize(("dead", "all_kept"), [(5, True), (6, False)])
def test_dead_chunks_are_kept_unless_they_are_too_many(dead: int, all_kept: bool) -> None:
    """They lie where nothing else is kept: between the extremes of their parts."""
    places = {53 * (i + 1) for i in range(dead)}
    marks = [Mark(None, dead=True) if i in places else Mark(float(i)) for i in range(500)]
    found = kept(marks, 50)
    assert (places <= set(found)) is all_kept
    assert len(found) <= 50


@pytest.mark.parametrize(("points", "parts"), [(10, 3), (24, 10)])
def test_of_each_part_the_extremes_are_kept(points: int, parts: int) -> None:
    marks = [Mark(float((7 * place) % 100)) for place in range(100)]
    places = kept(marks, points)
    for part in range(parts):
        inside = [i for i in range(100) if i * parts // 100 == part]
        values = [marks[i].value for i in inside]
        found = {marks[i].value for i in places if i in inside}
        assert {min(values), max(values)} <= found
