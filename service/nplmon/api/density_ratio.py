"""The density ratio: by feature as it is stored, or evaluated at points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import anyio.to_thread
import numpy as np
from fastapi import APIRouter, Query, Request

from nplmon.api.answers import Answer, DensityRatio, RatioValues, described
from nplmon.api.bodies import content_type, off_loop, read_body
from nplmon.api.context import InContext
from nplmon.api.events import read_events
from nplmon.api.json_events import PointsBody
from nplmon.api.names import MonitorPath, RunQuery, listed
from nplmon.api.openapi import event_body
from nplmon.api.ratios import no_statistic
from nplmon.api.runs import chosen_run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.broker.messages import Snapshot

router = APIRouter(tags=["statistics"])


@router.get(
    "/v1/monitors/{monitor}/density-ratio",
    responses=described("Data, reference and ratio by feature", DensityRatio),
)
async def show_density_ratio(context: InContext, monitor: MonitorPath, run: RunQuery = None) -> Answer:
    """Show data, reference and the averaged ratio of the winning kernel width along each feature."""
    found = await chosen_run(context, monitor, run)
    snapshot = await context.broker.statistics.snapshot(monitor, found.name)
    if snapshot is None:
        raise no_statistic(f"Nothing was applied yet in the run {found.name!r}.")
    return Answer(
        DensityRatio(
            monitor, found.name, snapshot.sequence, snapshot.ratio_form, _width(snapshot), snapshot.features
        )
    )


@router.post(
    "/v1/monitors/{monitor}/density-ratio",
    responses=described("The ratio at the points", RatioValues),
    openapi_extra=event_body(PointsBody),
)
async def evaluate_density_ratio(
    request: Request,
    context: InContext,
    monitor: MonitorPath,
    run: RunQuery = None,
    features: Annotated[str | None, Query(description="Names of the columns, comma separated.")] = None,
) -> Answer:
    """Evaluate the running averaged ratio of the winning kernel width at given points."""
    kind = content_type(request)
    found = await chosen_run(context, monitor, run)
    settings = await context.broker.monitors.at(monitor, found.monitor_epoch)
    body = await read_body(request, context.settings.body_limit_mb * 1_000_000)
    points, _ = await off_loop(
        len(body), read_events, kind, body, settings.features, listed(features), PointsBody
    )
    snapshot, ratio, basis = await context.ratios.ratio(settings, found.name)
    log_ratio = await context.ratios.evaluate(ratio, basis, points)
    return await anyio.to_thread.run_sync(_answer, monitor, found.name, snapshot, log_ratio)


def _answer(monitor: str, run: str, snapshot: Snapshot, log_ratio: NDArray[np.float64]) -> Answer:
    with np.errstate(over="ignore"):
        ratio = np.exp(log_ratio)
    return Answer(
        RatioValues(
            monitor,
            run,
            snapshot.sequence,
            snapshot.ratio_form,
            _width(snapshot),
            log_ratio.tolist(),
            ratio.tolist(),
        )
    )


def _width(snapshot: Snapshot) -> float | None:
    return snapshot.sigmas[snapshot.winner] if snapshot.sigmas else None
