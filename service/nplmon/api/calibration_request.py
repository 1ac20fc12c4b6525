"""What is asked of a calibration by toys: read strictly, filled up, and checked against the monitor and its pool."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError

from nplmon.api.monitor_settings import settings_problem
from nplmon.api.problems import Problem
from nplmon.api.strict import Strict
from nplmon.broker.toy_messages import CalibrationPlan, ToyKind, ToySource, toys_needed

if TYPE_CHECKING:
    from nplmon.broker.messages import Reference, Snapshot
    from nplmon.broker.pool_messages import Pool
    from nplmon.broker.toy_messages import ToyCalibration

CHUNKS = 50
"""Chunks of a toy, where the events allow for so many."""
FLUCTUATION = 6.0
"""Deviations of a Poisson count above its mean that a pool must be able to give."""
EXPOSURE = 0.1
"""Events of a toy / events of the pool up to which "fixed-reference" toys scatter around H0 and not around the pool."""
SPLIT = 1 / 3
"""Largest part of the reference that is split off where there is no pool."""
POOL_LIMIT = 2_000_000
"""Events of the pool that are used."""
TOYS_LIMIT = 200_000
"""An expected run length of 20,000 chunks."""
RESULT_LIMIT = 400_000_000
"""Bytes of all toys' results, which the store keeps until they are reduced."""

Statistics = Annotated[list[ToyKind], Field(min_length=1, max_length=5)]


class CalibrationRequest(Strict):
    """A calibration by toys; what is absent is as in the monitor's present calibration, or follows from its policy."""

    toys: Annotated[int, Field(ge=1)] | None = None
    chunks: Annotated[int, Field(ge=1, le=10_000)] | None = None
    events: Annotated[float, Field(ge=1, le=1e8, allow_inf_nan=False)] | None = None
    source: Literal["disjoint", "fixed-reference"] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    statistics: Statistics | None = None


def read_request(body: bytes | bytearray) -> CalibrationRequest:
    """Read and check a request; an empty body asks for the defaults.

    Raises
    ------
    Problem
        `body-unreadable`, `body-truncated`, `settings`.
    """
    try:
        return CalibrationRequest.model_validate_json(bytes(body) or b"{}")
    except ValidationError as error:
        raise settings_problem(error) from error


def plan_of(
    asked: CalibrationRequest,
    reference: Reference,
    pool: Pool,
    *,
    present: ToyCalibration | None,
    snapshot: Snapshot | None,
    widths: int,
    run_length: float,
) -> tuple[CalibrationPlan, str]:
    """Make the plan that a request asks for, and say what a reader of the calibration must know about it.

    Parameters
    ----------
    asked:
        The request.
    reference, pool:
        The events that there are.
    present:
        The monitor's calibration of this epoch: it stands for what is absent, so that the same command goes on with it.
    snapshot:
        Of the run opened last: its chunks' mean size stands for `events`.
    widths:
        The number of kernel widths.
    run_length:
        The longest expected run length of the alarm policy, in chunks.

    Raises
    ------
    Problem
        `calibration`, if it cannot be made.
    """
    if present is not None:
        asked = asked.model_copy(update=_of_present(asked, present.plan))
        # Also where the pool has grown meanwhile: that is no reason to begin anew.
        if all(value == getattr(asked, name) for name, value in _members(present.plan).items()):
            return present.plan, present.note
    toys = _toys(asked.toys, run_length)
    events = asked.events
    if events is None:
        if snapshot is None or not snapshot.chunks or not snapshot.expected:
            raise _refused(
                "The size of a chunk is not known: no chunk of this monitor is applied yet.",
                "events",
                None,
                'Give "events", the number expected in one chunk.',
            )
        events = snapshot.expected / snapshot.chunks
    source = asked.source or _source(reference, pool, asked.chunks or CHUNKS, events)
    available, where = _available(source, reference, pool)
    chunks = asked.chunks or min(CHUNKS, _longest(available, events))
    needed = _needed(chunks, events)
    if not chunks or needed > available:
        raise _refused(
            f"A toy of {max(chunks, 1)} chunks of {events:g} events needs {_needed(max(chunks, 1), events):,} events, "
            f"but {where}.",
            "chunks" if asked.chunks else "events",
            asked.chunks or events,
            "Add events with PUT /v1/references/{name}/pool, or ask for fewer chunks or fewer events.",
        )
    statistics = tuple(dict.fromkeys(asked.statistics or ("t_score",)))
    size = toys * chunks * widths * len(statistics) * 16
    if size > RESULT_LIMIT:
        raise _refused(
            f"{toys} toys of {chunks} chunks, {widths} widths and {len(statistics)} statistics are "
            f"{size / 1e6:.0f} MB of results; {RESULT_LIMIT / 1e6:.0f} are allowed.",
            "toys",
            toys,
            "Ask for fewer chunks, toys or statistics.",
        )
    note = ""
    if not pool.hash:
        note = (
            f"there is no pool: {needed:,} of the reference's {reference.events:,} events are split off for the toys' "
            f"data, and each toy has a reference of {reference.events - needed:,}"
        )
    elif source == "fixed-reference" and chunks * events > EXPOSURE * available:
        note = (
            f"a toy takes {chunks * events / available:.0%} of the pool: toys scatter around the pool as much as "
            "around H0; add events to it"
        )
    plan = CalibrationPlan(
        source=source,
        toys=toys,
        chunks=chunks,
        events=events,
        seed=asked.seed or 0,
        statistics=statistics,
        pool_hash=pool.hash,
        pool_first=pool.first,
        pool_events=available if pool.hash else needed,
    )
    return plan, note


