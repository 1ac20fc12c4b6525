"""The overview: a tile for each monitor. Times are Unix seconds in UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nplmon.client.alarm_records import Acknowledgement, Alarm, TestAlarm
from nplmon.client.conversation import Call
from nplmon.client.decoding import decode
from nplmon.client.records import CalibrationUsed


@dataclass(frozen=True, kw_only=True)
class WorstFeature:
    """The feature that contributes most to the difference; the shift of its mean is in reference deviations."""

    name: str
    shift: float
    shift_error: float | None = None


@dataclass(frozen=True, kw_only=True)
class SparklineColumns:
    """The course of the statistic that decides, in few points with its extremes; columns of equal length."""

    sequence: tuple[int, ...] = ()
    value: tuple[float, ...] = ()
    threshold: tuple[float | None, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A monitor at a glance: the run opened last, and the statistic of it that decides on the alarm.

    The smaller `urgency`, the more urgent. `flags` tell what holds beside the state.
    """

    monitor: str
    description: str
    state: Literal["alarm", "stale", "warning", "acknowledged", "uncalibrated", "ok", "waiting", "closed"]
    flags: tuple[str, ...]
    urgency: int
    mode: Literal["shape", "rate"]
    run: str | None
    run_state: Literal["open", "closed"] | None
    run_epoch: int | None
    opened_at: float | None
    closed_at: float | None
    chunks: int
    events: int
    dead: int
    pending: int
    sequence: int
    deciding: str | None
    value: float | None
    threshold: float | None
    warning_threshold: float | None
    p: float | None
    p_resolution: float | None
    z: float | None
    statistic_state: str | None
    note: str
    alarm: Alarm
    acknowledged: Acknowledgement | None
    test: TestAlarm | None
    stale_after: float
    updated_at: float | None
    last_accepted_at: float | None
    exposure_ratio: float | None
    exposure_budget: float | None
    pool_left: int | None
    calibration: CalibrationUsed | None
    worst_feature: WorstFeature | None
    sparkline: SparklineColumns = field(default_factory=SparklineColumns)


@dataclass(frozen=True, kw_only=True)
class Overview:
    """All monitors at a glance, the most urgent first; `version` is that of nplmon."""

    now: float
    version: str
    tiles: tuple[Tile, ...]


def overview() -> Call[Overview]:
    """Look at all monitors, the most urgent first."""
    return Call("GET", "/v1/overview", lambda answer: decode(Overview, answer.json()))
