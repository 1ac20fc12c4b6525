"""Tiles: what an overview says of each monitor, with the most urgent first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import msgspec

from nplmon.api.sparkline import SparklineColumns
from nplmon.broker.alarm_messages import Acknowledgement, TestAlarm
from nplmon.broker.judgement import CalibrationUsed
from nplmon.broker.messages import Alarm, Mode, StatisticKind, StatisticState
from nplmon.broker.standing import acknowledgement_in_force, is_stale, is_uncalibrated

if TYPE_CHECKING:
    from nplmon.broker.glances import Glance, SnapshotHead
    from nplmon.broker.messages import Statistic

TileState = Literal["alarm", "stale", "warning", "acknowledged", "uncalibrated", "ok", "waiting", "closed"]
"""In order of urgency."""
TileFlag = Literal["stale", "uncalibrated", "test", "pool-empty", "exposure", "dead-letters", "withheld"]

STATES: tuple[TileState, ...] = get_args(TileState)


class WorstFeature(msgspec.Struct, frozen=True, kw_only=True):
    """The feature that contributes most to the difference."""

    name: str
    shift: float
    """(data mean - reference mean) / reference standard deviation."""
    shift_error: float | None


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """A monitor at a glance: the run opened last, and the statistic of it that decides on the alarm."""

    monitor: str
    description: str
    state: TileState
    flags: tuple[TileFlag, ...]
    """What holds beside the state."""
    urgency: int
    """The smaller, the more urgent: by state, then whether there are flags."""
    mode: Mode
    run: str | None
    """None before the first chunk."""
    run_state: Literal["open", "closed"] | None
    run_epoch: int | None
    opened_at: float | None
    closed_at: float | None
    chunks: int
    """In the statistic, dead ones not counted."""
    events: int
    dead: int
    """Chunks of the monitor that were given up, and neither replayed nor deleted."""
    pending: int
    """Chunks accepted and not yet applied."""
    sequence: int
    deciding: StatisticKind | None
    value: float | None
    threshold: float | None
    warning_threshold: float | None
    p: float | None
    p_resolution: float | None
    z: float | None
    statistic_state: StatisticState | None
    note: str
    alarm: Alarm
    acknowledged: Acknowledgement | None
    """Of the alarm as it is; None once it has risen."""
    test: TestAlarm | None
    stale_after: float
    """An open run to which nothing was applied for so many seconds is stale."""
    updated_at: float | None
    """When a chunk was applied last."""
    last_accepted_at: float | None
    exposure_ratio: float | None
    exposure_budget: float | None
    pool_left: int | None
    calibration: CalibrationUsed | None
    worst_feature: WorstFeature | None
    sparkline: SparklineColumns
    """Of the statistic that decides; empty while a long history is still being read."""


def tile_of(seen: Glance, sparkline: SparklineColumns, now: float) -> Tile:
    """Give the tile of a monitor.

    Parameters
    ----------
    seen
        The monitor, its last run and what is known of that.
    sparkline
        The course of the statistic that decides.
    now
        Unix seconds, to tell what is stale.
    """
    monitor, run, snapshot = seen.monitor, seen.run, seen.snapshot
    statistic = deciding(snapshot)
    holds = _holding(seen, now)
    state = _state(seen, holds)
    flags = tuple(flag for flag in get_args(TileFlag) if flag in holds and flag != state)
    return Tile(
        monitor=monitor.name,
        description=monitor.description,
        state=state,
        flags=flags,
        urgency=2 * STATES.index(state) + (not flags),
        mode=monitor.mode,
        run=None if run is None else run.name,
        run_state=None if run is None else run.state,
        run_epoch=None if run is None else run.epoch,
        opened_at=None if run is None else run.opened_at,
        closed_at=None if run is None else run.closed_at,
        chunks=0 if snapshot is None else snapshot.chunks,
        events=0 if snapshot is None else snapshot.events,
        dead=seen.dead,
        pending=0 if run is None else run.accepted - run.applied - run.dead,
        sequence=0 if snapshot is None else snapshot.sequence,
        deciding=None if snapshot is None else snapshot.deciding,
        value=None if statistic is None else statistic.value,
        threshold=None if statistic is None else statistic.threshold,
        warning_threshold=None if statistic is None else statistic.warning_threshold,
        p=None if statistic is None else statistic.p,
        p_resolution=None if statistic is None else statistic.p_resolution,
        z=None if statistic is None else statistic.z,
        statistic_state=None if statistic is None else statistic.state,
        note="" if statistic is None else statistic.note,
        alarm=Alarm() if snapshot is None else snapshot.alarm,
        acknowledged=acknowledged(seen),
        test=seen.test,
        stale_after=monitor.handling.stale_after,
        updated_at=None if snapshot is None else snapshot.updated_at,
        last_accepted_at=None if snapshot is None else snapshot.last_accepted_at,
        exposure_ratio=None if snapshot is None else snapshot.exposure_ratio,
        exposure_budget=None if snapshot is None else snapshot.exposure_budget,
        pool_left=None if snapshot is None else snapshot.pool_left,
        calibration=None if snapshot is None else snapshot.calibration,
        worst_feature=_worst(snapshot),
        sparkline=sparkline,
    )


def deciding(snapshot: SnapshotHead | None) -> Statistic | None:
    """Give the statistic that decides on the alarm; None before the first chunk."""
    if snapshot is None or snapshot.deciding is None:
        return None
    return snapshot.statistics.get(snapshot.deciding)


def acknowledged(seen: Glance) -> Acknowledgement | None:
    """Give the acknowledgement of the run's alarm as it is now."""
    if seen.run is None or seen.snapshot is None:
        return None
    return acknowledgement_in_force(seen.run, seen.snapshot.alarm)


