"""Rate: the number of events of a run, tested apart from their shape."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from nplmon.aggregator.part import Applied, Part
from nplmon.aggregator.statistic import LARGEST_LOG_P, SMALLEST_LOG_P
from nplmon.broker.messages import Alarm, RateTested, run_lengths
from nplmon.nplm.errors import StateError
from nplmon.nplm.null import significance
from nplmon.nplm.rate import LARGEST_COUNT, Counted, RateTest, combined_log_p
from nplmon.nplm.survivors import Survivors

if TYPE_CHECKING:
    from nplmon.broker.message import AlarmLevel
    from nplmon.broker.messages import Monitor, Snapshot


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What the next value depends on."""

    events: int
    exposure: float
    chunks: int
    unknown: str
    alarm: Alarm
    warned: bytes
    alarmed: bytes


class Rate(Part):
    """The counts of a run against a known rate or those of a control.

    The thresholds belong to the run lengths of the monitor's policy, each doubled: the shape has the other half of the
    false alarms.

    Parameters
    ----------
    monitor:
        One that names a rate or a control, in mode "shape".
    """

    name = "rate"

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._alarmed, self._warned = (Survivors(length) for length in run_lengths(monitor))
        self._events, self._exposure, self._chunks = 0, 0.0, 0
        self._unknown = ""
        """Why there is no number."""
        self._alarm = Alarm()
        self._test: RateTest | None = None

    @property
    def alarm(self) -> Alarm:
        """The alarm of the rate, latched."""
        return self._alarm

    def add(self, chunk: Applied) -> None:
        """Count the events of one chunk, and look."""
        receipt = chunk.receipt
        if receipt.exposure is None and not self._unknown:
            self._unknown = (
                f"chunk number {receipt.sequence} ({receipt.chunk}) brought no exposure: send one with each chunk, "
                "and reset the run or begin another"
            )
        elif self._events + receipt.events > LARGEST_COUNT and not self._unknown:
            self._unknown = f"the run has more than {LARGEST_COUNT:.0e} events: begin another"
        if self._unknown or receipt.exposure is None:
            self._test = None
            return
        self._events += receipt.events
        self._exposure += receipt.exposure
        self._chunks += 1
        self._test = test = self._tested()
        control = self._monitor.control
        variance = 1 / test.expected + (0.0 if control is None else 1 / control.events)
        limits: list[tuple[AlarmLevel, Survivors]] = [("alarm", self._alarmed), ("warning", self._warned)]
        thresholds = {level: runs.look(variance) for level, runs in limits}
        for level, runs in limits:
            if test.log_p <= thresholds[level]:
                if self._alarm.level not in {"alarm", level}:
                    self._alarm = self._raised(level, runs, test, chunk)
                break

    def _tested(self) -> RateTest:
        counted, control = Counted(self._events, self._exposure), self._monitor.control
        if control is not None:
            return counted.against_control(Counted(control.events, control.exposure))
        if self._monitor.rate is None:
            raise StateError(f"the monitor {self._monitor.name!r} has neither a rate nor a control")
        return counted.against_rate(self._monitor.rate)

    def _raised(self, level: AlarmLevel, runs: Survivors, test: RateTest, chunk: Applied) -> Alarm:
        p, limit = math.exp(max(test.log_p, SMALLEST_LOG_P)), math.exp(runs.log_p)
        return Alarm(
            level=level,
            kind="rate",
            chunk=chunk.receipt.chunk,
            sequence=chunk.receipt.sequence,
            since=chunk.at,
            rule=(
                f"rate: {test.observed} events for {test.expected:.6g} expected at chunk {self._chunks}: "
                f"p = {p:.2g} <= {limit:.2g}, one false {level} of the rate in {runs.run_length:g} chunks"
            ),
        )

    def to_bytes(self) -> bytes:
        """Serialise counts, alarm and the runs that have not crossed."""
        return msgspec.msgpack.encode(
            Saved(
                events=self._events,
                exposure=self._exposure,
                chunks=self._chunks,
                unknown=self._unknown,
                alarm=self._alarm,
                warned=self._warned.to_array().tobytes(),
                alarmed=self._alarmed.to_array().tobytes(),
            )
        )

    def restore(self, body: bytes) -> None:
        """Continue from what `to_bytes` gave."""
        try:
            saved = msgspec.msgpack.decode(body, type=Saved)
        except msgspec.MsgspecError as error:
            raise StateError(f"{len(body)} bytes are no state of a rate ({error}): reset the run") from error
        self._warned.restore(np.frombuffer(saved.warned))
        self._alarmed.restore(np.frombuffer(saved.alarmed))
        self._events, self._exposure, self._chunks = saved.events, saved.exposure, saved.chunks
        self._unknown, self._alarm = saved.unknown, saved.alarm
        self._test = self._tested() if self._chunks and not self._unknown else None

    def shown(self, snapshot: Snapshot, /, *_: object) -> Snapshot:
        """Give the snapshot with the rate."""
        return msgspec.structs.replace(snapshot, rate=self._told(snapshot))

    def _told(self, snapshot: Snapshot) -> RateTested:
        test = self._test
        if test is None:
            return RateTested(
                state="unknown",
                alarm=self._alarm,
                note=self._unknown,
            )
        # With templates what they explain is tolerated here too.
        shape = snapshot.statistics.get("t_profiled", snapshot.statistics.get("t_score"))
        together = None
        if shape is not None and shape.p is not None:
            together = combined_log_p(math.log(shape.p), test.log_p)
        return RateTested(
            state="exact",
            observed=test.observed,
            expected=test.expected,
            p=math.exp(max(test.log_p, SMALLEST_LOG_P)),
            z=test.z,
            p_threshold=math.exp(self._alarmed.log_p),
            p_warning_threshold=math.exp(self._warned.log_p),
            combined_p=None if together is None else math.exp(max(together, SMALLEST_LOG_P)),
            combined_z=None if together is None else significance(min(together, LARGEST_LOG_P)),
            alarm=self._alarm,
        )
