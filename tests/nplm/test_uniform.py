"""Ordinary chunks of the simulated dimuon sample get uniform p-values, although nothing was fitted to toys.

220 runs of two chunks of 1,000 events, all disjoint, against one reference of 50,000: the exposure of a run is 0.04, so
that the one draw of the reference's sampling error shifts all runs by 0.04 deviations, which 220 runs do not resolve.

The penalty is 1e-4: about 12 effective degrees of freedom, in which chunks of 1,000 events are in the quadratic regime.
What t_agg exceeds the closed form by is of the order of N E_R[q^2], with the leverage
q(x) = sum_j psi_j(x)^2 / (N mu_j + Lam): 0.2 here, where t_agg's deviation is 4, and 21 with a penalty of 1e-6.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.null import Mode
from nplmon.nplm.preparation import prepare
from nplmon.nplm.reference import Reference

pytestmark = pytest.mark.slow

RUNS, CHUNKS, EVENTS, REFERENCE = 220, 2, 1_000, 50_000
KINDS = ("t_chunk", "t_agg", "t_ref", "t_score", "t_sum")


@pytest.fixture(scope="module")
def p_values(dimuon: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Give the p-values of each statistic, one per run; t_chunk is that of a run's last chunk."""
    reference, ordinary = dimuon[:REFERENCE], dimuon[REFERENCE:]
    basis = prepare(reference, centres=300, lambda_=1e-4)
    features = basis.features(reference)
    prepared = KernelModel(Reference(reference), basis, features)
    mode: Mode = "shape"
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    chunks = iter(np.split(ordinary[: RUNS * CHUNKS * EVENTS], RUNS * CHUNKS))
    for _ in range(RUNS):
        run = Aggregation(basis, features, None, mode, event_cap=10**6)
        for _ in range(CHUNKS):
            events = next(chunks)
            fitted = prepared.fit(events, float(EVENTS))
            run.apply(fitted.coefficients, fitted.score, fitted.statistic, float(EVENTS), events)
        for kind, statistic in run.statistics().items():
            found[kind].append(statistic.null.tail(statistic.value))
    return {kind: np.array(values) for kind, values in found.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_p_values_of_ordinary_chunks_are_uniform(p_values: dict[str, NDArray[np.float64]], kind: str):
    assert p_values[kind].size == RUNS
    assert stats.kstest(p_values[kind], "uniform").pvalue > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_false_alarms_are_as_many_as_asked_for(p_values: dict[str, NDArray[np.float64]], kind: str):
    """At 5 %, the count lies in the central 99.9 % of the binomial distribution."""
    alarms = int(np.count_nonzero(p_values[kind] < 0.05))
    low, high = stats.binom.interval(0.999, RUNS, 0.05)

    assert low <= alarms <= high
