"""A calibration by toys with the real roles: kills change nothing in it, and the next run is judged by it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.up.running import REAL, ROOT, Up, alive, wait_until

from nplmon.broker import Broker
from nplmon.broker.calibrations import StoredCalibration
from nplmon.client import Client, ToyCalibration
from nplmon.nplm.calibration import Calibration
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.reference import Reference
from nplmon.nplm.toys import replay
from nplmon.pool import pool_events
from nplmon.toys import core_plan

Start = Callable[..., Up]
RANDOM = np.random.default_rng(11)
REFERENCE = RANDOM.exponential(size=(5_000, 1)).astype(np.float32)
POOL = RANDOM.exponential(size=(20_000, 1)).astype(np.float32)
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NPLMON_THREADS": "1"}
PLAN: dict[str, Any] = {"toys": 500, "chunks": 10, "events": 100.0, "seed": 3, "source": "fixed-reference"}


def trainers(up: Up) -> list[int]:
    """Give the process ids of the trainers."""
    parent = up.process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    return [
        int(child)
        for child in children
        if "nplmon.trainer:serve" in Path(f"/proc/{child}/cmdline").read_text(encoding="utf-8")
    ]


def stored(up: Up) -> tuple[StoredCalibration | None, np.ndarray]:
    """Read what an aggregator would use, and the pool, which is in an order of its own."""

    async def read() -> tuple[StoredCalibration | None, np.ndarray]:
        broker = Broker.connect(up.addresses["store"])
        try:
            monitor = await broker.monitors.get("m")
            pool = await broker.pools.get(monitor.reference_hash)
            return await broker.calibrations.current(monitor), await pool_events(broker, monitor, pool)
        finally:
            await broker.close()

    return asyncio.run(read())


def serial(now: ToyCalibration, pool: np.ndarray) -> Calibration:
    """Compute the same calibration in this process, from one replay of all toys."""
    model = KernelModel.prepare(Reference(REFERENCE), centres=60, lambda_=1e-5, sigma_quantile=0.5)
    plan = core_plan(now.plan, "shape")  # type: ignore[arg-type]  # the client's record has the same members
    return Calibration.from_trajectories(
        [replay([model], pool, plan, 0, now.plan.toys)],
        plan=plan,
        run_length=now.run_length,
        warning_run_length=now.warning_run_length,
        pool=len(pool),
        key=now.key,
    )


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_calibration_survives_kills_and_judges_the_next_run(start: Start) -> None:
    """Of 500 toys none is lost, run twice or moved: the thresholds are those of one replay in one process."""
    options = {**ONE_THREAD, "NPLMON_LEASE_SECONDS": "1"}
    up = start("--port", "0", "--trainers", "2", command=REAL, **options)
    up.wait_ready(90)
    with Client(up.addresses["api"], deadline=30) as client:
        client.put_reference("r", REFERENCE, ["x"])
        client.add_to_pool("r", POOL)
        client.create_monitor(
            "m",
            "r",
            kernel={"centres": 60, "sigma_quantiles": [0.5]},
            alarm={"expected_run_length": 50, "warning_run_length": 10},
        )
        client.calibrate("m", **PLAN)

        def now() -> ToyCalibration:
            return client.calibration("m").calibration

        wait_until(lambda: now().batches_done >= 1, "the first toy", 60)
        # Another batch is in hand now.
        for pid in trainers(up):
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: not alive(pid), "the end of a trainer")
        between = now()
        assert between.state == "running", between
        assert between.toys_done < 500
    up.process.kill()
    up.process.wait()

    again = start("--port", "0", "--trainers", "1", command=REAL, **options)
    again.wait_ready(90)
    watching = subprocess.run(
        [sys.executable, "-c", "import nplmon.cli; nplmon.cli.main()", "calibrate", "m"],
        cwd=ROOT,
        env=os.environ | {"NPLMON_URL": again.addresses["api"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert watching.returncode == 0, watching.stderr
    assert "500 of 500 done" in watching.stdout
    with Client(again.addresses["api"], deadline=30) as client:
        receipt = client.push("m", "a", RANDOM.exponential(size=(100, 1)))
        status = client.wait_applied("m", "a", receipt.sequence, timeout=90)
        assert status.snapshot is not None
        assert status.snapshot.statistics["t_score"].state == "calibrated"
        one = client.calibration("m").calibration
        assert one.batches_done == one.batches
    found, pool = stored(again)
    assert found is not None
    calibration, expected = Calibration.from_bytes(found.body), serial(one, pool)
    assert (calibration.toys, calibration.key, calibration.pool_exposure) == (500, one.key, 0.05)
    for chunk in range(1, 11):
        assert calibration.alarm("t_score", chunk) == pytest.approx(
            expected.alarm("t_score", chunk), rel=1e-6
        )
        assert calibration.warning("t_score", chunk) == pytest.approx(
            expected.warning("t_score", chunk), rel=1e-6
        )
    assert one.disagreement == "; ".join(expected.warnings)
