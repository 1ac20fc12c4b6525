"""The promises of p-values, kept: uniform under H0 after 1, 8 and 32 chunks, in the bulk and in the tails.

1,000 runs of 32 chunks of 200 events on average, with Poisson counts and real fits, at exposure 2 after the last chunk,
where the reference's error is the largest part of what is tested:

- disjoint: each run with a reference of its own, prepared anew; p in closed form;
- fixed-reference: one reference for all runs; p from as many toys as runs, with data from another pool. For muon pairs
  the sample is too small for that: the error of its halves is seen.

Exposures 0.1 and 0.5 take longer: `nplmon closure` has them, docs/statistics.md what was found.
"""

from __future__ import annotations

import pytest

from nplmon.closure.samples import EXPO, dimuon
from nplmon.closure.uniform import Case, judge
from nplmon.nplm import Trajectories
from nplmon.nplm.toys import Source as Calibrated

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]


@pytest.mark.parametrize(
    ("sample", "calibrated"),
    [("EXPO-1D", "disjoint"), ("EXPO-1D", "fixed-reference"), ("dimuon", "disjoint")],
)
def test_p_is_uniform(sample: str, calibrated: Calibrated, request: pytest.FixtureRequest) -> None:
    """T_chunk, t_agg and t_score after 1, 8 and 32 chunks: Kolmogorov-Smirnov at 1 %, and the tails at 1 and 0.1 %.

    These lie in the central 99 % of the binomial, with toys of the beta-binomial, distribution.
    """
    source = dimuon(str(request.getfixturevalue("muons"))) if sample == "dimuon" else EXPO
    case = Case(source=source, calibrated=calibrated, exposure=2.0, runs=1_000, chunks=32, seed=1)
    runs = Trajectories.concatenate([part() for part in case.batches(toys=False)])
    toys = None
    if calibrated == "fixed-reference":
        toys = Trajectories.concatenate([part() for part in case.batches(toys=True)])
    found = [check for one in judge(case, runs, toys) for check in one.checks() if check.promised]

    assert len(found) == 27
    assert [(one.what, one.value, one.low, one.high) for one in found if not one.passed] == []
