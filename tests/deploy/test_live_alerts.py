"""The whole chain for real: `nplmon up`, Prometheus, Alertmanager, a notification; the files are those of deploy/."""

from __future__ import annotations

import io
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from deploy.grafana.state import ALARM
from tests.deploy.dashboards import drawn
from tests.deploy.monitoring import Monitoring
from tests.deploy.tools import system_tool
from tests.up.running import REAL, Up, wait_until

from nplmon.broker.embedded import EmbeddedStore

pytestmark = pytest.mark.slow

SEED = 5
EVENTS = 500
ANOMALOUS = 0.2
"""Share of the events of an anomalous chunk that lie where ordinary ones are rare."""


NOT_SHOWN = {
    # Nothing of the kind happens here.
    "warning",
    "Age of the oldest chunk",
    "Refused chunks",
    # The monitor has no pool, no rate, no toys, and tolerates nothing.
    "Pool left",
    "Alarm withheld",
    "Tolerated",
    "Alarm of the rate",
    "Events of the run",
    "p of the rate, and of both",
    "Rate unknown",
    "Significance Z B",
    "p B",
    "Calibration by toys",
    "State of the toys",
    "Toys",
}
"""Panels of the dashboards that lack all, and, with its letter, a query of a panel."""


class Source:
    """What pushes chunks of an exponential spectrum, ordinary or not."""

    def __init__(self, api: httpx.Client) -> None:
        self.api = api
        self._random = np.random.default_rng(SEED)
        self._number = 0

    def begin(self) -> None:
        """Make reference and monitor."""
        reference = self._npy(self._random.exponential(size=(20_000, 1)))
        assert self.api.put("/v1/references/r?features=x", **reference).status_code == 201
        monitor = {"name": "m", "reference": "r", "kernel": {"centres": 50, "sigmas": [0.5]}}
        assert self.api.post("/v1/monitors", json=monitor).status_code == 201

    def push(self, run: str, anomalous: float = 0.0) -> None:
        """Push one chunk and wait until it is applied."""
        events = self._random.exponential(size=(EVENTS, 1))
        events[: round(EVENTS * anomalous)] = self._random.normal(
            4.0, 0.2, size=(round(EVENTS * anomalous), 1)
        )
        chunk = self._npy(events)
        self._number += 1
        chunk["headers"]["Nplmon-Chunk-Id"] = f"c{self._number}"
        answer = self.api.post(f"/v1/monitors/m/runs/{run}/chunks", **chunk)
        assert answer.status_code == 202, answer.text
        sequence = answer.json()["sequence"]
        wait_until(lambda: self.run(run)["applied"] >= sequence, "applied", 60)

    def run(self, run: str) -> dict[str, Any]:
        """Give the run as the API tells of it."""
        found: dict[str, Any] = self.api.get(f"/v1/monitors/m/statistic?run={run}").json()["run"]
        return found

    @staticmethod
    def _npy(events: np.ndarray) -> dict[str, Any]:
        body = io.BytesIO()
        np.save(body, events)
        return {"content": body.getvalue(), "headers": {"Content-Type": "application/x-npy"}}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    for program in (("prometheus",), ("prometheus-alertmanager", "alertmanager")):
        system_tool(*program)
    data_dir = tmp_path / "data"
    service = Up(REAL, data_dir, "--port", "0")
    try:
        service.wait_ready(60)
        yield service
    finally:
        service.clean_up()
        EmbeddedStore(data_dir).stop()


class Chain:
    """The service, what watches it, and what pushes to it."""

    def __init__(self, up: Up, monitoring: Monitoring, source: Source) -> None:
        self.up, self.monitoring, self.source, self.api = up, monitoring, source, source.api

    def raised(self, alert: str, seconds: float = 30.0) -> dict[str, Any]:
        """Wait until Alertmanager holds an alert, and give it."""
        wait_until(lambda: alert in self.monitoring.alerts(), f"{alert} raised", seconds)
        return self.monitoring.alerts()[alert]

    def ended(self, alert: str) -> None:
        wait_until(lambda: alert not in self.monitoring.alerts(), f"{alert} ended", 30)

    def told(self, receiver: str, status: str, alert: str) -> None:
        """Wait until a receiver was told."""
        note = (receiver, status, alert)
        wait_until(lambda: note in self.monitoring.inbox.notes, f"{receiver} told: {alert} {status}", 30)

    def quiet(self, seconds: float) -> None:
        """Nothing is raised for a while."""
        time.sleep(seconds)
        assert self.monitoring.alerts() == {}


@pytest.fixture
def chain(up: Up, tmp_path: Path) -> Iterator[Chain]:
    targets = up.data_dir / "prometheus-targets.json"
    with (
        Monitoring(tmp_path, targets, up.addresses["api"]) as monitoring,
        httpx.Client(base_url=up.addresses["api"], trust_env=False, timeout=30) as api,
    ):
        source = Source(api)
        source.begin()
        jobs = {"nplmon-api", "nplmon-trainer", "nplmon-aggregator"}
        wait_until(lambda: monitoring.targets_up() == jobs, "all roles scraped", 30)
        yield Chain(up, monitoring, source)


