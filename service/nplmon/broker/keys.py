"""The name of every key, in one place.

All keys of one monitor share the hash tag `{monitor}` and all keys of one reference `{reference:HASH}`, so
that each atomic change touches one slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

Key = NewType("Key", str)

REFERENCES = Key("nplmon:references")
MONITORS = Key("nplmon:monitors")
WORKERS = Key("nplmon:worker:*")
"""Pattern of all signs of life."""
TOKENS = Key("nplmon:tokens")
"""Hash: id -> `Token`."""
TOKENS_USED = Key("nplmon:tokens:used")
"""Hash: id of a token -> when it was used last."""
AUDIT = Key("nplmon:audit")
"""Stream: `AuditEntry`."""

GROUP = "trainers"
"""Consumer group of each work stream."""
NOBODY = "nobody"
"""Consumer that owns the entries handed back: they wait for the next take-over."""


def worker(name: str) -> Key:
    """Name the sign of life of one process."""
    return Key(f"nplmon:worker:{name}")


def session(digest: str) -> Key:
    """Name the session of a browser, by the digest of what it holds."""
    return Key(f"nplmon:session:{digest}")


@dataclass(frozen=True, slots=True)
class ReferenceKeys:
    """Keys of one reference version.

    Examples
    --------
    >>> ReferenceKeys("ab12").events
    'nplmon:{reference:ab12}'
    """

    hash: str

    @property
    def events(self) -> str:
        """Prefix of the events' pieces."""
        return f"nplmon:{{reference:{self.hash}}}"

    @property
    def meta(self) -> Key:
        """`Reference`, JSON."""
        return Key(f"{self.events}:meta")

    @property
    def pool(self) -> Key:
        """List of the pool's segments, each "FIRST EVENTS HASH ADDED_AT"; only ever appended to."""
        return Key(f"{self.events}:pool")

    @property
    def pool_known(self) -> Key:
        """Hash: content hash of a segment -> its place in the list."""
        return Key(f"{self.events}:pool:known")

    def segment(self, hash: str) -> str:  # noqa: A002 (the field's name in every message)
        """Prefix of a segment's pieces."""
        return f"{self.events}:pool:{hash}"

    def basis(self, key: str) -> str:
        """Prefix of a prepared eigenbasis' pieces."""
        return f"{self.events}:basis:{key}"

    def levels(self, name: str) -> Key:
        """Thresholds by expected run length in closed form."""
        return Key(f"{self.events}:levels:{name}")

    def basis_lock(self, key: str) -> Key:
        """Who prepares this basis now."""
        return Key(f"{self.basis(key)}:lock")


@dataclass(frozen=True, slots=True)
class RunKeys:
    """Keys of one run of a monitor.

    Examples
    --------
    >>> MonitorKeys("muons").run("7").fits
    'nplmon:{muons}:run:7:fits'
    """

    prefix: str

    @property
    def hash(self) -> Key:
        """State, epochs and counters."""
        return Key(self.prefix)

    @property
    def receipts(self) -> Key:
        """Hash: chunk id -> `Receipt`."""
        return Key(f"{self.prefix}:receipts")

    @property
    def payloads(self) -> Key:
        """Hash: sequence -> events."""
        return Key(f"{self.prefix}:payloads")

    @property
    def kept(self) -> Key:
        """Hash: chunk id -> events of a dead chunk, kept for its replay."""
        return Key(f"{self.prefix}:kept")

    @property
    def attempts(self) -> Key:
        """Hash: sequence -> last error of a chunk that is retried."""
        return Key(f"{self.prefix}:attempts")

    @property
    def fits(self) -> Key:
        """Hash: sequence -> `Fit` or `Death`."""
        return Key(f"{self.prefix}:fits")

    @property
    def state(self) -> Key:
        """The aggregator's arrays."""
        return Key(f"{self.prefix}:state")

    @property
    def snapshot(self) -> Key:
        """`Snapshot`, JSON."""
        return Key(f"{self.prefix}:snapshot")

    @property
    def history(self) -> Key:
        """List of `HistoryEntry`, JSON."""
        return Key(f"{self.prefix}:history")

    @property
    def projection(self) -> Key:
        """The averaged ratio in projected form."""
        return Key(f"{self.prefix}:projection")

    @property
    def contents(self) -> list[Key]:
        """All that a reset drops: everything but the run's own hash."""
        return [
            self.receipts,
            self.payloads,
            self.kept,
            self.attempts,
            self.fits,
            self.state,
            self.snapshot,
            self.history,
            self.projection,
        ]


@dataclass(frozen=True, slots=True)
class MonitorKeys:
    """Keys of one monitor.

    Examples
    --------
    >>> MonitorKeys("muons").work
    'nplmon:{muons}:work'
    """

    name: str

    def _key(self, rest: str) -> Key:
        return Key(f"nplmon:{{{self.name}}}:{rest}")

    @property
    def monitor(self) -> Key:
        """`Monitor`, present epoch; while it is missing nothing of this monitor is ever written."""
        return self._key("monitor")

    def at(self, epoch: int) -> Key:
        """`Monitor` as it was at this epoch."""
        return self._key(f"monitor:{epoch}")

    @property
    def runs(self) -> Key:
        """Sorted set: run names by time of opening."""
        return self._key("runs")

    @property
    def open_runs(self) -> Key:
        """Set: names of the runs that take chunks."""
        return self._key("open")

    @property
    def work(self) -> Key:
        """Stream of the chunks to fit."""
        return self._key("work")

    @property
    def done(self) -> Key:
        """Stream that wakes the aggregator."""
        return self._key("done")

    @property
    def dead(self) -> Key:
        """Hash: RUN:CHUNK -> `Death`."""
        return self._key("dead")

    @property
    def aggregator(self) -> Key:
        """Who may write statistics, and its fence."""
        return self._key("aggregator")

    @property
    def fence(self) -> Key:
        """The last fence given."""
        return self._key("aggregator:fence")

    @property
    def positions(self) -> Key:
        """Hash: reference hash -> events of its pool used by this monitor; outlives the monitor."""
        return self._key("pool")

    @property
    def updates(self) -> str:
        """Channel of saved snapshots."""
        return self._key("updates")

    @property
    def journal(self) -> Key:
        """Stream: what happened and what was done, `JournalEntry`, about the last 10,000."""
        return self._key("journal")

    @property
    def notified(self) -> Key:
        """Id of the last entry of the journal that all who are notified were told of."""
        return self._key("notified")

    @property
    def test_alarm(self) -> Key:
        """`TestAlarm`, expires with it."""
        return self._key("test-alarm")

    @property
    def calibration(self) -> Key:
        """Hash: the calibration by toys, what was asked for and how far it is."""
        return self._key("calibration")

    @property
    def toys(self) -> Key:
        """Stream of the batches of toys to run."""
        return self._key("toys")

    @property
    def toy_batches(self) -> Key:
        """Hash: batch -> its result."""
        return self._key("calibration:batches")

    @property
    def toy_result(self) -> Key:
        """Hash: piece -> what all batches were reduced to."""
        return self._key("calibration:result")

    def run(self, name: str) -> RunKeys:
        """Keys of one run."""
        return RunKeys(self._key(f"run:{name}"))

    @property
    def fixed(self) -> list[Key]:
        """All keys that there are once per monitor."""
        return [
            self.monitor,
            self.runs,
            self.open_runs,
            self.work,
            self.done,
            self.dead,
            self.aggregator,
            self.fence,
            self.journal,
            self.notified,
            self.test_alarm,
            self.calibration,
            self.toys,
            self.toy_batches,
            self.toy_result,
        ]
