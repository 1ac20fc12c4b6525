"""The p at which an alarm is due says the same as the value at which it is."""

from __future__ import annotations

import numpy as np
import pytest
from tests.aggregator.samples import SEVERAL, a_fit, a_ledger, chunk, payloads
from tests.aggregator.test_tolerance import a_tolerant_ledger

KINDS = ("t_chunk", "t_agg", "t_ref", "t_score", "t_sum")


@pytest.mark.parametrize("several", [False, True])
def test_p_is_at_its_threshold_when_the_value_is(several: bool) -> None:
    quantiles = SEVERAL if several else (0.9,)
    ledger = a_ledger(quantiles=quantiles)
    reached = set()
    for i in range(1, 9):
        events = chunk(i) if i < 4 else (chunk(i) + np.float32(0.25 * (i - 3)))
        page = ledger.apply([a_fit(i, events, quantiles=quantiles)], {i: events.tobytes()}, 5.0)
        for kind in KINDS:
            found = page.snapshot.statistics[kind]
            if found.value is None or found.threshold is None:
                continue
            assert found.p is not None
            assert found.p_threshold is not None
            assert 0 < found.p_threshold < 1
            assert (found.p <= found.p_threshold) == (found.value >= found.threshold), (kind, i)
            reached.add(found.p <= found.p_threshold)
    assert reached == {False, True}


def test_what_has_no_threshold_on_p_has_none() -> None:
    ledger = a_ledger(event_cap=170)
    for i in range(1, 4):
        page = ledger.apply([a_fit(i)], payloads([i]), 5.0)
    assert page.snapshot.statistics["t_agg"].state == "frozen"
    assert page.snapshot.statistics["t_agg"].p_threshold is None
    tolerant = a_tolerant_ledger().apply([a_fit(1)], payloads([1]), 5.0)
    assert tolerant.snapshot.statistics["log_e"].p_threshold is None
