"""A calibration by toys whose toys are drawn instead of run."""

from __future__ import annotations

import msgspec
import numpy as np

from nplmon.broker import Broker
from nplmon.broker.toy_messages import CalibrationOrder, CalibrationPlan, ToyCalibration
from nplmon.nplm.toy_plan import Trajectories
from nplmon.toys import core_plan

PLAN = CalibrationPlan(source="disjoint", toys=400, chunks=5, events=80.0, pool_events=600)
ORDER = CalibrationOrder(
    monitor="m",
    monitor_epoch=1,
    key="k1",
    reference_hash="ab12",
    mode="shape",
    plan=PLAN,
    run_length=20.0,
    warning_run_length=5.0,
    asked_at=1.0,
)


def a_calibration(**changes: object) -> ToyCalibration:
    """Give a calibration that has just begun."""
    plain = ToyCalibration(
        monitor="m",
        state="running",
        monitor_epoch=1,
        key="k1",
        reference_hash="ab12",
        mode="shape",
        plan=PLAN,
        toys_needed=200,
        toys_done=0,
        run_length=20.0,
        warning_run_length=5.0,
        batches=0,
        batches_done=0,
        generation=1,
        asked_at=1.0,
    )
    return msgspec.structs.replace(plain, **changes)


def trajectories(first: int, count: int, power: float = 1.0) -> Trajectories:
    """Draw toys whose p is uniform, or of another power of a uniform number."""
    log_p = np.stack(
        [
            np.log(np.random.default_rng([3, i]).uniform(size=(PLAN.chunks, 1)))
            for i in range(first, first + count)
        ]
    )
    plan = core_plan(PLAN, "shape").digest
    return Trajectories(
        plan=plan,
        numbers=np.arange(first, first + count),
        values={"t_score": -2 * log_p},
        log_p={"t_score": power * log_p},
    )


async def run_toys(broker: Broker, power: float = 1.0, *, damaged: bool = False) -> int:
    """Do all batches that wait, as trainers would; give how many."""
    done = 0
    while batch := await broker.toys.take("t", ["m"], idle_seconds=60, deliveries_limit=3, in_flight=set()):
        body = trajectories(batch.first, batch.count, power).to_bytes()
        if damaged:
            body = body[:-1]
        assert await broker.toys.finish("t", batch, body, seconds=0.1, size=100) == "finished"
        done += 1
    return done
