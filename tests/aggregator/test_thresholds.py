"""The calibration in closed form of a monitor's runs: what it depends on."""

from __future__ import annotations

import pytest
from tests.aggregator.samples import EVENTS, SEVERAL, calibration, prepared

from nplmon.aggregator.thresholds import GRID, closed_form, name_of, typical

LENGTHS = (50.0, 10.0)


@pytest.mark.parametrize("quantiles", [(0.5,), SEVERAL])
def test_computed_again_it_is_the_same(quantiles: tuple[float, ...]) -> None:
    """Another aggregator, or a program that recomputes a run, finds the same thresholds and p, bit for bit."""
    again = closed_form(prepared(quantiles), "shape", typical(EVENTS), LENGTHS)
    once = calibration("shape", LENGTHS, quantiles)
    assert again is not once
    assert again.to_bytes() == once.to_bytes()
    assert again.key == name_of(prepared(quantiles), "shape", typical(EVENTS), LENGTHS)


def test_the_smallest_of_several_p_values_has_stricter_thresholds() -> None:
    one, several = calibration("shape", LENGTHS, (0.5,)), calibration("shape", LENGTHS, SEVERAL)
    assert all(several.alarm("t_score", n) < one.alarm("t_score", n) for n in (1, 10, 40))
    assert several.p("t_score", 5, -3.0).log_p > one.p("t_score", 5, -3.0).log_p == -3.0


def test_runs_of_like_chunks_share_it_and_others_do_not() -> None:
    assert typical(1000.0) == typical(1100.0)
    assert typical(1000.0) != typical(1000.0 * GRID)
    assert all(GRID**-0.5 <= typical(size) / size <= GRID**0.5 for size in (1.0, 17.3, 2e6))
    names = {
        name_of(prepared(), "shape", 100.0, LENGTHS),
        name_of(prepared(), "rate", 100.0, LENGTHS),
        name_of(prepared(), "shape", 125.0, LENGTHS),
        name_of(prepared(), "shape", 100.0, (50.0, 11.0)),
        name_of(prepared(), "shape", 100.0, (51.0, 10.0)),
        name_of(prepared(SEVERAL), "shape", 100.0, LENGTHS),
    }
    assert len(names) == 6
