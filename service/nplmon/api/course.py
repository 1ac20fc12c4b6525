"""Course: one statistic over the chunks of a run, thinned, to be plotted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import anyio.to_thread
import msgspec
from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from nplmon.api.answers import described
from nplmon.api.context import Context, InContext
from nplmon.api.course_columns import Course, course_of, table_of
from nplmon.api.names import MonitorPath, RunQuery
from nplmon.api.runs import chosen_run
from nplmon.api.thinning import FEWEST, Thinning
from nplmon.api.where import CSV
from nplmon.broker.lines import marks
from nplmon.broker.messages import StatisticKind

if TYPE_CHECKING:
    from nplmon.broker.messages import Run

READ_AT_ONCE = 500
"""Lines read before others get their turn: a few milliseconds."""
READINGS = 3

KindQuery = Annotated[StatisticKind, Query(description="The statistic.")]
SinceQuery = Annotated[int, Query(ge=0, lt=2**53, description="Chunks after this sequence number.")]
PointsQuery = Annotated[int, Query(ge=FEWEST, le=10_000, description="At most so many chunks.")]

router = APIRouter(tags=["statistics"])


async def asked_course(
    context: InContext,
    monitor: MonitorPath,
    run: RunQuery = None,
    kind: KindQuery = "t_score",
    since: SinceQuery = 0,
    points: PointsQuery = 1000,
) -> Course:
    """Give the course that a request asks for."""
    found = await chosen_run(context, monitor, run)
    for _ in range(READINGS):
        course = await _read(context, found, kind, since, points)
        after = await context.broker.runs.get(monitor, found.name)
        if after.epoch == found.epoch:
            break
        # The run was reset meanwhile: what was read may be of both epochs.
        found = after
    return course


AskedCourse = Annotated[Course, Depends(asked_course)]


@router.get("/v1/monitors/{monitor}/course", responses=described("The course in columns", Course))
async def show_course(course: AskedCourse) -> Response:
    """Show the course of one statistic with its null and its thresholds; a long one is thinned, its extremes kept."""
    body = await anyio.to_thread.run_sync(msgspec.json.encode, course)
    return Response(body, media_type="application/json")


@router.get("/v1/monitors/{monitor}/course.csv", responses={200: {"content": {CSV: {}}}})
async def show_course_table(course: AskedCourse) -> Response:
    """Give the course of one statistic as a table."""
    return Response(await anyio.to_thread.run_sync(table_of, course), media_type=CSV)


async def _read(context: Context, run: Run, kind: StatisticKind, since: int, points: int) -> Course:
    statistics = context.broker.statistics
    snapshot = await statistics.snapshot(run.monitor, run.name)
    total = await statistics.history_length(run.monitor, run.name)
    count = max(0, total - since)
    thinning = Thinning[bytes](count, points, run.dead)
    last = since
    while last < total:
        lines = await statistics.history_lines(run.monitor, run.name, last, min(READ_AT_ONCE, total - last))
        if not lines:
            break
        for mark, line in zip(marks(lines, kind), lines, strict=True):
            thinning.offer(mark, line)
        last += len(lines)
    kept = thinning.kept()

    def columns() -> Course:
        return course_of(
            kept,
            monitor=run.monitor,
            run=run.name,
            run_epoch=run.epoch,
            kind=kind,
            deciding=None if snapshot is None else snapshot.deciding,
            total=total,
            last=last,
            downsampled=count > points,
        )

    return await anyio.to_thread.run_sync(columns)
