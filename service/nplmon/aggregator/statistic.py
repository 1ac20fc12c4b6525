"""From the core's numbers to what a reader sees: value, p, Z, threshold, state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nplmon.aggregator.widths import is_finite
from nplmon.broker.judgement import NULL_LEVELS
from nplmon.broker.messages import Statistic
from nplmon.nplm.null import significance
from nplmon.nplm.null_quantiles import reached

if TYPE_CHECKING:
    from nplmon.aggregator.judge import Ruling
    from nplmon.aggregator.widths import Joint
    from nplmon.nplm.aggregation import Kind

SMALLEST_LOG_P = -700.0
"""exp of less is 0 in float64; p is given no smaller, Z from the logarithm."""
LARGEST_LOG_P = -1e-16
"""p = 1 has no finite Z; this is Z = -8.2."""
LARGEST_LIMIT = -1e-6
"""log p of the largest threshold: p = 1 has no value that reaches it."""
NOTED_EXCESS = 0.5
"""In deviations of the null: from here on the allowance for leverage is mentioned."""


def deciding(found: dict[Kind, Joint]) -> Kind:
    """Give the statistic that raises alarms: t_score, whose null has the exact mean for chunks of any size.

    With templates it is t_profiled, t_score's minimum over their mixtures. t_agg, equal to t_score to first order,
    exceeds its null where single events have leverage, and is frozen in the end.
    """
    if "t_profiled" in found and math.isfinite(found["t_profiled"].statistic.value):
        return "t_profiled"
    return "t_score" if math.isfinite(found["t_score"].statistic.value) else "t_ref"


def reported(
    kind: Kind,
    joint: Joint,
    *,
    width: float,
    sequence: int,
    ruling: Ruling,
    note: str = "",
) -> Statistic:
    """Give one statistic as it is reported; an overflow is "invalid" and carries no number.

    Parameters
    ----------
    kind, joint:
        Its name, and the core's numbers over the kernel widths.
    width:
        Sigma of the width that is shown.
    sequence:
        The last chunk in it.
    ruling:
        What p and thresholds are from.
    note:
        What a reader must know besides.
    """
    found = joint.statistic
    if not is_finite(found):
        return Statistic(
            kind=kind,
            value=None,
            state="invalid",
            sequence=sequence,
            note="the density ratio overflows: the data are where the reference has nothing; look at the chunk itself",
        )
    if joint.smallest is None:
        return Statistic(
            kind=kind, value=found.value, state="uncalibrated", width=width, sequence=sequence, note=note
        )
    # What is frozen is of the past: no alarm is due by it.
    limits = [] if found.frozen else [math.exp(min(x, LARGEST_LIMIT)) for x in ruling.limits]
    # Of t_profiled's null there is a bound alone, and no band.
    band = [] if kind == "t_profiled" else [1 - level for level in NULL_LEVELS]
    values = [t + found.excess for t in reached(found.null, [*limits, *band])]
    threshold, warning = values[:2] if limits else (None, None)
    p_threshold = None if found.frozen else math.exp(ruling.p(ruling.limits.alarm).log_p)
    calibrated = ruling.p(joint.smallest)
    log_p = calibrated.log_p
    note = "; ".join(filter(None, (note, ruling.note)))
    if found.excess > NOTED_EXCESS * found.null.deviation:
        excess = f"single events have leverage: {found.excess:.3g} above the null is expected and allowed for"
        note = f"{note}; {excess}" if note else excess
    return Statistic(
        kind=kind,
        value=found.value,
        state="frozen" if found.frozen else "calibrated" if calibrated.source == "toys" else "closed form",
        p=math.exp(max(log_p, SMALLEST_LOG_P)),
        p_resolution=calibrated.resolution,
        z=significance(min(log_p, LARGEST_LOG_P)),
        null_mean=found.null.mean + found.excess,
        null_deviation=found.null.deviation,
        null_quantiles=tuple(values[len(limits) :]),
        threshold=threshold,
        warning_threshold=warning,
        p_threshold=p_threshold,
        width=width,
        sequence=sequence,
        note=note,
    )
