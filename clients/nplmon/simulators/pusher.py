"""A trigger that sends its chunks to a service, at its own pace."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from nplmon.client import Chunk as PushedChunk
from nplmon.simulators.errors import SimulationError, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nplmon.client import Client, Receipt
    from nplmon.simulators.scenario import Chunk

__all__ = ["Pushed", "chunk_id", "paced", "push"]

T = TypeVar("T")


@dataclass(frozen=True)
class Pushed:
    """A chunk that the service has accepted."""

    number: int
    anomalous: bool
    receipt: Receipt


def chunk_id(stream: str, number: int) -> str:
    """Name a chunk after its stream and its number in it, so that a simulation repeated is counted once.

    Examples
    --------
    >>> chunk_id("expo-13-s1", 21)
    'expo-13-s1-000021'
    """
    return f"{stream}-{number:06d}"


def push(
    client: Client,
    chunks: Iterable[Chunk],
    *,
    monitor: str,
    run: str,
    stream: str,
    features: Sequence[str],
    rate: float = 0.0,
    exposure: float | None = None,
    concurrency: int = 1,
) -> Iterator[Pushed]:
    """Push chunks as they are drawn; yields them when the service has accepted them.

    Parameters
    ----------
    client : Client
    chunks : iterable of Chunk
        From a scenario or a replay; may have no end.
    monitor, run : str
        Where they go. The monitor may use some of the features only, in any order.
    stream : str
        Beginning of the chunks' ids; the same stream with other content is refused by the service.
    features : sequence of str
        Names of the columns of the events.
    rate : float
        Chunks per second; 0 is as fast as the service takes them.
    exposure : float, optional
        Of each chunk, for a monitor of mode "rate".
    concurrency : int
        Chunks in flight; above 1 neighbours may swap places.

    Yields
    ------
    Pushed

    Raises
    ------
    SimulationError
        If the monitor needs a feature that the stream lacks, or `rate` is negative.
    ClientError
        If the service refuses a chunk or stays away.
    """
    within("rate", rate, 0.0, np.inf, "chunks per second")
    columns = _columns(client.monitor(monitor).features, features, monitor)
    labels: dict[str, Chunk] = {}

    def described() -> Iterator[PushedChunk]:
        for chunk in paced(chunks, rate):
            name = chunk_id(stream, chunk.number)
            labels[name] = chunk
            events = np.ascontiguousarray(chunk.events[:, columns])
            yield PushedChunk(events=events, id=name, exposure=exposure)

    for receipt in client.push_many(monitor, run, described(), concurrency=concurrency):
        chunk = labels.pop(receipt.chunk)
        yield Pushed(chunk.number, chunk.anomalous, receipt)


def paced(
    items: Iterable[T],
    rate: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[T]:
    """Yield item k no earlier than k / rate seconds after the first; a late one does not delay the rest.

    Examples
    --------
    >>> pauses = []
    >>> list(paced("abc", 4.0, clock=lambda: 10.0, sleep=pauses.append)), pauses
    (['a', 'b', 'c'], [0.25, 0.5])
    """
    began: float | None = None
    for number, item in enumerate(items):
        if rate > 0:
            now = clock()
            began = now if began is None else began
            wait = began + number / rate - now
            if wait > 0:
                sleep(wait)
        yield item


def _columns(wanted: Sequence[str], present: Sequence[str], monitor: str) -> list[int]:
    """Places of the monitor's features in the stream's columns."""
    for name in wanted:
        if name not in present:
            msg = f"monitor {monitor!r} needs the feature {name!r}; the stream has {', '.join(present)}"
            raise SimulationError(msg)
    return [list(present).index(name) for name in wanted]
