"""Runs: list, show, close, reset."""

from __future__ import annotations

import structlog
from fastapi import APIRouter

from nplmon.api.answers import Answer, RunList, described
from nplmon.api.context import Context, InContext
from nplmon.api.entry import InIdentity
from nplmon.api.names import MonitorPath, RunPath
from nplmon.api.problems import Problem
from nplmon.broker.messages import Run

router = APIRouter(tags=["runs"])
log = structlog.get_logger()


@router.get("/v1/monitors/{monitor}/runs", responses=described("The runs, newest first", RunList))
async def list_runs(context: InContext, monitor: MonitorPath) -> Answer:
    """List a monitor's runs, newest first."""
    await context.broker.monitors.get(monitor)
    return Answer(RunList(await context.broker.runs.all(monitor)))


@router.get("/v1/monitors/{monitor}/runs/{run}", responses=described("The run", Run))
async def show_run(context: InContext, monitor: MonitorPath, run: RunPath) -> Answer:
    """Show one run."""
    return Answer(await chosen_run(context, monitor, run))


@router.post("/v1/monitors/{monitor}/runs/{run}/close", responses=described("The run, closed", Run))
async def close_run(context: InContext, identity: InIdentity, monitor: MonitorPath, run: RunPath) -> Answer:
    """Close a run: no more chunks; those accepted are still applied."""
    await context.broker.monitors.get(monitor)
    closed = await context.broker.runs.close(monitor, run, who=identity.name)
    log.info("run closed", monitor=monitor, run=run, accepted=closed.accepted)
    return Answer(closed)


@router.post("/v1/monitors/{monitor}/runs/{run}/reset", responses=described("The run, reset", Run))
async def reset_run(context: InContext, identity: InIdentity, monitor: MonitorPath, run: RunPath) -> Answer:
    """Begin a new epoch of a run: all counts and statistics from zero, state open."""
    await context.broker.monitors.get(monitor)
    reset = await context.broker.runs.reset(monitor, run, who=identity.name)
    log.info("run reset", monitor=monitor, run=run, epoch=reset.epoch)
    return Answer(reset)


async def chosen_run(context: Context, monitor: str, run: str | None) -> Run:
    """Give the run that a request names, or the one opened last.

    Raises
    ------
    Problem
        `unknown-run`, if none is named and none exists.
    UnknownMonitor, UnknownRun
        From the broker.
    """
    await context.broker.monitors.get(monitor)
    if run is not None:
        return await context.broker.runs.get(monitor, run)
    latest = await context.broker.runs.latest(monitor)
    if latest is None:
        raise Problem(
            "unknown-run",
            f"The monitor {monitor!r} has no run yet.",
            field="run",
            value=None,
            remedy="Send a chunk; the first one opens a run.",
        )
    return latest
