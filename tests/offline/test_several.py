"""Several kernel widths in one analysis: the best is shown, and its p accounts for the choice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.offline.conftest import exponential

from nplmon.nplm.widths import joint_p
from nplmon.offline.analysis import Analysis
from nplmon.offline.errors import AnalysisError
from nplmon.offline.report import report
from nplmon.offline.several import _ranks

Compare = Callable[..., Analysis]
SIGMAS = (0.15, 0.7, 2.0)


@pytest.mark.parametrize("settings", [{}, {"size": 200, "analysis": "aggregation"}])
def test_the_best_width_is_shown_and_pays_for_the_choice(compare: Compare, settings: dict[str, Any]) -> None:
    """A narrow peak: its numbers are those of an analysis with this width alone, its p is larger."""
    data = exponential(2, 1_000)
    data[:50] = np.random.default_rng(3).normal(1.0, 0.03, size=(50, 1))
    data = np.random.default_rng(4).permutation(data)
    several = compare(data, sigmas=SIGMAS[::-1], **settings)
    alone = [compare(data, sigmas=(sigma,), **settings).answer for sigma in SIGMAS]
    best = int(np.argmin([one.p for one in alone]))
    assert several.answer.joint is not None
    assert several.answer.joint.best == best == 0
    assert several.model.basis.sigma == SIGMAS[best]
    assert several.answer.value == alone[best].value
    assert alone[best].p < several.answer.p < 3 * alone[best].p
    # No other p looks like one.
    assert {one.state for kind, one in several.verdicts.items() if kind != several.answer.kind} <= {
        "uncalibrated"
    }
    assert all(one.p is None for one in several.chunk_verdicts)
    assert several.course == []
    found = report(several)
    assert (found["settings"]["sigma"], found["settings"]["sigmas"]) == (SIGMAS[best], list(SIGMAS))
    assert (found["answer"]["p"], found["answer"]["p_resolution"]) == (several.answer.p, 1 / 20_001)
    json.dumps(found, allow_nan=False)


def test_toys_calibrate_all_widths_at_once(compare: Compare) -> None:
    """P is a multiple of the toys' resolution, the same for all widths' toys, and as its closed form."""
    data = exponential(5, 500)
    toys, closed = (compare(data, sigmas=SIGMAS, toys=number) for number in (99, 0))
    assert toys.answer.state == "toys"
    assert toys.answer.p * 100 == pytest.approx(round(toys.answer.p * 100))
    # The binomial 99.9 % interval of 99 toys; the reference differs too, half of it being held out.
    assert abs(toys.answer.p - closed.answer.p) < 3.3 * (0.25 / 99) ** 0.5


def test_a_sum_beyond_all_toys_has_their_resolution(compare: Compare) -> None:
    """The sum over chunks has no closed form over widths: p stays at what the toys resolve."""
    found = compare(3 * exponential(7, 400), sigmas=SIGMAS[1:], size=200, analysis="sum", toys=9)
    assert (found.answer.kind, found.answer.state, found.answer.p) == ("t_sum", "toys", 0.1)


def test_ranks_give_a_uniform_joint_p() -> None:
    """Exchangeable data and toys of two dependent statistics on any scale: 2,000 joint p are uniform (KS p > 0.01)."""
    rng = np.random.default_rng(6)
    found = []
    for _ in range(2_000):
        both = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=50)
        values = np.exp(both * [1, 5])
        log_p = _ranks(values[0].tolist(), list(values[1:].T))
        found.append(joint_p(log_p[0], log_p[1:]).p)
    assert min(found) == 1 / 50
    assert stats.kstest(np.array(found) - rng.uniform(size=2_000) / 50, "uniform").pvalue > 0.01


def test_without_a_null_there_is_no_joint_p(compare: Compare) -> None:
    with pytest.raises(AnalysisError, match="has no null for"):
        compare(exponential(2, 60), sigmas=(0.02, 2.0), size=20, analysis="aggregation")
