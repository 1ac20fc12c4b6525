"""From the core's numbers to what a reader sees: value, p, Z, threshold, state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nplmon.aggregator.alarm import spent
from nplmon.broker.messages import Statistic
from nplmon.nplm.null import significance

if TYPE_CHECKING:
    from nplmon.broker.messages import AlarmPolicy
    from nplmon.nplm.aggregation import Kind
    from nplmon.nplm.statistic import TestStatistic

SMALLEST_LOG_P = -700.0
"""exp of less is 0 in float64; p is given no smaller, Z from the logarithm."""
LARGEST_LOG_P = -1e-16
"""p = 1 has no finite Z; this is Z = -8.2."""
NOTED_EXCESS = 0.5
"""In deviations of the null: from here on the allowance for leverage is mentioned."""


def deciding(found: dict[Kind, TestStatistic]) -> Kind:
    """Give the statistic that raises alarms: t_score, whose null has the exact mean for chunks of any size.

    t_agg, equal to it to first order, exceeds its null where single events have leverage, and is frozen in the end.
    """
    return "t_score" if math.isfinite(found["t_score"].value) else "t_ref"


def reported(
    kind: Kind,
    found: TestStatistic,
    *,
    sequence: int,
    policy: AlarmPolicy | None,
    note: str = "",
    calibrated: bool = True,
) -> Statistic:
    """Give one statistic as it is reported; an overflow is "invalid" and carries no number.

    Parameters
    ----------
    kind, found:
        Its name and the core's numbers.
    sequence:
        The last chunk in it.
    policy:
        Gives the thresholds; None for a statistic that raises no alarm.
    note:
        What a reader must know besides.
    calibrated:
        Whether the closed form holds; without it there is a value, but no p and no threshold.
    """
    if not (math.isfinite(found.value) and math.isfinite(found.null.deviation)):
        return Statistic(
            kind=kind,
            value=None,
            state="invalid",
            sequence=sequence,
            note="the density ratio overflows: the data are where the reference has nothing; look at the chunk itself",
        )
    if not calibrated:
        return Statistic(kind=kind, value=found.value, state="uncalibrated", sequence=sequence, note=note)
    log_p = found.log_p
    threshold = warning = None
    if policy is not None:
        threshold = found.threshold(spent(policy.false_alarm_probability, found.chunks))
        warning = found.threshold(spent(policy.warning_probability, found.chunks))
    if found.excess > NOTED_EXCESS * found.null.deviation:
        excess = f"single events have leverage: {found.excess:.3g} above the null is expected and allowed for"
        note = f"{note}; {excess}" if note else excess
    return Statistic(
        kind=kind,
        value=found.value,
        state="frozen" if found.frozen else "closed form",
        p=math.exp(max(log_p, SMALLEST_LOG_P)),
        z=significance(min(log_p, LARGEST_LOG_P)),
        null_mean=found.null.mean + found.excess,
        null_deviation=found.null.deviation,
        threshold=threshold,
        warning_threshold=warning,
        sequence=sequence,
        note=note,
    )
