"""A small service whose data are kept as a fixture: `python -m tests.upgrade.service` writes it anew.

Do so only where a stored form has changed on purpose, and keep the old file beside it: what it holds must be read, or
refused with a word that says what to do.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tests.chaos.stage import Stage

from nplmon.backup import save
from nplmon.broker.embedded import EmbeddedStore
from nplmon.client import Client

STORED = Path(__file__).with_name("stored")
PRESENT = STORED / "state-4.nplmon.gz"
EVENTS = {
    f"c{i:02}": np.random.default_rng([4, i]).exponential(size=(100, 1)).astype(np.float32) for i in range(12)
}
APPLIED, FITTED, ACCEPTED = 5, 7, 9
"""Chunks applied, fitted and accepted when it was saved; the last of those applied is dead in another run."""


def wait(client: Client, run: str, applied: int) -> None:
    """Wait until so many chunks are applied."""
    deadline = time.monotonic() + 60.0
    while client.run("m", run).applied < applied:
        assert time.monotonic() < deadline, f"{client.run('m', run)}"
        time.sleep(0.05)


@contextmanager
def staged(directory: Path, *roles: str) -> Iterator[Stage]:
    """Run these roles on a directory."""
    stage = Stage(directory)
    try:
        stage.start(*roles)
        yield stage
    finally:
        stage.clean_up()


def push(client: Client, first: int, last: int) -> None:
    """Push some of the chunks."""
    for name, events in list(EVENTS.items())[first:last]:
        client.push("m", "7", events, chunk=name)


def collect(file: Path) -> None:
    """Write what a service of this version has stored: applied, fitted and waiting chunks."""
    with tempfile.TemporaryDirectory() as place, staged(Path(place)) as stage, stage.client() as client:
        stage.make_monitor()
        client.add_to_pool("r", np.random.default_rng(5).exponential(size=(4000, 1)).astype(np.float32))
        push(client, 0, APPLIED)
        wait(client, "7", APPLIED)
        for aggregator in ("aggregator-1", "aggregator-2"):
            stage.kill(aggregator)
        push(client, APPLIED, FITTED)
        deadline = time.monotonic() + 60.0
        while client.chunk("m", "7", f"c{FITTED - 1:02}").state != "fitted":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for trainer in ("trainer-1", "trainer-2"):
            stage.kill(trainer)
        push(client, FITTED, ACCEPTED)
        with tempfile.TemporaryDirectory() as other:
            save(EmbeddedStore(Path(place) / "data").url, Path(other) / "b")
            file.write_bytes(gzip.compress((Path(other) / "b").read_bytes(), mtime=0))


if __name__ == "__main__":
    collect(Path(sys.argv[1]) if len(sys.argv) > 1 else PRESENT)