def _toys(asked: int | None, run_length: float) -> int:
    needed = toys_needed(run_length)
    toys = needed if asked is None else asked
    if toys < needed:
        raise _refused(
            f"{toys} toys are too few for an expected run length of {run_length:g} chunks: thresholds need "
            f"{needed}.",
            "toys",
            toys,
            f"Ask for at least {needed}, or give the monitor a shorter run length.",
        )
    if toys > TOYS_LIMIT:
        raise _refused(
            f"{toys} toys are more than the {TOYS_LIMIT} that are allowed.",
            "toys",
            toys,
            "Ask for fewer, or give the monitor a shorter run length.",
        )
    return toys


def _members(plan: CalibrationPlan) -> dict[str, object]:
    """Give what can be asked for."""
    of_plan = {name: getattr(plan, name) for name in CalibrationRequest.model_fields}
    return of_plan | {"statistics": list(plan.statistics)}


def _of_present(asked: CalibrationRequest, plan: CalibrationPlan) -> dict[str, object]:
    return {name: value for name, value in _members(plan).items() if getattr(asked, name) is None}


def _source(reference: Reference, pool: Pool, chunks: int, events: float) -> ToySource:
    enough = chunks * events <= EXPOSURE * pool.events and _needed(chunks, events) <= pool.events
    return "fixed-reference" if enough or reference.weighted else "disjoint"


def _available(source: ToySource, reference: Reference, pool: Pool) -> tuple[int, str]:
    """Give the events of which a toy's data may be, and say where they are."""
    if source == "disjoint" and reference.weighted:
        raise _refused(
            f"The reference {reference.name!r} is weighted: its events and a pool's cannot change places.",
            "source",
            source,
            'Ask for "fixed-reference", with a pool of unweighted events.',
        )
    if pool.hash:
        count = min(pool.events, POOL_LIMIT)
        return count, f"the pool of reference {reference.name!r} has {count:,}"
    if source == "fixed-reference":
        raise _refused(
            f"The reference {reference.name!r} has no pool to draw the toys' data from.",
            "source",
            source,
            'Fill it with PUT /v1/references/{name}/pool, or ask for "disjoint", which splits the reference.',
        )
    count = int(SPLIT * reference.events)
    return count, (
        f"there is no pool, and {count:,} is a third of the reference {reference.name!r}, the most that is split off"
    )


def _needed(chunks: int, events: float) -> int:
    expected = chunks * events
    return math.ceil(expected + FLUCTUATION * math.sqrt(expected))


def _longest(available: int, events: float) -> int:
    """Give the number of chunks for which the events suffice."""
    root = max(0.0, math.sqrt(FLUCTUATION**2 + 4 * available) - FLUCTUATION) / 2
    chunks = int(root**2 / events)
    return chunks if _needed(chunks, events) <= available else chunks - 1


def _refused(detail: str, field: str, value: object, remedy: str) -> Problem:
    return Problem("calibration", detail, field=field, value=value, remedy=remedy)
