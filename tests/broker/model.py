"""The road of a chunk in plain Python: what each function of the store does, in one process and without a server.

It knows nothing of Redis: entries are a list, time is a flag, and what a repeated call does follows from the state.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

LIMIT = 2
"""Deliveries of a chunk."""
BACKLOG = 4
NOBODY = "nobody"


@dataclass
class Entry:
    """One entry of the work stream."""

    run: str
    epoch: int
    sequence: int
    chunk: str
    owner: str | None = None
    """None: never given out."""
    deliveries: int = 0
    silent: bool = False
    """Whether its holder gave no sign for longer than the lease."""


@dataclass
class Run:
    """One run in its present epoch."""

    monitor_epoch: int
    open: bool = True
    epoch: int = 1
    accepted: int = 0
    sequence: int = 0
    applied: int = 0
    dead: int = 0
    stale: bool = False
    acknowledged: tuple[str, int] | None = None
    alarm: tuple[str, int] | None = None
    receipts: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """Chunk -> sequence number and content."""
    payloads: dict[int, bytes] = field(default_factory=dict)
    kept: dict[str, bytes] = field(default_factory=dict)
    attempts: dict[int, str] = field(default_factory=dict)
    fits: dict[int, str] = field(default_factory=dict)
    """Sequence number -> who fitted it, or "death"."""
    history: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    """What an aggregator is about to save."""

    holder: str
    fence: int
    run: str
    epoch: int
    previous: int
    fits: tuple[tuple[int, str, str], ...]
    """Sequence number, chunk, who fitted it."""
    applied: int
    dead: int
    pool: int
    level: str

    @property
    def sequence(self) -> int:
        return self.previous + len(self.fits)


class Model:
    """One monitor with its runs."""

    def __init__(self) -> None:
        self.pool = 0
        self.fences: list[int] = []
        self.clear()

    def clear(self) -> None:
        """Forget all but the position in the pool, and the fences given."""
        self.epoch = 0
        """0: there is no monitor."""
        self.runs: dict[str, Run] = {}
        self.work: dict[str, Entry] = {}
        self.dead: set[tuple[str, str]] = set()
        self.hold: tuple[str, int] | None = None
        self.test = False
        self.journal: list[str] = []

    # Admission

    def backlog(self, run: Run | None) -> int:
        return max(len(self.work), run.accepted - run.sequence if run else 0)

    def admit(self, name: str, chunk: str, content: bytes, epoch: int) -> str:
        run = self.runs.get(name)
        if not self.epoch:
            return "unknown-monitor"
        if run and chunk in run.receipts:
            return "duplicate" if run.receipts[chunk][1] == content else "conflict"
        if epoch != self.epoch:
            return "epoch-moved"
        if run and not run.open:
            return "run-closed"
        if self.backlog(run) >= BACKLOG:
            return "full"
        if run is None:
            self.runs[name] = Run(epoch)
            self.journal.append("run-opened")
        return "accepted"

    def entered(self, name: str, chunk: str, content: bytes, entry: str) -> None:
        """Note what an accepted chunk became."""
        run = self.runs[name]
        run.accepted += 1
        run.receipts[chunk] = (run.accepted, content)
        run.payloads[run.accepted] = content
        self.work[entry] = Entry(name, run.epoch, run.accepted, chunk)

    def replay(self, name: str, chunk: str) -> str:
        run = self.runs.get(name)
        if not self.epoch:
            return "unknown-monitor"
        if run is None or chunk not in run.receipts:
            return "unknown-chunk"
        if (name, chunk) not in self.dead:
            return "duplicate"
        if not run.open:
            return "run-closed"
        if self.backlog(run) >= BACKLOG:
            return "full"
        self.dead.remove((name, chunk))
        self.journal.append("dead-replayed")
        return "accepted"

    def delete_dead(self, name: str, chunk: str) -> bool:
        if (name, chunk) not in self.dead:
            return False
        self.dead.remove((name, chunk))
        del self.runs[name].receipts[chunk], self.runs[name].kept[chunk]
        self.journal.append("dead-deleted")
        return True

    def place(self, name: str, chunk: str) -> str | None:
        run = self.runs.get(name)
        if run is None or chunk not in run.receipts:
            return None
        sequence = run.receipts[chunk][0]
        if (name, chunk) in self.dead:
            return "dead"
        if sequence <= run.sequence:
            return "applied"
        if sequence in run.fits:
            return "fitted"
        (entry,) = [
            one
            for one in self.work.values()
            if (one.run, one.epoch, one.sequence) == (name, run.epoch, sequence)
        ]
        return "queued" if entry.owner in (None, NOBODY) else "leased"

    # Leases

    def past(self, entry: str, name: str, epoch: int, sequence: int) -> str | None:
        run = self.runs.get(name)
        status = None
        if run is None or run.epoch != epoch:
            status = "superseded"
        elif sequence <= run.sequence or sequence in run.fits:
            status = "duplicate"
        if status:
            self.work.pop(entry, None)
        return status

    def _fetched(self, entries: Iterable[str]) -> list[str]:
        found = []
        for entry in entries:
            one = self.work[entry]
            if not self.past(entry, one.run, one.epoch, one.sequence):
                found.append(entry)
        return found

    def take(self, consumer: str, count: int) -> list[str]:
        found = self._read(consumer, count)
        return found or self._read(consumer, 1)

    def _read(self, consumer: str, count: int) -> list[str]:
        waiting = [entry for entry, one in self.work.items() if one.owner is None][:count]
        for entry in waiting:
            self.work[entry].owner, self.work[entry].deliveries = consumer, 1
        return self._fetched(waiting)

    def take_over(self, consumer: str, in_flight: set[str], count: int) -> tuple[list[str], list[str]]:
        idle = [entry for entry, one in self.work.items() if one.silent or one.owner == NOBODY]
        claimed = [entry for entry in idle[: count + len(in_flight)] if entry not in in_flight][:count]
        for entry in claimed:
            one = self.work[entry]
            one.owner, one.deliveries, one.silent = consumer, one.deliveries + 1, False
        leased, buried = [], []
        for entry in claimed:
            one = self.work[entry]
            if one.deliveries <= LIMIT:
                leased += self._fetched([entry])
            elif self.bury(consumer, entry, one.run, one.epoch, one.sequence, one.chunk) == "dead":
                buried.append(one.chunk)
        return leased, buried

    def owns(self, consumer: str, entry: str) -> bool:
        return entry in self.work and self.work[entry].owner == consumer

    def renew(self, consumer: str, entries: Iterable[str]) -> set[str]:
        owned = {entry for entry in entries if self.owns(consumer, entry)}
        for entry in owned:
            self.work[entry].silent = False
        return owned

    def finish(self, consumer: str, entry: str, name: str, epoch: int, sequence: int) -> str:
        if status := self.past(entry, name, epoch, sequence):
            return status
        if not self.owns(consumer, entry):
            return "lost"
        del self.work[entry]
        run = self.runs[name]
        run.fits[sequence] = consumer
        run.attempts.pop(sequence, None)
        return "finished"

    def hand_back(
        self, consumer: str, entry: str, name: str, epoch: int, sequence: int, error: str | None
    ) -> str:
        if self.past(entry, name, epoch, sequence) or not self.owns(consumer, entry):
            return "lost"
        one = self.work[entry]
        one.owner, one.silent = NOBODY, False
        if error is None:
            one.deliveries -= 1
        else:
            self.runs[name].attempts[sequence] = error
        return "handed back"

    def bury(self, consumer: str, entry: str, name: str, epoch: int, sequence: int, chunk: str) -> str:
        if self.past(entry, name, epoch, sequence) or not self.owns(consumer, entry):
            return "lost"
        del self.work[entry]
        run = self.runs[name]
        run.fits[sequence] = "death"
        run.attempts.pop(sequence, None)
        run.kept[chunk] = run.payloads.pop(sequence)
        self.dead.add((name, chunk))
        return "dead"

    # Statistics

    def held_by(self, holder: str) -> bool:
        return bool(self.epoch) and (self.hold is None or self.hold[0] == holder)

    def turn(self, name: str, epoch: int, hold: tuple[str, int], *, stale: bool) -> bool:
        run = self.runs.get(name)
        if self.hold != hold or run is None or run.epoch != epoch or not run.open or run.stale == stale:
            return False
        run.stale = stale
        self.journal.append("stale" if stale else "fresh")
        return True

    def save(self, page: Page) -> str:
        run = self.runs.get(page.run)
        if self.hold != (page.holder, page.fence):
            return "fenced"
        if run is None or run.epoch != page.epoch:
            return "superseded"
        if run.sequence != page.previous or self.pool != page.pool:
            return "moved"
        self.pool += 1
        run.sequence, run.applied, run.dead = page.sequence, page.applied, page.dead
        for sequence, chunk, fitted_by in page.fits:
            run.history.append(chunk)
            run.payloads.pop(sequence, None)
            assert run.fits.pop(sequence) == fitted_by
        self._drop(run)
        run.alarm = (page.level, page.sequence)
        if page.level != "ok":
            self.journal.append(page.level)
        return "saved"

    def _drop(self, run: Run) -> None:
        """Nobody asks for the events of a closed run whose chunks are all in the statistic."""
        if not run.open and run.accepted == run.sequence:
            run.payloads.clear()

    # People

    def close(self, name: str) -> bool:
        run = self.runs.get(name)
        if run and run.open:
            run.open = False
            self._drop(run)
            self.journal.append("run-closed")
        return run is not None

    def reset(self, name: str, epoch: int) -> bool:
        run = self.runs.get(name)
        if run is None:
            return False
        if run.epoch == epoch:
            self.runs[name] = Run(self.epoch, epoch=epoch + 1)
            self.dead = {(other, chunk) for other, chunk in self.dead if other != name}
            self.journal.append("run-reset")
        return True

    def acknowledge(self, name: str, level: str, sequence: int) -> str:
        run = self.runs.get(name)
        if run is None or run.alarm is None or run.alarm[0] == "ok":
            return "no-alarm"
        if run.alarm != (level, sequence):
            return "changed"
        run.acknowledged = (level, sequence)
        self.journal.append("acknowledged")
        return "acknowledged"

    def whole(self) -> None:
        """Each sequence number of each run is in one place: waiting or in work, done, or applied."""
        for name, run in self.runs.items():
            at_work = [
                one.sequence for one in self.work.values() if (one.run, one.epoch) == (name, run.epoch)
            ]
            live = [sequence for sequence in at_work if sequence > run.sequence and sequence not in run.fits]
            assert sorted([*live, *run.fits]) == list(range(run.sequence + 1, run.accepted + 1))
            assert set(live) <= set(run.payloads)
            assert len(run.history) == run.sequence == run.applied + run.dead
            assert {chunk for other, chunk in self.dead if other == name} == set(run.kept)
