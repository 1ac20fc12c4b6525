"""t_agg exceeds its closed form where single events have leverage; the allowance for it errs on the safe side."""

from __future__ import annotations

import numpy as np
import pytest

from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.preparation import prepare
from nplmon.nplm.reference import Reference
from nplmon.simulators import dimuon

RUNS, CHUNKS, EVENTS = 24, 4, 1_000


@pytest.mark.slow
def test_allowance_for_leverage_covers_the_excess() -> None:
    """24 ordinary runs of 4 chunks of 1,000 muon pairs with lambda = 1e-6, where leverage is large.

    t_agg and t_score are equal to first order and t_score has the exact mean, so that their mean difference is t_agg's
    excess; runs share their data between the two, so the difference is known to about 0.6. The excess must be seen
    (more than three standard errors above 0), and the allowance must be no smaller, up to two standard errors.
    """
    rng = np.random.default_rng(3)
    reference = dimuon.sample(rng, 50_000)
    basis = prepare(reference, centres=300, lambda_=1e-6)
    features = basis.features(reference)
    prepared = KernelModel(Reference(reference), basis, features)
    differences, allowances = [], []
    for _ in range(RUNS):
        run = Aggregation(basis, features, None, "shape", event_cap=10**6)
        for _ in range(CHUNKS):
            events = dimuon.sample(rng, EVENTS)
            fitted = prepared.fit(events, float(EVENTS))
            run.apply(fitted.coefficients, fitted.score, fitted.statistic, float(EVENTS), events)
        found = run.statistics()
        differences.append(found["t_agg"].value - found["t_score"].value)
        allowances.append(found["t_agg"].excess)
    error = np.std(differences, ddof=1) / RUNS**0.5
    assert np.mean(differences) > 3 * error
    assert allowances[0] > np.mean(differences) - 2 * error
    assert found["t_score"].excess == 0.0
    assert found["t_agg"].log_p > found["t_agg"].null.log_tail(found["t_agg"].value)
    assert np.isclose(
        np.log(found["t_agg"].null.tail(found["t_agg"].threshold(0.01) - allowances[0])), np.log(0.01)
    )


def test_one_chunk_has_no_excess() -> None:
    """t_agg of one chunk is that chunk's own t, whatever the leverage."""
    rng = np.random.default_rng(4)
    reference = rng.normal(size=(5_000, 1))
    basis = prepare(reference, centres=50)
    run = Aggregation(basis, basis.features(reference), None, "rate", event_cap=1_000)
    run.apply(np.zeros(basis.size), np.zeros(basis.size), 0.0, 100.0, rng.normal(size=(100, 1)))
    assert run.statistics()["t_agg"].excess == 0.0
