"""A real service for a browser: processes of its own, with a monitor of muon pairs that is pushed what a test wants."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.chaos.roles import RAISES
from tests.chaos.stage import Stage

from nplmon.simulators.scenario import scenario

CALM = scenario("dimuon-quiet")
REFERENCE_EVENTS, EVENTS, CENTRES = 40_000, 500, 60
RUNBOOK = """# The tracker lies

1. Look at **Where**: is it one feature, or all?
2. Compare with the last good run.

| feature | ask |
|---|---|
| pt | the calibration |
| eta | the shift leader |
"""
CONTACT = "Tracker expert, 16 5432"


class Service(Stage):
    """A store, the API, a trainer and an aggregator."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, appendfsync="everysec", deliveries=2)

    def open(self) -> None:
        """Start all, with a reference `dimuon`."""
        self.start("api", "trainer-1", "aggregator-1")
        with self.client() as client:
            sample = CALM.reference(REFERENCE_EVENTS)
            client.put_reference("dimuon", sample, CALM.features, units=CALM.units)

    def watch(self, name: str, **settings: object) -> None:
        """Make a monitor; each has the widths and centres that are ready after the first."""
        handling = {"runbook": RUNBOOK, "contact": CONTACT}
        kernel = {"centres": CENTRES, "sigmas": [3.0], "lambda": 1e-5, "seed": 0}
        with self.client() as client:
            client.create_monitor(name, "dimuon", kernel=kernel, **{"handling": handling, **settings})  # type: ignore[arg-type]

    def push_broken(self, monitor: str, run: str) -> None:
        """Push a chunk that no trainer can fit: it is given up after two tries, in a while."""
        with self.client() as client:
            events = CALM.chunk(1, events=EVENTS).events
            events[0, 0] = RAISES
            client.push(monitor, run, events, chunk="broken")

    def push(
        self,
        monitor: str,
        run: str,
        numbers: Iterable[int],
        *,
        odd: str = "dimuon-quiet",
        strength: float | None = None,
        start: int = 1,
        wait: bool = True,
    ) -> None:
        """Push these chunks, from number `start` on with what is odd in a scenario, and wait until they count."""
        source, sequence = scenario(odd), 0
        with self.client() as client:
            for number in numbers:
                chunk = source.chunk(number, events=EVENTS, start=start, strength=strength)
                sequence = client.push(monitor, run, chunk.events, chunk=f"chunk-{number}").sequence
            if wait:
                client.wait_applied(monitor, run, sequence)
