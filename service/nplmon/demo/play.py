"""Play a stream to a running service and follow what it says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nplmon.client import Client
from nplmon.demo.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nplmon.client import HistoryEntry, Status
    from nplmon.demo.stream import Stream

    Show = Callable[[Status, Sequence[HistoryEntry]], None]

MONITOR, RUN = "dimuon", "demo"
CENTRES = 500
IN_FLIGHT = 2
"""Chunks accepted and not yet visible, at most: latencies are of the service, not of a queue made by the demo."""
LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 300.0
"""Without a chunk becoming visible for so long, something is wrong."""


def play(api: str, stream: Stream, show: Show) -> Report:
    """Add the reference, create the monitor, push all chunks over HTTP, and wait until all are visible.

    Parameters
    ----------
    api:
        Address of a running service without a monitor of this name.
    stream:
        What to play.
    show:
        Called after each look with the run's status and history.

    Raises
    ------
    TimeoutError
        If no chunk becomes visible for five minutes.
    """
    with Client(api) as client:
        client.put_reference(MONITOR, stream.reference, features=stream.features, units=stream.units)
        client.create_monitor(MONITOR, MONITOR, kernel={"centres": CENTRES})
        began = time.monotonic()
        # The first chunk opens the run.
        chunks = iter(stream.chunks)
        client.push(MONITOR, RUN, next(chunks).events, chunk="chunk-0001")
        moved, seen = time.monotonic(), 0
        history: list[HistoryEntry] = []
        number = 1
        while True:
            history += client.history(MONITOR, RUN, since=len(history), limit=1000).entries
            # Read after the history, so that it is never older than its last line.
            status = client.statistic(MONITOR, RUN)
            show(status, history)
            if len(history) > seen:
                moved, seen = time.monotonic(), len(history)
            if seen == stream.total:
                return Report(stream=stream, status=status, history=history, seconds=time.monotonic() - began)
            if time.monotonic() - moved > PATIENCE_SECONDS:
                raise TimeoutError(
                    f"no chunk became visible for {PATIENCE_SECONDS:.0f} s after {seen} of them"
                )
            while number - seen < IN_FLIGHT and (chunk := next(chunks, None)) is not None:
                number = chunk.number
                client.push(MONITOR, RUN, chunk.events, chunk=f"chunk-{number:04d}")
            time.sleep(LOOK_SECONDS)
