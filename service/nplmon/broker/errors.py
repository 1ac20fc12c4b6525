# ruff: noqa: N818 (an error is named after what is wrong)
"""What can go wrong at the broker.

BrokerError
├── StoreUnreachable      no answer: connection refused, timeout, loading, read-only replica, one node of a cluster
├── StoreFull             the store refuses writes: memory or disk is full
├── UnknownReference
├── PoolFull              the pool of a reference may not have so many events
├── UnknownMonitor
├── UnknownRun
├── UnknownChunk
├── NoCalibration         nobody asked for a calibration by toys
├── MonitorExists
├── StoredOtherwise       written by another version, in a form that this one does not read
├── MonitorOutdated       stored by an earlier version, with settings that this one does not know
├── EpochMoved            the monitor was changed meanwhile
├── RunsOpen              a statistic must not mix two settings
├── RunClosed
└── PayloadLost           the events of a dead chunk are no longer stored
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from redis import exceptions as redis_errors

if TYPE_CHECKING:
    from collections.abc import Sequence


class BrokerError(Exception):
    """Base of all errors of the broker."""


class StoreUnreachable(BrokerError):
    """The store gives no answer; nothing is known about the fate of the last command."""


class StoreFull(BrokerError):
    """The store refuses writes because its memory or its disk is full."""


class UnknownReference(BrokerError):
    """No reference has this name or hash."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no reference {name!r}; add it first")
        self.name = name


class PoolFull(BrokerError):
    """The pool of a reference has no room for these events."""

    def __init__(self, reference_hash: str, held: int, events: int, limit: int) -> None:
        super().__init__(
            f"the pool has {held} events and room for {limit}: {events} more do not fit; send fewer, or raise the limit"
        )
        self.reference_hash, self.held, self.events, self.limit = reference_hash, held, events, limit


class UnknownMonitor(BrokerError):
    """No monitor has this name (or this epoch)."""

    def __init__(self, name: str, epoch: int | None = None) -> None:
        at = "" if epoch is None else f" at epoch {epoch}"
        super().__init__(f"no monitor {name!r}{at}; create it first")
        self.name = name


class UnknownRun(BrokerError):
    """The monitor has no run of this name."""

    def __init__(self, monitor: str, run: str) -> None:
        super().__init__(f"monitor {monitor!r} has no run {run!r}; its first chunk opens it")
        self.monitor, self.run = monitor, run


class UnknownChunk(BrokerError):
    """The present epoch of the run has no chunk of this id."""

    def __init__(self, monitor: str, run: str, chunk: str) -> None:
        super().__init__(f"run {run!r} of monitor {monitor!r} has no chunk {chunk!r}; send it first")
        self.monitor, self.run, self.chunk = monitor, run, chunk


class NoCalibration(BrokerError):
    """The monitor has no calibration by toys; its statistics use the closed form."""

    def __init__(self, monitor: str) -> None:
        super().__init__(
            f"nobody asked for a calibration of monitor {monitor!r}; its statistics use the closed form"
        )
        self.monitor = monitor


class MonitorExists(BrokerError):
    """The name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"monitor {name!r} exists; change it, delete it, or choose another name")
        self.name = name


class MonitorOutdated(BrokerError):
    """The monitor was stored by an earlier version, with settings that this one does not know."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"monitor {name!r} was stored by an earlier version of nplmon and cannot be read ({why}); "
            "delete it and create it again"
        )
        self.name = name


class StoredOtherwise(BrokerError, ValueError):
    """What is stored is damaged, or was written by another version in a form that this one does not read."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(
            f"a {what} in the store cannot be read ({why}): another version of nplmon wrote it, or it is damaged; "
            "run all roles in the version that wrote it, or reset the run"
        )
        self.what = what


class EpochMoved(BrokerError):
    """Somebody else changed the monitor meanwhile."""

    def __init__(self, name: str, epoch: int) -> None:
        super().__init__(f"monitor {name!r} was changed meanwhile and is at epoch {epoch}; read it again")
        self.name, self.epoch = name, epoch


class RunsOpen(BrokerError):
    """The monitor's settings cannot change while these runs are open."""

    def __init__(self, monitor: str, names: Sequence[str]) -> None:
        super().__init__(f"monitor {monitor!r} has open runs {', '.join(names)}; close them first")
        self.monitor, self.names = monitor, tuple(names)


class RunClosed(BrokerError):
    """The run takes no more chunks."""

    def __init__(self, monitor: str, run: str) -> None:
        super().__init__(f"run {run!r} of monitor {monitor!r} is closed; reset it or choose another run")
        self.monitor, self.run = monitor, run


class NoAlarm(BrokerError):
    """The run has no alarm that could be acknowledged."""

    def __init__(self, monitor: str, run: str) -> None:
        super().__init__(f"run {run!r} of monitor {monitor!r} has raised no warning and no alarm")
        self.monitor, self.run = monitor, run


class AlarmChanged(BrokerError):
    """The alarm of the run is not the one that was looked at."""

    def __init__(self, monitor: str, run: str, level: str, sequence: int) -> None:
        super().__init__(
            f"run {run!r} of monitor {monitor!r} has another alarm by now: {level}, raised by chunk number {sequence}; "
            "look at it, then acknowledge that one"
        )
        self.monitor, self.run, self.level, self.sequence = monitor, run, level, sequence


class PayloadLost(BrokerError):
    """The events of this dead chunk are gone, so it cannot be replayed."""

    def __init__(self, monitor: str, run: str, chunk: str) -> None:
        super().__init__(
            f"the events of chunk {chunk!r} of run {run!r}, monitor {monitor!r}, are no longer stored; "
            "send them again under a new id"
        )
        self.monitor, self.run, self.chunk = monitor, run, chunk


_UNREACHABLE = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.ReadOnlyError,
    redis_errors.ClusterDownError,
    redis_errors.SlotNotCoveredError,
)


def translated(error: redis_errors.RedisError | redis_errors.RedisClusterException) -> Exception:
    """Give our error for one of redis-py; errors that only a fault in this room can cause stay as they are.

    Examples
    --------
    >>> translated(redis_errors.BusyLoadingError("loading the dataset"))
    StoreUnreachable('the store gives no answer: loading the dataset')
    >>> translated(redis_errors.OutOfMemoryError("used memory > 'maxmemory'"))
    StoreFull("the store refuses writes: used memory > 'maxmemory'")
    """
    # The client of a cluster says so when it finds no node; all else that it says is a fault in this room.
    if isinstance(error, _UNREACHABLE) or "cannot be connected" in str(error):
        return StoreUnreachable(f"the store gives no answer: {error}")
    # MISCONF: the append-only file cannot be written, mostly because the disk is full.
    if isinstance(error, redis_errors.OutOfMemoryError) or str(error).startswith(("OOM", "MISCONF")):
        return StoreFull(f"the store refuses writes: {error}")
    if isinstance(error, (redis_errors.MovedError, redis_errors.ClusterCrossSlotError)):
        return StoreUnreachable(
            "the store is one node of a cluster of several: set NPLMON_REDIS_URL to redis+cluster://HOST:PORT of any "
            "node (rediss+cluster:// with TLS)"
        )
    return error
