"""The state of a monitor as one number: the same words in the same order of urgency as on nplmon's page."""

from __future__ import annotations

from typing import NamedTuple

from deploy.grafana.query import latest


class State(NamedTuple):
    """What a monitor can be in."""

    code: int
    """The more urgent, the higher."""
    words: str
    colour: str
    """One of Grafana's names."""


CLOSED = State(0, "closed", "text")
WAITING = State(1, "waiting", "blue")
OK = State(2, "ok", "green")
UNCALIBRATED = State(3, "uncalibrated", "purple")
ACKNOWLEDGED = State(4, "acknowledged", "semi-dark-orange")
WARNING = State(5, "WARNING", "yellow")
STALE = State(6, "STALE", "super-light-purple")
ALARM = State(7, "ALARM", "red")
STATES = (CLOSED, WAITING, OK, UNCALIBRATED, ACKNOWLEDGED, WARNING, STALE, ALARM)


def age(selector: str = "") -> str:
    """Give the seconds since a run's statistic last changed, or since the run was opened."""
    updated = latest("nplmon_last_update_timestamp_seconds", selector)
    opened = latest("nplmon_run_opened_timestamp_seconds", selector)
    return f"time() - ({updated} or on (monitor) {opened})"


def state(selector: str = "") -> str:
    """Give the code of each monitor's state; a monitor that no aggregator exports has none.

    Of two branches that hold, `or` keeps the first; nothing of a closed run is urgent.
    """
    level = latest("nplmon_alarm_level", selector)
    acknowledged = f"{latest('nplmon_alarm_acknowledged', selector)} == 1"
    opened = latest("nplmon_run_open", selector)
    began = latest("nplmon_run_opened_timestamp_seconds", selector)
    late = f"{age(selector)} >= on (monitor) {latest('nplmon_stale_after_seconds', selector)}"
    branches = (
        (CLOSED, f"{opened} == 0 and on (monitor) {began}"),
        (ALARM, f"{level} == 2 unless on (monitor) ({acknowledged})"),
        (STALE, late),
        (WARNING, f"{level} == 1 unless on (monitor) ({acknowledged})"),
        (ACKNOWLEDGED, acknowledged),
        (UNCALIBRATED, f"{latest('nplmon_uncalibrated', selector)} == 1"),
        (OK, f"{latest('nplmon_run_chunks', selector)} > 0"),
        (WAITING, opened),
    )
    return "\nor on (monitor) ".join(f"0 * ({holds}) + {one.code}" for one, holds in branches)
