"""What happens to which process, and when: drawn from a seed, so that a failure can be replayed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

Fault = Literal["kill", "pause"]
VICTIMS = (
    "api",
    "trainer-1",
    "trainer-2",
    "aggregator-1",
    "aggregator-2",
    "producer-1",
    "producer-2",
    "store",
)


@dataclass(frozen=True)
class Event:
    """One fault: `after` seconds since the one before, for `seconds` (a killed process is away so long)."""

    after: float
    fault: Fault
    victim: str
    seconds: float

    def __str__(self) -> str:
        return f"+{self.after:.2f} s {self.fault} {self.victim} for {self.seconds:.2f} s"


def schedule(seed: int, faults: int) -> list[Event]:
    """Draw a schedule.

    Pauses last from well under to well over the lease (1 s) and the hold (1.5 s), so that some lose them and some do
    not. Faults overlap: the next one comes before the one before has ended.
    """
    draw = random.Random(seed)  # noqa: S311 (to be repeated, not to be secret)
    return [
        Event(
            after=draw.uniform(0.05, 0.7),
            fault=draw.choice(("kill", "kill", "pause")),
            victim=draw.choice(VICTIMS),
            seconds=draw.choice((0.0, draw.uniform(0.1, 0.8), draw.uniform(1.0, 2.5))),
        )
        for _ in range(faults)
    ]