@pytest.mark.timeout(240)
def test_alarms_reach_people_and_end_with_what_they_are_about(chain: Chain) -> None:
    """A quiet service, an anomaly, its acknowledgement, another and the end of its run, a test, and two failures."""
    for _ in range(3):
        chain.source.push("a")
    chain.quiet(4)
    an_anomaly_is_raised(chain)
    the_dashboards_show_it(chain)
    it_ends_when_somebody_knows(chain)
    another_ends_with_its_run(chain)
    a_test_goes_its_own_way(chain)
    an_aggregator_that_hangs_is_told_of_and_is_no_all_clear(chain)
    a_dead_service_is_no_all_clear(chain)


def an_anomaly_is_raised(chain: Chain) -> None:
    began = time.monotonic()
    chain.source.push("a", ANOMALOUS)
    anomaly = chain.raised("NplmonAnomaly", 60)
    assert time.monotonic() - began < 60
    labels, notes = anomaly["labels"], anomaly["annotations"]
    assert (labels["monitor"], labels["severity"], labels["audience"]) == ("m", "critical", "shifter")
    assert "nplmon_url" not in labels
    assert re.search(r"t_score is now \d+\.?\d* \(no unit\), its alarm threshold \d+", notes["description"])
    runbook = httpx.get(notes["runbook_url"], trust_env=False)
    assert runbook.status_code == httpx.codes.OK
    assert "NplmonAnomaly" in runbook.text
    assert httpx.get(notes["page_url"], trust_env=False).status_code == httpx.codes.OK
    chain.told("shifters-urgent", "firing", "NplmonAnomaly")
    assert chain.raised("NplmonAnomalyWarning")["status"]["state"] == "suppressed"


def the_dashboards_show_it(chain: Chain) -> None:
    """Each query is answered by this Prometheus from what the running roles export."""

    def missing() -> set[str]:
        found = [where for where, query in drawn("m").items() if not chain.monitoring.ask(query)]
        places = [where.partition(": ")[2] for where in found]
        return {place for place in places if not {place, re.sub(r" [A-Z]$", "", place)} & NOT_SHOWN}

    wait_until(lambda: not missing(), f"shown in all panels: {missing()}", 30)
    (state,) = chain.monitoring.ask(drawn("m")["shifter: State A"])
    assert int(state["value"][1]) == ALARM.code


def it_ends_when_somebody_knows(chain: Chain) -> None:
    alarm = chain.api.get("/v1/monitors/m/statistic?run=a").json()["snapshot"]["alarm"]
    known = {"who": "Ada", "comment": "seen", "level": alarm["level"], "sequence": alarm["sequence"]}
    assert chain.api.post("/v1/monitors/m/runs/a/acknowledge", json=known).status_code == 200
    chain.ended("NplmonAnomaly")
    chain.ended("NplmonAnomalyWarning")
    chain.told("shifters-urgent", "resolved", "NplmonAnomaly")


def another_ends_with_its_run(chain: Chain) -> None:
    assert chain.api.post("/v1/monitors/m/runs/a/close").status_code == 200
    chain.source.push("b", ANOMALOUS)
    chain.raised("NplmonAnomaly")
    assert chain.api.post("/v1/monitors/m/runs/b/close").status_code == 200
    chain.ended("NplmonAnomaly")
    # The next one does not inherit it.
    chain.source.push("c")
    chain.quiet(3)


def a_test_goes_its_own_way(chain: Chain) -> None:
    asked = {"who": "Ada", "comment": "does it arrive?", "seconds": 60}
    assert chain.api.post("/v1/monitors/m/test-alarm", json=asked).status_code == 201
    chain.told("tests", "firing", "NplmonTestAlarm")
    assert chain.api.delete("/v1/monitors/m/test-alarm?who=Ada").status_code == 204
    chain.ended("NplmonTestAlarm")
    tested = {receiver for receiver, _, alert in chain.monitoring.inbox.notes if alert == "NplmonTestAlarm"}
    assert tested == {"tests"}


def an_aggregator_that_hangs_is_told_of_and_is_no_all_clear(chain: Chain) -> None:
    """Kill one that hangs, as the runbook says: what has died is started again, what hangs is not."""
    chain.monitoring.inbox.notes.clear()
    chain.source.push("c", ANOMALOUS)
    chain.told("shifters-urgent", "firing", "NplmonAnomaly")
    workers = chain.api.get("/v1/system").json()["workers"]
    (pid,) = [worker["pid"] for worker in workers if worker["role"] == "aggregator"]
    os.kill(pid, signal.SIGSTOP)
    chain.told("service-owners-urgent", "firing", "NplmonAggregatorDown")
    os.kill(pid, signal.SIGKILL)
    chain.ended("NplmonAggregatorDown")
    chain.source.push("c")  # the next one works
    assert ("shifters-urgent", "resolved", "NplmonAnomaly") not in chain.monitoring.inbox.notes


def a_dead_service_is_no_all_clear(chain: Chain) -> None:
    chain.raised("NplmonAnomaly")
    chain.monitoring.inbox.notes.clear()
    chain.up.process.kill()
    chain.told("service-owners-urgent", "firing", "NplmonAggregatorDown")
    chain.told("service-owners-urgent", "firing", "NplmonApiDown")
    assert "NplmonAnomaly" not in str(chain.monitoring.inbox.notes)
    assert chain.raised("NplmonAnomaly")["status"]["state"] == "suppressed"
