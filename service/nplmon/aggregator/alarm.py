"""The alarm of a run: when it fires, and that it stays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from nplmon.broker.messages import Alarm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nplmon.aggregator.judge import Ruling
    from nplmon.broker.message import AlarmLevel
    from nplmon.broker.messages import Statistic

LEVELS: Final[dict[AlarmLevel, int]] = {"ok": 0, "warning": 1, "alarm": 2}


def next_alarm(
    present: Alarm,
    statistic: Statistic,
    ruling: Ruling | None,
    run_lengths: tuple[float, float],
    *,
    number: int,
    chunk: str,
    at: float,
) -> Alarm:
    """Give the alarm after one more chunk; it rises and never falls within a run.

    Parameters
    ----------
    present:
        The alarm so far.
    statistic:
        The statistic that decides, after this chunk, with its thresholds.
    ruling:
        What its p and thresholds are from; None for an e-detector, whose thresholds are the run lengths.
    run_lengths:
        Expected chunks between false alarms and between false warnings by this statistic.
    number:
        n, the number of chunks in the statistic.
    chunk:
        Id of this chunk.
    at:
        Time of this chunk's application, Unix seconds.
    """
    value = statistic.value
    if value is None:
        return present
    level: AlarmLevel
    if statistic.threshold is not None and value >= statistic.threshold:
        level, limit, i = "alarm", statistic.threshold, 0
    elif statistic.warning_threshold is not None and value >= statistic.warning_threshold:
        level, limit, i = "warning", statistic.warning_threshold, 1
    else:
        return present
    if LEVELS[level] <= LEVELS[present.level]:
        return present
    length = run_lengths[i]
    if ruling is None:
        why = f"at most one false {level} in {length:g} chunks (e-detector, {statistic.state})"
    else:
        p = math.exp(ruling.p(ruling.limits[i]).log_p)
        why = f"p = {statistic.p:.2g} <= {p:.2g}, a false {level} every {length:g} chunks ({ruling.source})"
    return Alarm(
        level=level,
        kind=statistic.kind,
        chunk=chunk,
        sequence=statistic.sequence,
        since=at,
        rule=f"{statistic.kind} = {value:.4g} >= {limit:.4g} at chunk {number}: {why}",
    )


def highest(present: Alarm, others: Iterable[Alarm]) -> Alarm:
    """Give the alarm of a run and its parts: that which is raised first at the highest level.

    Examples
    --------
    >>> warning = Alarm(level="warning", kind="rate")
    >>> highest(Alarm(), [warning]).kind, highest(Alarm(level="alarm", kind="t_score"), [warning]).kind
    ('rate', 't_score')
    """
    for other in others:
        if LEVELS[other.level] > LEVELS[present.level]:
            present = other
    return present