def _state(seen: Glance, holds: set[TileFlag]) -> TileState:
    run, snapshot = seen.run, seen.snapshot
    if run is None:
        return "waiting"
    if run.state == "closed":
        return "closed"
    level = "ok" if snapshot is None else snapshot.alarm.level
    known = acknowledged(seen) is not None
    so: dict[TileState, bool] = {
        "alarm": level == "alarm" and not known,
        "stale": "stale" in holds,
        "warning": level == "warning" and not known,
        "acknowledged": known,
        "uncalibrated": "uncalibrated" in holds,
        "waiting": snapshot is None or not snapshot.sequence,
        "ok": True,
    }
    return next(state for state in so if so[state])


def _holding(seen: Glance, now: float) -> set[TileFlag]:
    """Give all flags that hold; of a closed run only what somebody may still have to deal with."""
    run, snapshot = seen.run, seen.snapshot
    holds: dict[TileFlag, bool] = {"test": seen.test is not None, "dead-letters": seen.dead > 0}
    if run is not None and run.state == "open":
        holds["stale"] = is_stale(seen.monitor, run, None if snapshot is None else snapshot.updated_at, now)
        decides, statistics = (None, {}) if snapshot is None else (snapshot.deciding, snapshot.statistics)
        holds["uncalibrated"] = is_uncalibrated(run, decides, statistics, seen.calibration)
        if snapshot is not None:
            tolerance = snapshot.tolerance
            holds["pool-empty"] = snapshot.pool_left == 0
            holds["exposure"] = snapshot.exposure_ratio > snapshot.exposure_budget
            holds["withheld"] = tolerance is not None and tolerance.withheld
    return {flag for flag, so in holds.items() if so}


def _worst(snapshot: SnapshotHead | None) -> WorstFeature | None:
    if snapshot is None or not snapshot.features:
        return None
    worst = min(snapshot.features, key=lambda feature: feature.rank)
    return WorstFeature(name=worst.name, shift=worst.shift, shift_error=worst.shift_error)
