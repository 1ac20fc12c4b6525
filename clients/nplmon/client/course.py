"""The course of one statistic over the chunks of a run, in columns. Times are Unix seconds in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from nplmon.client.alarm_records import AlarmLevel
from nplmon.client.conversation import Call
from nplmon.client.decoding import decode


@dataclass(frozen=True, kw_only=True)
class Course:
    """The course of one statistic; all columns have the same length, and what is not there is None.

    `quantiles` are those of the null at `quantile_levels`, P(T <= q); `warning` is the threshold of warnings,
    `p_threshold` the p at which an alarm is due. Go on with `since=course.last`.
    """

    monitor: str
    run: str
    run_epoch: int
    kind: str
    deciding: str | None
    total: int
    last: int
    downsampled: bool
    sequence: tuple[int, ...]
    chunk: tuple[str, ...]
    state: tuple[Literal["applied", "dead"], ...]
    applied_at: tuple[float, ...]
    accepted_at: tuple[float, ...]
    events: tuple[int, ...]
    exposure: tuple[float | None, ...]
    value: tuple[float | None, ...]
    statistic_state: tuple[str | None, ...]
    p: tuple[float | None, ...]
    z: tuple[float | None, ...]
    threshold: tuple[float | None, ...]
    warning: tuple[float | None, ...]
    p_threshold: tuple[float | None, ...]
    null_mean: tuple[float | None, ...]
    null_deviation: tuple[float | None, ...]
    quantile_levels: tuple[float, ...]
    quantiles: tuple[tuple[float, ...] | None, ...]
    width: tuple[float | None, ...]
    t_chunk: tuple[float | None, ...]
    t_chunk_p: tuple[float | None, ...]
    t_chunk_z: tuple[float | None, ...]
    t_chunk_null_mean: tuple[float | None, ...]
    t_chunk_null_deviation: tuple[float | None, ...]
    fit_seconds: tuple[float | None, ...]
    trainer: tuple[str | None, ...]
    alarm: tuple[AlarmLevel, ...]


def course(
    monitor: str, run: str | None = None, *, kind: str = "t_score", since: int = 0, points: int = 1000
) -> Call[Course]:
    """Give the course of one statistic after chunk `since`, thinned to `points` with what happened kept."""
    path = f"/v1/monitors/{quote(monitor, safe='')}/course"
    params = {"run": run, "kind": kind, "since": since, "points": points}
    return Call("GET", path, lambda answer: decode(Course, answer.json()), params=params)
