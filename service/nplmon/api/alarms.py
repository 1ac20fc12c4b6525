"""Alarms as people handle them: acknowledge, fire a test, read the journal."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from nplmon.api.alarm_request import AcknowledgeRequest, TestRequest, read_alarm_request, signed
from nplmon.api.answers import Answer, JournalPage, TestState, described
from nplmon.api.bodies import JSON, content_type, read_body
from nplmon.api.context import InContext
from nplmon.api.entry import InIdentity
from nplmon.api.monitor_settings import SETTINGS_LIMIT
from nplmon.api.names import ENTRY_PATTERN, MonitorPath, RunPath
from nplmon.api.openapi import model_body
from nplmon.broker.alarm_messages import TestAlarm
from nplmon.broker.messages import Run

router = APIRouter(tags=["alarms"])
log = structlog.get_logger()


@router.post(
    "/v1/monitors/{monitor}/runs/{run}/acknowledge",
    responses=described("The run, its alarm acknowledged", Run),
    openapi_extra=model_body(AcknowledgeRequest),
)
async def acknowledge_alarm(
    request: Request, context: InContext, identity: InIdentity, monitor: MonitorPath, run: RunPath
) -> Answer:
    """Take note of the alarm of a run; it stays raised, and everyone sees who knows about it."""
    content_type(request, (JSON,))
    asked = read_alarm_request(await read_body(request, SETTINGS_LIMIT), AcknowledgeRequest)
    who = signed(identity, asked.who)
    broker = context.broker
    await broker.monitors.get(monitor)
    await broker.runs.get(monitor, run)
    await broker.alarms.acknowledge(
        monitor, run, level=asked.level, sequence=asked.sequence, who=who, comment=asked.comment
    )
    log.info("alarm acknowledged", monitor=monitor, run=run, level=asked.level, who=who)
    return Answer(await broker.runs.get(monitor, run))


@router.get("/v1/monitors/{monitor}/test-alarm", responses=described("The test alarm", TestState))
async def show_test(context: InContext, monitor: MonitorPath) -> Answer:
    """Show the test alarm; null where there is none."""
    await context.broker.monitors.get(monitor)
    return Answer(TestState(await context.broker.alarms.test(monitor)))


@router.post(
    "/v1/monitors/{monitor}/test-alarm",
    status_code=201,
    responses=described("The test alarm", TestAlarm, 201),
    openapi_extra=model_body(TestRequest),
)
async def begin_test(
    request: Request, context: InContext, identity: InIdentity, monitor: MonitorPath
) -> Answer:
    """Fire a test alarm; it is marked as one everywhere, ends by itself, and touches no statistic."""
    content_type(request, (JSON,))
    asked = read_alarm_request(await read_body(request, SETTINGS_LIMIT), TestRequest)
    who = signed(identity, asked.who)
    await context.broker.monitors.get(monitor)
    fired = await context.broker.alarms.begin_test(
        monitor, seconds=asked.seconds, who=who, comment=asked.comment
    )
    log.info("test alarm", monitor=monitor, who=who, seconds=asked.seconds)
    return Answer(fired, 201)


@router.delete("/v1/monitors/{monitor}/test-alarm", status_code=204)
async def end_test(
    context: InContext,
    identity: InIdentity,
    monitor: MonitorPath,
    who: Annotated[str, Query(max_length=100, description="Who ends it.")] = "",
) -> Response:
    """End the test alarm before its time; without one nothing happens."""
    await context.broker.monitors.get(monitor)
    await context.broker.alarms.end_test(monitor, who=identity.signs(who))
    return Response(status_code=204)


@router.get("/v1/monitors/{monitor}/journal", responses=described("The journal, newest first", JournalPage))
async def show_journal(
    context: InContext,
    monitor: MonitorPath,
    limit: Annotated[int, Query(ge=1, le=10_000, description="At most so many entries.")] = 200,
    since: Annotated[
        str | None,
        Query(pattern=ENTRY_PATTERN, description="Entries after the one of this id."),
    ] = None,
) -> Answer:
    """Show what happened to a monitor and what was done, the newest first; with `since` the oldest after it."""
    await context.broker.monitors.get(monitor)
    journal = context.broker.journal
    if since is None:
        return Answer(JournalPage(await journal.latest(monitor, limit)))
    return Answer(JournalPage((await journal.entries(monitor, since, limit))[::-1]))
