"""Calibrations by toys: ask for one, follow it, cancel it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog
from fastapi import APIRouter, Request

from nplmon.api.answers import Answer, CalibrationStatus, described
from nplmon.api.bodies import JSON, content_type, read_body
from nplmon.api.calibration_request import CalibrationRequest, plan_of, read_request
from nplmon.api.context import Context, InContext
from nplmon.api.monitor_settings import SETTINGS_LIMIT
from nplmon.api.names import MonitorPath
from nplmon.api.openapi import model_body
from nplmon.broker import NoCalibration
from nplmon.broker.messages import run_lengths as alarm_run_lengths
from nplmon.broker.toy_messages import CalibrationOrder, calibration_key

if TYPE_CHECKING:
    from nplmon.broker.messages import Monitor, Snapshot
    from nplmon.broker.toy_messages import ToyCalibration

router = APIRouter(tags=["calibration"])
PROFILED = "with templates t_profiled decides on the alarm, which toys do not calibrate"
log = structlog.get_logger()


@router.post(
    "/v1/monitors/{monitor}/calibration",
    status_code=202,
    responses={
        **described("The calibration, begun or gone on with", CalibrationStatus, 202),
        **described("The calibration, running or complete before", CalibrationStatus),
    },
    openapi_extra=model_body(CalibrationRequest, required=False),
)
async def calibrate(request: Request, context: InContext, monitor: MonitorPath) -> Answer:
    """Calibrate a monitor by toys, or go on with a calibration that failed."""
    if request.headers.get("content-type"):
        content_type(request, (JSON,))
    asked = read_request(await read_body(request, SETTINGS_LIMIT))
    settings = await context.broker.monitors.get(monitor)
    order = await _order(context, settings, asked)
    status, calibration = await context.broker.calibrations.begin(order)
    if status in {"begun", "resumed"}:
        log.info("calibration asked for", monitor=monitor, status=status, toys=order.plan.toys, key=order.key)
    return await _answer(context, calibration, 202 if status in {"begun", "resumed"} else 200)


@router.get("/v1/monitors/{monitor}/calibration", responses=described("The calibration", CalibrationStatus))
async def show_calibration(context: InContext, monitor: MonitorPath) -> Answer:
    """Show how far a monitor's calibration by toys is."""
    return await _answer(context, await context.broker.calibrations.get(monitor))


@router.delete(
    "/v1/monitors/{monitor}/calibration",
    responses=described("The calibration, cancelled", CalibrationStatus),
)
async def cancel_calibration(context: InContext, monitor: MonitorPath) -> Answer:
    """Cancel a calibration by toys, or drop a complete one: the statistics use the closed form."""
    calibration = await context.broker.calibrations.cancel(monitor)
    log.info("calibration cancelled", monitor=monitor, key=calibration.key)
    return await _answer(context, calibration)


async def _order(context: Context, monitor: Monitor, asked: CalibrationRequest) -> CalibrationOrder:
    broker = context.broker
    run_lengths = alarm_run_lengths(monitor)
    plan, note = plan_of(
        asked,
        await broker.references.by_hash(monitor.reference_hash),
        await broker.pools.get(monitor.reference_hash),
        present=await _present(context, monitor),
        snapshot=await _snapshot(context, monitor),
        widths=len(monitor.kernel.sigmas or monitor.kernel.sigma_quantiles),
        run_length=max(run_lengths),
    )
    return CalibrationOrder(
        monitor=monitor.name,
        monitor_epoch=monitor.epoch,
        key=calibration_key(monitor, plan, run_lengths),
        reference_hash=monitor.reference_hash,
        mode=monitor.mode,
        plan=plan,
        run_length=run_lengths[0],
        warning_run_length=run_lengths[1],
        asked_at=time.time(),
        note="; ".join(filter(None, (note, PROFILED if monitor.tolerance.templates else ""))),
    )


async def _present(context: Context, monitor: Monitor) -> ToyCalibration | None:
    """Give the calibration that a request may go on with."""
    try:
        found = await context.broker.calibrations.get(monitor.name)
    except NoCalibration:
        return None
    going = found.state in {"running", "failed", "complete"}
    return found if going and found.monitor_epoch == monitor.epoch else None


async def _snapshot(context: Context, monitor: Monitor) -> Snapshot | None:
    run = await context.broker.runs.latest(monitor.name)
    return None if run is None else await context.broker.statistics.snapshot(monitor.name, run.name)


async def _answer(context: Context, calibration: ToyCalibration, status: int = 200) -> Answer:
    trainers = sum(worker.role == "trainer" for worker in await context.broker.workers.all())
    return Answer(CalibrationStatus(calibration, trainers), status)
