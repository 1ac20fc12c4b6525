"""Where the data differ: features in order, the most anomalous events, and a map of two features."""

from __future__ import annotations

import csv
import io
from typing import Annotated

from fastapi import APIRouter, Header, Response

from nplmon.api.answers import Answer, Where, described
from nplmon.api.context import Context, InContext
from nplmon.api.names import MonitorPath, RunQuery
from nplmon.api.ratios import no_statistic
from nplmon.api.runs import chosen_run

CSV = "text/csv"

router = APIRouter(tags=["statistics"])


@router.get(
    "/v1/monitors/{monitor}/where",
    responses={
        200: {
            **described("Features in order, the most anomalous events, and a map", Where)[200],
            "description": "As JSON; the events alone as CSV where it is asked for",
        }
    },
)
async def show_where(
    context: InContext,
    monitor: MonitorPath,
    run: RunQuery = None,
    accept: Annotated[str | None, Header()] = None,
) -> Response:
    """Show where the data differ; with `Accept: text/csv` the most anomalous events as a table."""
    found = await _where(context, monitor, run)
    # The first that is named, without weights: a browser asks for text/html, a program for one of ours.
    if accept is not None and accept.split(",")[0].split(";")[0].strip() == CSV:
        return _table(found)
    return Answer(found)


@router.get("/v1/monitors/{monitor}/where.csv", responses={200: {"content": {CSV: {}}}})
async def show_table(context: InContext, monitor: MonitorPath, run: RunQuery = None) -> Response:
    """Give the most anomalous events as a table."""
    return _table(await _where(context, monitor, run))


async def _where(context: Context, monitor: str, run: str | None) -> Where:
    found = await chosen_run(context, monitor, run)
    snapshot = await context.broker.statistics.snapshot(monitor, found.name)
    if snapshot is None or not snapshot.chunks:
        raise no_statistic(f"Nothing was applied yet in the run {found.name!r}.")
    return Where(
        monitor=monitor,
        run=found.name,
        sequence=snapshot.sequence,
        features=tuple(feature.name for feature in snapshot.features),
        ranked=tuple(feature.name for feature in sorted(snapshot.features, key=lambda one: one.rank)),
        anomalous=snapshot.anomalous,
        pair=snapshot.pair,
    )


def _table(found: Where) -> Response:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["chunk", "sequence", "row", "log_ratio", *found.features])
    for event in found.anomalous:
        table.writerow([event.chunk, event.sequence, event.row, event.log_ratio, *event.values])
    return Response(text.getvalue(), media_type=CSV)
