"""Monitors: make, list, show, change, delete."""

from __future__ import annotations

import time

import msgspec
import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from nplmon.api.answers import Answer, MonitorList, described
from nplmon.api.bodies import JSON, content_type, read_body
from nplmon.api.context import Context, InContext
from nplmon.api.entry import InIdentity
from nplmon.api.monitor_settings import (
    SETTINGS_LIMIT,
    MonitorChange,
    MonitorRequest,
    monitor_of,
    read_settings,
)
from nplmon.api.names import MonitorPath
from nplmon.api.openapi import model_body
from nplmon.broker import EpochMoved
from nplmon.broker.messages import Monitor, Reference

router = APIRouter(tags=["monitors"])
log = structlog.get_logger()

ATTEMPTS = 3


@router.post(
    "/v1/monitors",
    status_code=201,
    responses=described("The monitor", Monitor, 201),
    openapi_extra=model_body(MonitorRequest),
)
async def create_monitor(request: Request, context: InContext) -> Answer:
    """Make a monitor of a reference's newest version."""
    content_type(request, (JSON,))
    asked = read_settings(await read_body(request, SETTINGS_LIMIT), MonitorRequest)
    reference = await context.broker.references.get(asked.reference)
    templates = await _templates(context, asked, None)
    monitor = monitor_of(asked, reference, None, templates=templates, name=asked.name, now=time.time())
    await context.broker.monitors.create(monitor)
    log.info("monitor created", monitor=monitor.name, reference=reference.hash, mode=monitor.mode)
    return Answer(monitor, 201, headers={"Location": f"/v1/monitors/{monitor.name}"})


@router.get("/v1/monitors", responses=described("All monitors", MonitorList))
async def list_monitors(context: InContext) -> Answer:
    """List all monitors."""
    return Answer(MonitorList(await context.broker.monitors.all()))


@router.get("/v1/monitors/{monitor}", responses=described("The monitor", Monitor))
async def show_monitor(context: InContext, monitor: MonitorPath) -> Answer:
    """Show one monitor."""
    return Answer(await context.broker.monitors.get(monitor))


@router.patch(
    "/v1/monitors/{monitor}",
    responses=described("The monitor as it is now", Monitor),
    openapi_extra=model_body(MonitorChange),
)
async def change_monitor(
    request: Request, context: InContext, identity: InIdentity, monitor: MonitorPath
) -> Answer:
    """Change a monitor; anything but the description and the handling of alarms begins a new epoch."""
    content_type(request, (JSON,))
    asked = read_settings(await read_body(request, SETTINGS_LIMIT), MonitorChange)
    for _ in range(ATTEMPTS - 1):
        try:
            return Answer(await _change(context, monitor, asked, identity.name))
        except EpochMoved:
            # Somebody else changed it in between: merge into what it is now.
            continue
    return Answer(await _change(context, monitor, asked, identity.name))


@router.delete("/v1/monitors/{monitor}", status_code=204)
async def delete_monitor(context: InContext, monitor: MonitorPath) -> Response:
    """Delete a monitor with its runs."""
    await context.broker.monitors.delete(monitor)
    context.metrics.forget(monitor)
    log.info("monitor deleted", monitor=monitor)
    return Response(status_code=204)


async def _change(context: Context, name: str, asked: MonitorChange, who: str) -> Monitor:
    broker = context.broker
    present = await broker.monitors.get(name)
    if "reference" in asked.model_fields_set:
        reference = await broker.references.get(asked.reference)
    else:
        reference = await broker.references.by_hash(present.reference_hash)
    templates = await _templates(context, asked, present)
    monitor = monitor_of(asked, reference, present, templates=templates, name=name, now=time.time())
    as_before = msgspec.structs.replace(monitor, changed_at=present.changed_at)
    if as_before == present:
        return present
    statistical = (
        msgspec.structs.replace(as_before, description=present.description, handling=present.handling)
        != present
    )
    if statistical:
        monitor = msgspec.structs.replace(monitor, epoch=present.epoch + 1)
    await broker.monitors.change(monitor, statistical=statistical, who=who)
    log.info("monitor changed", monitor=name, epoch=monitor.epoch, new_epoch=statistical)
    return monitor


async def _templates(context: Context, asked: MonitorChange, present: Monitor | None) -> list[Reference]:
    """Give the templates: the newest versions of the names that were sent, else the present ones as they are."""
    references = context.broker.references
    if present is None or "templates" in asked.tolerance.model_fields_set:
        return [await references.get(name) for name in asked.tolerance.templates]
    return [
        msgspec.structs.replace(await references.by_hash(one.hash), name=one.name)
        for one in present.tolerance.templates
    ]
