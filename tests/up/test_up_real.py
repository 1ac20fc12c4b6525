"""`nplmon up` with the real roles: ready, at work, and going on after a kill of the parent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from tests.up.running import REAL, Up, alive, wait_until

Start = Callable[..., Up]
SEED = 4


def npy(events: np.ndarray) -> dict[str, Any]:
    import io

    body = io.BytesIO()
    np.save(body, events)
    return {"content": body.getvalue(), "headers": {"Content-Type": "application/x-npy"}}


def applied(api: httpx.Client) -> int:
    return int(api.get("/v1/monitors/m/statistic").json()["run"]["applied"])


@pytest.mark.timeout(240)
def test_it_works_and_goes_on_after_kill_9(start: Start) -> None:
    """Six chunks before the kill and six after: twelve applied, in one run, by two services."""
    random = np.random.default_rng(SEED)
    up = start("--port", "0", command=REAL)
    up.wait_ready(60)
    with httpx.Client(base_url=up.addresses["api"], trust_env=False, timeout=30) as api:
        reference = random.exponential(size=(3000, 1))
        assert api.put("/v1/references/r?features=x", **npy(reference)).status_code == 201
        monitor = {"name": "m", "reference": "r", "kernel": {"centres": 50}}
        assert api.post("/v1/monitors", json=monitor).status_code == 201
        for number in range(6):
            chunk = npy(random.exponential(size=(200, 1)))
            chunk["headers"]["Nplmon-Chunk-Id"] = f"c{number}"
            assert api.post("/v1/monitors/m/runs/a/chunks", **chunk).status_code == 202
        wait_until(lambda: applied(api) == 6, "six applied", 60)
        metrics = {
            name: httpx.get(url, trust_env=False).text for name, url in up.addresses["metrics"].items()
        }
    assert set(metrics) == {"api", "trainer-1", "aggregator"}
    for name, text in metrics.items():
        assert f'nplmon_build_info{{role="{name.partition("-")[0]}"' in text
        assert "process_resident_memory_bytes" in text

    up.process.kill()
    up.process.wait()
    again = start("--port", "0", command=REAL)
    again.wait_ready(60)
    with httpx.Client(base_url=again.addresses["api"], trust_env=False, timeout=30) as api:
        assert applied(api) == 6
        for number in range(6, 12):
            chunk = npy(random.exponential(size=(200, 1)))
            chunk["headers"]["Nplmon-Chunk-Id"] = f"c{number}"
            assert api.post("/v1/monitors/m/runs/a/chunks", **chunk).status_code == 202
        wait_until(lambda: applied(api) == 12, "twelve applied", 60)
        sequences = [e["sequence"] for e in api.get("/v1/monitors/m/history").json()["entries"]]
    assert sequences == list(range(1, 13))
    again.press_ctrl_c()
    assert again.wait_end(60) == 0
    assert "killed" not in again.said
    assert not alive(again.process.pid)
