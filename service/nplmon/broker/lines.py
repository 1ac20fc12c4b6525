"""Lines of a history read as far as they are wanted: a long history has far more in it than a plot shows."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from nplmon.broker.message import AlarmLevel
from nplmon.broker.messages import StatisticState

if TYPE_CHECKING:
    from collections.abc import Sequence


class Mark(msgspec.Struct, frozen=True):
    """Of one statistic in one line what tells whether a plot must show it."""

    value: float | None = None
    threshold: float | None = None
    alarm: AlarmLevel = "ok"
    dead: bool = False


class LineStatistic(msgspec.Struct, frozen=True, kw_only=True):
    """One statistic of a line, see `Statistic`."""

    value: float | None = None
    state: StatisticState | None = None
    p: float | None = None
    z: float | None = None
    null_mean: float | None = None
    null_deviation: float | None = None
    null_quantiles: tuple[float, ...] = ()
    threshold: float | None = None
    warning_threshold: float | None = None
    p_threshold: float | None = None
    width: float | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One chunk of a history with one statistic of the run and that of the chunk, see `HistoryEntry`."""

    sequence: int
    chunk: str
    state: Literal["applied", "dead"]
    events: int
    exposure: float | None
    accepted_at: float
    applied_at: float
    fit_seconds: float | None
    trainer: str | None
    alarm: AlarmLevel
    wanted: LineStatistic
    t_chunk: LineStatistic


class _MarkStatistic(msgspec.Struct, frozen=True):
    value: float | None = None
    threshold: float | None = None


_NOTHING = _MarkStatistic()
_NO_STATISTIC = LineStatistic()


def marks(lines: Sequence[bytes], kind: str) -> list[Mark]:
    """Read one statistic out of lines of a history; without numbers where a line lacks it.

    Examples
    --------
    >>> marks([b'{"sequence": 1, "statistics": {"t_score": {"value": 2.5, "p": 0.1}}, "alarm": "ok"}'], "t_score")
    [Mark(value=2.5, threshold=None, alarm='ok', dead=False)]
    """
    decode = _marks_of(kind).decode
    found = []
    for body in lines:
        line = decode(body)
        one = line.statistics.wanted or _NOTHING
        found.append(Mark(one.value, one.threshold, line.alarm, line.state == "dead"))
    return found


def read_line(body: bytes, kind: str) -> Line:
    """Read one line with the statistic of this kind and that of the chunk."""
    line = _lines_of(kind).decode(body)
    statistics = line.statistics
    return Line(
        sequence=line.sequence,
        chunk=line.chunk,
        state=line.state,
        events=line.events,
        exposure=line.exposure,
        accepted_at=line.accepted_at,
        applied_at=line.applied_at,
        fit_seconds=line.fit_seconds,
        trainer=line.trainer,
        alarm=line.alarm,
        wanted=(statistics.t_chunk if kind == "t_chunk" else statistics.wanted) or _NO_STATISTIC,
        t_chunk=statistics.t_chunk or _NO_STATISTIC,
    )


# A decoder whose struct has the wanted kinds alone passes over all others without building them.


@lru_cache(maxsize=32)
def _marks_of(kind: str) -> msgspec.json.Decoder[Any]:
    statistics = msgspec.defstruct(
        "MarkStatistics", [("wanted", _MarkStatistic | None, None)], rename={"wanted": kind}, frozen=True
    )
    members: list[Any] = [
        ("statistics", statistics, statistics()),
        ("alarm", AlarmLevel, "ok"),
        ("state", Literal["applied", "dead"], "applied"),
    ]
    return msgspec.json.Decoder(msgspec.defstruct("MarkLine", members, frozen=True))


@lru_cache(maxsize=32)
def _lines_of(kind: str) -> msgspec.json.Decoder[Any]:
    kinds = [(name, LineStatistic | None, None) for name in ("wanted", "t_chunk")]
    rename = {"wanted": "" if kind == "t_chunk" else kind}
    statistics = msgspec.defstruct("LineStatistics", kinds, rename=rename, frozen=True)
    members: list[Any] = [
        ("sequence", int),
        ("chunk", str),
        ("state", Literal["applied", "dead"]),
        ("events", int),
        ("exposure", float | None),
        ("accepted_at", float),
        ("applied_at", float),
        ("fit_seconds", float | None, None),
        ("trainer", str | None, None),
        ("statistics", statistics, statistics()),
        ("alarm", AlarmLevel, "ok"),
    ]
    return msgspec.json.Decoder(msgspec.defstruct("StoredLine", members, frozen=True))
