"""What a process of the stage runs. Imported once by the server that forks them, so that a role starts in no time."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import nplmon.aggregator.aggregator
import nplmon.aggregator.server
import nplmon.api.server
import nplmon.trainer.server
import nplmon.trainer.trainer
from nplmon.client import Client
from nplmon.settings import Settings

SERVERS = {
    "api": nplmon.api.server.serve,
    "trainer": nplmon.trainer.server.serve,
    "aggregator": nplmon.aggregator.server.serve,
}
CRASHES, SLEEPS, RAISES, BUSY = 1001.0, 1002.0, 1003.0, 1004.0
"""A chunk whose first value is one of these ends the process that fits it, holds it for `SLOW_SECONDS`, raises, or
holds it for `BUSY_SECONDS`."""
SLOW_SECONDS, BUSY_SECONDS = 4.0, 0.1


def serve(role: str, environment: Mapping[str, str], log: Path) -> None:
    """Serve a role; what it prints is appended to its log."""
    sys.stdout = sys.stderr = log.open("a", buffering=1, encoding="utf-8")
    os.environ.update(environment)
    # A paused holder is replaced in a second, not in five: the schedules are short.
    nplmon.aggregator.aggregator.HOLD_SECONDS = 1.5
    nplmon.aggregator.aggregator.BLOCK_SECONDS = 0.3
    fit = nplmon.trainer.trainer._timed_fit

    def tricky(models, events, expected):
        """Fit, unless the first event says what is wrong with the chunk."""
        if events[0, 0] == CRASHES:
            os._exit(66)
        if events[0, 0] == SLEEPS:
            time.sleep(SLOW_SECONDS)
        if events[0, 0] == BUSY:
            time.sleep(BUSY_SECONDS)
        if events[0, 0] == RAISES:
            raise ArithmeticError("this chunk cannot be fitted")
        return fit(models, events, expected)

    nplmon.trainer.trainer._timed_fit = tricky
    SERVERS[role](Settings())


def produce(url: str, run: str, share: Mapping[str, np.ndarray], receipts: Path) -> None:
    """Push a share of the chunks in its order, and write down each receipt; begun again, all is sent again."""
    with Client(url, deadline=120.0) as client, receipts.open("a", encoding="utf-8") as book:
        for name, events in share.items():
            receipt = client.push("m", run, events, chunk=name)
            book.write(json.dumps([name, receipt.sequence]) + "\n")
            book.flush()
