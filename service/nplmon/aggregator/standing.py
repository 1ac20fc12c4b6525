"""How a monitor stands now, beside its statistics: open or closed, stale, taken note of, under test, uncalibrated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    after = monitor.handling.stale_after
    last = 0.0 if run is None else run.opened_at if snapshot is None else snapshot.updated_at
    is_open = run is not None and run.state == "open"
    return Standing(
        opened_at=None if run is None else run.opened_at,
        run_open=is_open,
        acknowledged=run is not None and snapshot is not None and _acknowledged(run, snapshot),
        test=test is not None,
        uncalibrated=is_open
        and (calibration in {"failed", "void"} or (snapshot is not None and _undecided(snapshot))),
        stale_after=after,
        stale=is_open and now - last >= after,
    )


def _acknowledged(run: Run, snapshot: Snapshot) -> bool:
    done, alarm = run.acknowledged, snapshot.alarm
    return done is not None and (done.level, done.sequence) == (alarm.level, alarm.sequence)


def _undecided(snapshot: Snapshot) -> bool:
    """Whether nothing says when an alarm is due."""
    if snapshot.deciding is None:
        return False  # every chunk so far was given up
    decides = snapshot.statistics.get(snapshot.deciding)
    return decides is None or decides.threshold is None
