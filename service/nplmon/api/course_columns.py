"""The course of a statistic in columns, as JSON or as a table."""

from __future__ import annotations

import csv
import io
from typing import Literal

import msgspec

from nplmon.broker.judgement import NULL_LEVELS
from nplmon.broker.lines import Line, LineStatistic, read_line
from nplmon.broker.message import AlarmLevel
from nplmon.broker.messages import StatisticKind, StatisticState


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """The course of one statistic over the chunks of a run; all columns have the same length."""

    monitor: str
    run: str
    run_epoch: int
    kind: StatisticKind
    deciding: StatisticKind | None
    """The statistic that decides on the alarm; None before the first chunk."""
    total: int
    """Chunks in the run's history."""
    last: int
    """The last sequence number looked at: the next question's `since`."""
    downsampled: bool
    sequence: tuple[int, ...]
    chunk: tuple[str, ...]
    state: tuple[Literal["applied", "dead"], ...]
    applied_at: tuple[float, ...]
    accepted_at: tuple[float, ...]
    events: tuple[int, ...]
    exposure: tuple[float | None, ...]
    value: tuple[float | None, ...]
    statistic_state: tuple[StatisticState | None, ...]
    p: tuple[float | None, ...]
    z: tuple[float | None, ...]
    threshold: tuple[float | None, ...]
    warning: tuple[float | None, ...]
    """The threshold of warnings."""
    p_threshold: tuple[float | None, ...]
    """The p at which an alarm is due."""
    null_mean: tuple[float | None, ...]
    null_deviation: tuple[float | None, ...]
    quantile_levels: tuple[float, ...] = NULL_LEVELS
    quantiles: tuple[tuple[float, ...] | None, ...]
    """Of the null at these levels, P(T <= q); None where there is no null."""
    width: tuple[float | None, ...]
    """Kernel width of the value."""
    t_chunk: tuple[float | None, ...]
    t_chunk_p: tuple[float | None, ...]
    t_chunk_z: tuple[float | None, ...]
    t_chunk_null_mean: tuple[float | None, ...]
    t_chunk_null_deviation: tuple[float | None, ...]
    fit_seconds: tuple[float | None, ...]
    trainer: tuple[str | None, ...]
    alarm: tuple[AlarmLevel, ...]


COLUMNS = tuple(
    name
    for name in Course.__struct_fields__[Course.__struct_fields__.index("sequence") :]
    if name != "quantile_levels"
)


def course_of(
    stored: list[bytes],
    *,
    monitor: str,
    run: str,
    run_epoch: int,
    kind: StatisticKind,
    deciding: StatisticKind | None,
    total: int,
    last: int,
    downsampled: bool,
) -> Course:
    """Put lines of a history, as they are stored, into columns."""
    rows = [_row(read_line(body, kind)) for body in stored]
    columns = zip(*rows, strict=True) if rows else ((),) * len(COLUMNS)
    return Course(
        monitor=monitor,
        run=run,
        run_epoch=run_epoch,
        kind=kind,
        deciding=deciding,
        total=total,
        last=last,
        downsampled=downsampled,
        **dict(zip(COLUMNS, columns, strict=True)),
    )


def table_of(course: Course) -> str:
    """Write a course as CSV with a header; the quantiles as one column each, what is not there empty."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    place = COLUMNS.index("quantiles")
    before, after = COLUMNS[:place], COLUMNS[place + 1 :]
    table.writerow([*before, *(f"quantile_{level:g}" for level in NULL_LEVELS), *after])
    nothing = (None,) * len(NULL_LEVELS)
    for *head, quantiles, tail in zip(
        *(getattr(course, name) for name in before),
        course.quantiles,
        zip(*(getattr(course, name) for name in after), strict=True),
        strict=True,
    ):
        table.writerow([*head, *(quantiles or nothing), *tail])
    return text.getvalue()


def _row(line: Line) -> tuple[object, ...]:
    """Give one line in the order of `COLUMNS`."""
    wanted, own = line.wanted, line.t_chunk
    return (
        line.sequence,
        line.chunk,
        line.state,
        line.applied_at,
        line.accepted_at,
        line.events,
        line.exposure,
        wanted.value,
        wanted.state,
        wanted.p,
        wanted.z,
        wanted.threshold,
        wanted.warning_threshold,
        wanted.p_threshold,
        wanted.null_mean,
        wanted.null_deviation,
        _quantiles(wanted),
        wanted.width,
        own.value,
        own.p,
        own.z,
        own.null_mean,
        own.null_deviation,
        line.fit_seconds,
        line.trainer,
        line.alarm,
    )


def _quantiles(statistic: LineStatistic) -> tuple[float, ...] | None:
    return statistic.null_quantiles or None
