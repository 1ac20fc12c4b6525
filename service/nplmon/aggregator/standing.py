"""How a monitor stands now, beside its statistics: open or closed, stale, taken note of, under test, uncalibrated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nplmon.broker.standing import acknowledgement_in_force, is_stale, is_uncalibrated

if TYPE_CHECKING:
    from nplmon.broker.alarm_messages import TestAlarm
    from nplmon.broker.messages import Monitor, Run, Snapshot
    from nplmon.broker.toy_messages import CalibrationState


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What holds of a monitor's live run, the one opened last.

    Attributes
    ----------
    opened_at:
        Unix seconds; None without a run.
    run_open:
        Whether it takes chunks.
    acknowledged:
        Whether somebody has taken note of the alarm that it has now.
    test:
        Whether a test alarm is fired.
    uncalibrated:
        Whether the run is open, and the statistic that decides has no threshold, or toys were asked for and are failed
        or void.
    stale_after:
        In s.
    stale:
        Whether the run is open and nothing entered its statistic for so long.
    """

    opened_at: float | None
    run_open: bool
    acknowledged: bool
    test: bool
    uncalibrated: bool
    stale_after: float
    stale: bool


def standing(
    monitor: Monitor,
    run: Run | None,
    snapshot: Snapshot | None,
    *,
    test: TestAlarm | None,
    calibration: CalibrationState | None,
    now: float,
) -> Standing:
    """Say how a monitor stands.

    Parameters
    ----------
    monitor:
        The monitor.
    run:
        Its live run, None without any.
    snapshot:
        The last one that is known; one of another run or epoch does not count.
    test, calibration:
        Its test alarm, and the state of its calibration by toys, if there are any.
    now:
        Unix seconds.
    """
    if run is None or snapshot is None or (snapshot.run, snapshot.run_epoch) != (run.name, run.epoch):
        snapshot = None
    deciding, statistics = (None, {}) if snapshot is None else (snapshot.deciding, snapshot.statistics)
    return Standing(
        opened_at=None if run is None else run.opened_at,
        run_open=run is not None and run.state == "open",
        acknowledged=run is not None
        and snapshot is not None
        and acknowledgement_in_force(run, snapshot.alarm) is not None,
        test=test is not None,
        uncalibrated=run is not None and is_uncalibrated(run, deciding, statistics, calibration),
        stale_after=monitor.handling.stale_after,
        stale=run is not None
        and is_stale(monitor, run, None if snapshot is None else snapshot.updated_at, now),
    )
