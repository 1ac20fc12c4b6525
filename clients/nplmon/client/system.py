"""The service itself: its store, queues, workers, references and dead letters. Times are Unix seconds in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nplmon.client.conversation import Call
from nplmon.client.decoding import decode
from nplmon.client.records import Receipt


@dataclass(frozen=True, kw_only=True)
class StoreState:
    """The store; `append_only` says whether each change is written to a file, a limit of None that there is none."""

    kind: Literal["redis", "valkey"]
    version: str
    memory_bytes: int
    memory_limit_bytes: int | None
    append_only: bool


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The chunks of one monitor on their way; `unapplied` counts those of the run opened last."""

    monitor: str
    waiting: int
    leased: int
    oldest_accepted_at: float | None
    unapplied: int
    dead: int


@dataclass(frozen=True, kw_only=True)
class Worker:
    """The sign of life of one process; its pace is that of the last minute."""

    name: str
    role: Literal["trainer", "aggregator"]
    device: str
    host: str
    pid: int
    metrics_port: int
    started_at: float
    seen_at: float
    chunks: int = 0
    chunks_per_second: float | None = None
    monitor_count: int = 0


@dataclass(frozen=True, kw_only=True)
class CalibrationSummary:
    """A calibration by toys in short."""

    state: Literal["running", "complete", "failed", "cancelled", "void"]
    reason: str
    source: Literal["disjoint", "fixed-reference"]
    toys: int
    toys_done: int
    toys_needed: int
    asked_at: float
    ended_at: float | None
    disagreement: str
    note: str


@dataclass(frozen=True, kw_only=True)
class MonitorResources:
    """What a monitor draws on; None where there is none, or nothing yet."""

    monitor: str
    reference: str
    reference_events: int | None
    effective_events: float | None
    exposure_ratio: float | None
    exposure_budget: float | None
    pool_events: int
    pool_left: int | None
    calibration: CalibrationSummary | None


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A chunk that was given up, and why."""

    monitor: str
    receipt: Receipt
    reason: Literal["crash", "exception"]
    deliveries: int
    error: str
    died_at: float


@dataclass(frozen=True, kw_only=True)
class System:
    """How the service itself is; `version` is that of nplmon."""

    now: float
    version: str
    store: StoreState
    queues: tuple[Queue, ...]
    workers: tuple[Worker, ...]
    monitors: tuple[MonitorResources, ...]
    dead: tuple[DeadLetter, ...]


def system() -> Call[System]:
    """Look at the store, the queues, the workers, what references and pools have left, and the dead letters."""
    return Call("GET", "/v1/system", lambda answer: decode(System, answer.json()))
