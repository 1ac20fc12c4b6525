"""From the core's numbers to what a reader sees: value, p, Z, threshold, state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nplmon.aggregator.alarm import spent
from nplmon.broker.messages import Statistic
from nplmon.nplm.null import significance

if TYPE_CHECKING:
    from nplmon.broker.messages import AlarmPolicy
    from nplmon.nplm.aggregation import Kind, TestStatistic

SMALLEST_LOG_P = -700.0
"""exp of less is 0 in float64; p is given no smaller, Z from the logarithm."""
LARGEST_LOG_P = -1e-16
"""p = 1 has no finite Z; this is Z = -8.2."""


def deciding(found: dict[Kind, TestStatistic]) -> Kind:
    """Give the statistic that raises alarms: the exact t_agg, or t_score once that is frozen or overflows."""
    exact = found.get("t_agg")
    usable = exact is not None and not exact.frozen and math.isfinite(exact.value)
    return "t_agg" if usable else "t_score"


def reported(
    kind: Kind,
    found: TestStatistic,
    *,
    sequence: int,
    policy: AlarmPolicy | None,
    note: str = "",
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
    """
    if not math.isfinite(found.value):
        return Statistic(
            kind=kind,
            value=None,
            state="invalid",
            sequence=sequence,
            note="the density ratio overflows: the data are where the reference has nothing; look at the chunk itself",
        )
    log_p = found.null.log_tail(found.value)
    threshold = warning = None
    if policy is not None:
        threshold = found.null.quantile(spent(policy.false_alarm_probability, found.chunks))
        warning = found.null.quantile(spent(policy.warning_probability, found.chunks))
    return Statistic(
        kind=kind,
        value=found.value,
        state="frozen" if found.frozen else "closed form",
        p=math.exp(max(log_p, SMALLEST_LOG_P)),
        z=significance(min(log_p, LARGEST_LOG_P)),
        null_mean=found.null.mean,
        null_deviation=found.null.deviation,
        threshold=threshold,
        warning_threshold=warning,
        sequence=sequence,
        note=note,
    )
