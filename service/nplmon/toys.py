"""The core's plan of a calibration by toys, for those who run the toys and for those who reduce them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nplmon.nplm.toy_plan import ToyPlan

if TYPE_CHECKING:
    from nplmon.broker.messages import Mode
    from nplmon.broker.toy_messages import CalibrationPlan


def core_plan(plan: CalibrationPlan, mode: Mode) -> ToyPlan:
    """Give the core's plan of what was asked for.

    Examples
    --------
    >>> from nplmon.broker.toy_messages import CalibrationPlan
    >>> asked = CalibrationPlan(source="disjoint", toys=100, chunks=5, events=50.0, pool_events=500)
    >>> core_plan(asked, "shape").kinds
    ('t_score',)
    """
    return ToyPlan(
        mode=mode,
        source=plan.source,
        chunks=plan.chunks,
        events=plan.events,
        seed=plan.seed,
        kinds=plan.statistics,
    )
