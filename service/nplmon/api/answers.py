"""Answers: what the interface says beyond the stored messages, and how answers are encoded."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from starlette.responses import Response

from nplmon.api.course_columns import Course
from nplmon.api.system_messages import System
from nplmon.api.tiles import Tile
from nplmon.broker.access_messages import AuditEntry, Scope
from nplmon.broker.alarm_messages import JournalEntry, TestAlarm
from nplmon.broker.findings import AnomalousEvent, FeatureRatio, PairMap
from nplmon.broker.messages import (
    ChunkState,
    Death,
    HistoryEntry,
    Monitor,
    Receipt,
    Reference,
    Run,
    Snapshot,
)
from nplmon.broker.pool_messages import PoolSegment
from nplmon.broker.toy_messages import ToyCalibration


class ReferenceList(msgspec.Struct, frozen=True):
    """The newest version of every reference."""

    references: list[Reference]


class PoolLevel(msgspec.Struct, frozen=True, kw_only=True):
    """The pool of a reference version, and what is left of it."""

    reference: str
    reference_hash: str
    hash: str
    """Over the segments; "" where there is none."""
    events: int
    segments: tuple[PoolSegment, ...]
    left: dict[str, int]
    """By monitor: events that it has not used yet."""


class PoolAdded(msgspec.Struct, frozen=True, kw_only=True):
    """What an upload did to a pool."""

    added: int
    """Events added; 0 where the same upload was there."""
    pool: PoolLevel


class MonitorList(msgspec.Struct, frozen=True):
    """All monitors."""

    monitors: list[Monitor]


class RunList(msgspec.Struct, frozen=True):
    """The runs of a monitor, newest first."""

    runs: list[Run]


class TestState(msgspec.Struct, frozen=True):
    """The test alarm of a monitor, if there is one now."""

    __test__ = False
    test: TestAlarm | None


class JournalPage(msgspec.Struct, frozen=True):
    """Entries of a monitor's journal, the newest first."""

    entries: list[JournalEntry]


class ChunkPlace(msgspec.Struct, frozen=True):
    """Where a chunk is."""

    chunk: str
    run: str
    state: ChunkState
    receipt: Receipt
    entry: HistoryEntry | None


class DeadList(msgspec.Struct, frozen=True):
    """The chunks given up."""

    dead: list[Death]


class RunStatistic(msgspec.Struct, frozen=True):
    """A run's statistic now."""

    run: Run
    snapshot: Snapshot | None
    pending: int
    """Chunks accepted and not yet applied."""
    trainers: int
    """Trainers that are alive."""


class CalibrationStatus(msgspec.Struct, frozen=True):
    """A calibration by toys as it is now."""

    calibration: ToyCalibration
    trainers: int
    """Trainers that are alive."""


class History(msgspec.Struct, frozen=True):
    """A stretch of a run's history."""

    entries: list[HistoryEntry]
    next: int
    """The last sequence number looked at: the next question's `since`."""
    total: int
    downsampled: bool


class Overview(msgspec.Struct, frozen=True):
    """All monitors at a glance."""

    now: float
    """Unix seconds."""
    version: str
    """Of nplmon."""
    tiles: list[Tile]
    """The most urgent first."""


class Runbook(msgspec.Struct, frozen=True):
    """What to do about the alarms of a monitor."""

    markdown: str
    """As it was written; empty where nobody wrote one."""
    html: str
    """The same, safe in a page: no markup of its own, links to http, https, mailto or here."""
    contact: str
    """Whom to call."""


class DensityRatio(msgspec.Struct, frozen=True):
    """Data, reference and averaged ratio, feature by feature."""

    monitor: str
    run: str
    sequence: int
    form: Literal["mixture", "projection"]
    width: float | None
    """Sigma of the kernel width whose ratio it is: the winning one."""
    features: tuple[FeatureRatio, ...]


class Where(msgspec.Struct, frozen=True):
    """Where the data differ."""

    monitor: str
    run: str
    sequence: int
    features: tuple[str, ...]
    """In the monitor's order, which is that of the events' values."""
    ranked: tuple[str, ...]
    """The one that differs most first."""
    anomalous: tuple[AnomalousEvent, ...]
    pair: PairMap | None
    """None for a single feature."""


class RatioValues(msgspec.Struct, frozen=True):
    """The averaged ratio at the points asked for, in their order."""

    monitor: str
    run: str
    sequence: int
    form: Literal["mixture", "projection"]
    width: float | None
    """Sigma of the kernel width whose ratio it is: the winning one."""
    log_ratio: list[float]
    ratio: list[float]


class TokenInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a token."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    monitor: str | None
    created_at: float
    created_by: str
    """Empty where it was made at the store."""
    expires_at: float | None
    used_at: float | None
    """To about a minute; null where it was never used."""


class TokenList(msgspec.Struct, frozen=True):
    """All tokens."""

    tokens: list[TokenInfo]


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was just made."""

    token: str
    """What its holder sends; it is shown this once."""
    info: TokenInfo


class AuditPage(msgspec.Struct, frozen=True):
    """Who changed what, the newest first."""

    entries: list[AuditEntry]


class SessionState(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and what that one may do."""

    access: Literal["open", "tokens"]
    name: str
    """Empty where nobody is asked who he is."""
    scopes: tuple[Scope, ...]
    monitor: str | None
    expires_at: float | None


class Health(msgspec.Struct, frozen=True):
    """The process lives."""

    status: Literal["ok"] = "ok"


class Readiness(msgspec.Struct, frozen=True):
    """Whether the service can take chunks, and who is there to work on them."""

    ready: bool
    store: Literal["ok", "unreachable"]
    trainers: int
    aggregators: int


ANSWERS: tuple[type[msgspec.Struct], ...] = (
    Reference,
    ReferenceList,
    PoolLevel,
    PoolAdded,
    Monitor,
    MonitorList,
    Run,
    RunList,
    Receipt,
    TestAlarm,
    TestState,
    JournalPage,
    ChunkPlace,
    DeadList,
    RunStatistic,
    ToyCalibration,
    CalibrationStatus,
    Snapshot,
    History,
    Course,
    Tile,
    Overview,
    DensityRatio,
    Where,
    RatioValues,
    System,
    Runbook,
    TokenInfo,
    TokenList,
    NewToken,
    SessionState,
    AuditPage,
    Health,
    Readiness,
)


class Answer(Response):
    """A message as JSON."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Encode a message; numbers that are not finite become null."""
        return msgspec.json.encode(content)


def described(
    description: str, form: type[msgspec.Struct], *statuses: int
) -> dict[int | str, dict[str, Any]]:
    """Describe a route's answers for /openapi.json."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{form.__name__}"}}}
    return {status: {"description": description, "content": content} for status in statuses or (200,)}
