"""The alarm of a run: when it fires, and that it stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nplmon.broker.messages import Alarm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nplmon.broker.messages import AlarmLevel, AlarmPolicy, Statistic

LEVELS: Final[dict[AlarmLevel, int]] = {"ok": 0, "warning": 1, "alarm": 2}


def spent(probability: float, chunk: int) -> float:
    """Give the share of a run's false-alarm probability that is spent at chunk n: alpha / (n (n + 1)).

    The shares of all chunks sum to alpha, so that a run of any length, looked at after every chunk, alarms falsely
    with at most that probability (union bound), as far as the null of each chunk is right.

    Examples
    --------
    >>> round(sum(spent(0.01, n) for n in range(1, 10_000)), 5)
    0.01
    """
    return probability / (chunk * (chunk + 1))


def next_alarm(
    present: Alarm,
    statistic: Statistic,
    policy: AlarmPolicy,
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
    policy:
        The monitor's policy.
    number:
        n, the number of chunks in the statistic.
    chunk:
        Id of this chunk.
    at:
        Time of this chunk's application, Unix seconds.
    """
    if statistic.value is None or statistic.threshold is None or statistic.warning_threshold is None:
        return present
    reached: AlarmLevel
    if statistic.value >= statistic.threshold:
        reached, limit, alpha = "alarm", statistic.threshold, policy.false_alarm_probability
    elif statistic.value >= statistic.warning_threshold:
        reached, limit, alpha = "warning", statistic.warning_threshold, policy.warning_probability
    else:
        return present
    if present.level in {"alarm", reached}:
        return present
    return Alarm(
        level=reached,
        kind=statistic.kind,
        chunk=chunk,
        sequence=statistic.sequence,
        since=at,
        rule=(
            f"{statistic.kind} = {statistic.value:.4g} >= {limit:.4g} at chunk {number}: "
            f"p = {statistic.p:.2g} <= {alpha:g} / ({number} x {number + 1})"
        ),
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
