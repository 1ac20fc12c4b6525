"""Glances to make tiles of."""

from __future__ import annotations

from typing import Any

from nplmon.broker.alarm_messages import Acknowledgement, Handling, TestAlarm
from nplmon.broker.glances import Glance, SnapshotHead
from nplmon.broker.messages import Alarm, Monitor, Run, Statistic

NOW = 10_000.0


def a_run(**changes: Any) -> Run:
    plain = {
        "monitor": "m",
        "name": "r",
        "state": "open",
        "epoch": 1,
        "monitor_epoch": 1,
        "accepted": 5,
        "applied": 3,
        "dead": 1,
        "opened_at": NOW - 50,
    }
    return Run(**{**plain, **changes})


def a_head(**changes: Any) -> SnapshotHead:
    """Give a snapshot whose t_score, at 12 of 20, decides."""
    plain = {
        "run_epoch": 1,
        "sequence": 4,
        "chunks": 3,
        "events": 60,
        "exposure_ratio": 0.1,
        "statistics": {"t_score": a_statistic()},
        "deciding": "t_score",
        "updated_at": NOW - 10,
        "last_accepted_at": NOW - 11,
    }
    return SnapshotHead(**{**plain, **changes})


def a_statistic(**changes: Any) -> Statistic:
    plain = {
        "kind": "t_score",
        "value": 12.0,
        "state": "closed form",
        "p": 0.1,
        "z": 1.3,
        "threshold": 20.0,
        "warning_threshold": 15.0,
        "sequence": 4,
    }
    return Statistic(**{**plain, **changes})


def a_glance(
    run: Run | None = None, snapshot: SnapshotHead | None = None, stale_after: float = 600, **changes: Any
) -> Glance:
    monitor = Monitor(
        name="m",
        epoch=1,
        reference="sm",
        reference_hash="h",
        features=("pt", "eta"),
        units=("GeV", ""),
        handling=Handling(stale_after=stale_after),
        created_at=1.0,
        changed_at=1.0,
    )
    return Glance(monitor=monitor, run=run, snapshot=snapshot, **changes)


KNOWN = Acknowledgement(level="alarm", sequence=3, who="Ada", comment="on it", at=NOW - 5)
TEST = TestAlarm(who="Ada", comment="does it ring?", since=NOW - 5, until=NOW + 55)
ALARM = Alarm(
    level="alarm", kind="t_score", chunk="c3", sequence=3, since=NOW - 20, rule="t_score = 25 >= 20"
)
WARNING = Alarm(
    level="warning", kind="t_score", chunk="c2", sequence=2, since=NOW - 30, rule="t_score = 16 >= 15"
)
