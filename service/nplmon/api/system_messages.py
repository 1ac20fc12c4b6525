"""What is said of the service itself. Times are Unix seconds in UTC."""

from __future__ import annotations

from typing import Literal

import msgspec

from nplmon.broker.messages import Receipt, Worker
from nplmon.broker.toy_messages import CalibrationState, ToySource


class StoreState(msgspec.Struct, frozen=True, kw_only=True):
    """The store."""

    kind: Literal["redis", "valkey"]
    version: str
    memory_bytes: int
    memory_limit_bytes: int | None
    """None where there is no limit but the machine's."""
    append_only: bool
    """Whether each change is written to a file, so that it survives a restart."""


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """The chunks of one monitor on their way."""

    monitor: str
    waiting: int
    leased: int
    """In work."""
    oldest_accepted_at: float | None
    """Of those waiting or in work."""
    unapplied: int
    """Chunks of the run opened last that are not yet in its statistic, fitted or not."""
    dead: int
    """Given up, and neither replayed nor deleted."""


class CalibrationSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A calibration by toys in short."""

    state: CalibrationState
    reason: str
    source: ToySource
    toys: int
    """Asked for."""
    toys_done: int
    toys_needed: int
    """For thresholds at the monitor's run length."""
    asked_at: float
    ended_at: float | None
    disagreement: str
    note: str


class MonitorResources(msgspec.Struct, frozen=True, kw_only=True):
    """What a monitor draws on."""

    monitor: str
    reference: str
    reference_events: int | None
    """None where the reference is gone."""
    effective_events: float | None
    exposure_ratio: float | None
    """Of the run opened last; None before its first chunk."""
    exposure_budget: float | None
    pool_events: int
    """Kept in the pool of the reference."""
    pool_left: int | None
    """Of these, what the monitor has not used; None without a pool."""
    calibration: CalibrationSummary | None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that was given up."""

    monitor: str
    receipt: Receipt
    reason: Literal["crash", "exception"]
    deliveries: int
    error: str
    died_at: float


class System(msgspec.Struct, frozen=True, kw_only=True):
    """How the service itself is."""

    now: float
    version: str
    """Of nplmon, of the process that answers."""
    store: StoreState
    queues: list[Queue]
    workers: list[Worker]
    """Those that gave a sign of life in the last seconds."""
    monitors: list[MonitorResources]
    dead: list[DeadLetter]
