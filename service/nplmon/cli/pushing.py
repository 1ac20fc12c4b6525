"""From files to receipts: what `nplmon push` does with each piece of events."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nplmon.client import Chunk, Client, Monitor, Receipt
    from nplmon.client.files import Piece, Table


def chunk_id(piece: Piece) -> str:
    """Name a chunk after its file, its place there and its content.

    The same file pushed again gives the same ids, so that the service knows its chunks and counts none twice.

    Examples
    --------
    >>> import numpy as np
    >>> from nplmon.client.files import Piece
    >>> chunk_id(Piece(np.zeros((2, 1), np.float32), "data/sky 1.csv", 3))
    'sky-1.csv-3-af5570f5a1810b7a'
    """
    digest = hashlib.sha256(piece.events.data).hexdigest()[:16]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(piece.source).name)[:80].strip("-.") or "events"
    if not name[0].isalnum():
        name = f"f{name}"
    return f"{name}-{piece.index}-{digest}"


@dataclass(frozen=True)
class Columns:
    """Which columns of the files are read, and how they are named to the service.

    Attributes
    ----------
    read:
        Names in the files; None: all.
    named:
        Names for the service; None: the monitor's order.
    """

    read: Sequence[str] | None
    named: Sequence[str] | None

    @classmethod
    def choose(cls, monitor: Monitor, wanted: Sequence[str] | None, table: Table) -> Columns:
        """Choose the columns of a table for a monitor.

        Names of the monitor's own features may come in any order. Other names stand for its features, in
        their order.
        """
        features = list(monitor.features)
        if wanted is not None:
            return cls(wanted, wanted if set(wanted) == set(features) else None)
        if table.columns is not None and set(features) <= set(table.columns):
            return cls(features, None)
        return cls(None, None)


@dataclass
class Tally:
    """What was pushed."""

    chunks: int = 0
    events: int = 0
    duplicates: int = 0
    last_sequence: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, receipt: Receipt) -> None:
        """Count one receipt."""
        self.chunks += 1
        self.events += receipt.events
        self.duplicates += receipt.duplicate
        self.last_sequence = max(self.last_sequence, receipt.sequence)

    def words(self, monitor: str, run: str) -> str:
        """Tell it in one line."""
        said = f"pushed {_count(self.chunks, 'chunk')} ({_count(self.events, 'event')}) to {monitor}/{run}"
        if self.duplicates:
            said += f"; {self.duplicates} of them had been accepted before and count once"
        return f"{said}; last sequence number {self.last_sequence}" if self.chunks else said


@dataclass(frozen=True, kw_only=True)
class Pushing:
    """One push command: a client, a target, and how files are cut into chunks."""

    client: Client
    monitor: Monitor
    run: str
    size: int
    features: Sequence[str] | None = None
    exposure: float | None = None
    rest: bool = True
    concurrency: int = 1

    def push(self, tables: Sequence[Table], tally: Tally) -> Iterator[Receipt]:
        """Push tables one after the other, what is left of one going on into the next; count the receipts."""
        from nplmon.client.files import pieces

        columns = Columns.choose(self.monitor, self.features, tables[0])
        cut = pieces(tables, self.size, columns.read, rest=self.rest)
        for receipt in self.client.push_many(
            self.monitor.name, self.run, self._chunks(cut, columns.named), concurrency=self.concurrency
        ):
            tally.add(receipt)
            yield receipt

    def _chunks(self, cut: Iterable[Piece], named: Sequence[str] | None) -> Iterator[Chunk]:
        from nplmon.client import Chunk

        for piece in cut:
            yield Chunk(events=piece.events, id=chunk_id(piece), exposure=self.exposure, features=named)


def progress(receipts: Iterator[Receipt], what: str) -> None:
    """Draw all receipts; show their number and rate on standard error if that is a terminal."""
    if not sys.stderr.isatty():
        for _ in receipts:
            pass
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed:.0f} chunks, {task.fields[events]} events"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, events=0)
        events = 0
        for receipt in receipts:
            events += receipt.events
            bar.update(task, advance=1, events=events)


def _count(number: int, noun: str) -> str:
    """Say a number of things.

    Examples
    --------
    >>> _count(1, "chunk"), _count(2000, "event")
    ('1 chunk', '2,000 events')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
