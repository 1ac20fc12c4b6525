"""The road of a chunk as rules: every rule does the same to the store and to the model."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from tests.broker.beside import SEEN, Beside, chunks, consumers, holders, names, rarely, times, which
from tests.broker.model import BACKLOG, LIMIT, NOBODY, Page
from tests.broker.observed import KEYS, M
from tests.broker.samples import a_fit, a_line, a_snapshot

from nplmon.broker import (
    Lease,
    UnknownChunk,
)
from nplmon.broker.alarm_messages import JournalEntry
from nplmon.broker.keys import GROUP
from nplmon.broker.messages import Alarm, Fit


class Machine(Beside):
    """All that processes do on the road of a chunk."""

    # Admission

    @rule(
        name=names,
        chunk=chunks,
        other=st.sampled_from((0, 0, 0, 1)),
        late=st.sampled_from((0, 0, 0, 1)),
        times=times,
    )
    def admit(self, name: str, chunk: str, other: int, late: int, times: int) -> None:
        content = f"{chunk} {other}".encode()
        for _ in range(times):
            epoch = self.model.epoch + late
            wanted = self.model.admit(name, chunk, content, epoch)
            SEEN["admit", wanted] += 1
            found = self.wait(
                self.broker.admission.admit(
                    monitor=M, monitor_epoch=epoch, run=name, chunk=chunk, digest=content.hex(), payload=content,
                    events=1, exposure=None, source_time=None, backlog_limit=BACKLOG,
                )
            )  # fmt: skip
            assert found.status == wanted
            if wanted == "accepted":
                self.model.entered(name, chunk, content, self.last_entry())
            if wanted in ("accepted", "duplicate", "conflict"):
                assert found.receipt is not None
                assert found.receipt.sequence == self.model.runs[name].receipts[chunk][0]

    @rule(name=names, chunk=chunks, times=times)
    def replay(self, name: str, chunk: str, times: int) -> None:
        for _ in range(times):
            wanted = self.model.replay(name, chunk)
            SEEN["replay", wanted] += 1
            asked = self.broker.admission.replay(M, name, chunk, BACKLOG)
            if wanted == "unknown-chunk":
                assert self.raised(asked, UnknownChunk)
                continue
            assert self.wait(asked).status == wanted
            if wanted == "accepted":
                content = self.model.runs[name].kept.pop(chunk)
                self.model.entered(name, chunk, content, self.last_entry())

    @precondition(lambda self: self.model.runs)
    @rule(name=names, chunk=chunks, times=times)
    def delete_dead(self, name: str, chunk: str, times: int) -> None:
        name, chunk = min(self.model.dead, default=(name, chunk))
        for _ in range(times):
            asked = self.broker.dead_letters.delete(M, name, chunk, who="me")
            deleted = self.model.delete_dead(name, chunk)
            SEEN["delete dead", str(deleted)] += 1
            assert self.raised(asked, UnknownChunk) != deleted

    @rule(name=names, chunk=chunks)
    def place(self, name: str, chunk: str) -> None:
        wanted = self.model.place(name, chunk)
        SEEN["place", str(wanted)] += 1
        if wanted is None:
            assert self.raised(self.broker.admission.place(M, name, chunk), UnknownChunk)
        else:
            assert self.wait(self.broker.admission.place(M, name, chunk))[0] == wanted

    # Leases

    @rule(consumer=consumers, count=st.integers(1, 3), lost=st.booleans())
    def take(self, consumer: str, count: int, lost: bool) -> None:
        wanted = self.model.take(consumer, count)
        SEEN["take", "some" if wanted else "none"] += 1
        found = self.wait(self.broker.leases.take(consumer, [M], count=count, block_seconds=0.001))
        self.check(found, wanted)
        self.leases += [] if lost else [(consumer, one) for one in found]

    @rule(consumer=consumers, count=st.integers(1, 3), lost=st.booleans())
    def take_over(self, consumer: str, count: int, lost: bool) -> None:
        known = {one.entry for owner, one in self.leases if owner == consumer}
        in_flight = {entry for entry in known if self.model.owns(consumer, entry)}
        wanted, buried = self.model.take_over(consumer, in_flight, count)
        SEEN["take over", "some" if wanted else "buried" if buried else "none"] += 1
        found, deaths = self.wait(
            self.broker.leases.take_over(
                consumer, M, idle_seconds=1000.0, deliveries_limit=LIMIT, in_flight=in_flight, count=count
            )
        )
        self.check(found, wanted)
        assert [death.receipt.chunk for death in deaths] == buried
        self.leases += [] if lost else [(consumer, one) for one in found]

    def check(self, found: list[Lease], wanted: list[str]) -> None:
        assert [one.entry for one in found] == wanted
        for one in found:
            entry = self.model.work[one.entry]
            assert one.deliveries == entry.deliveries
            assert one.payload == self.model.runs[entry.run].payloads[entry.sequence]

    @precondition(lambda self: self.leases)
    @rule(which=which)
    def fall_silent(self, which: int) -> None:
        """Let the lease of an entry in somebody's hands expire."""
        held = [(entry, one) for entry, one in self.model.work.items() if one.owner not in (None, NOBODY)]
        if held:
            entry, one = held[which % len(held)]
            one.silent = True
            self.redis.xclaim(KEYS.work, GROUP, one.owner, 0, [entry], idle=3_600_000, justid=True)

    @rule(consumer=consumers)
    def renew(self, consumer: str) -> None:
        held = [one for owner, one in self.leases if owner == consumer]
        wanted = self.model.renew(consumer, [one.entry for one in held])
        SEEN["renew", "some" if wanted else "none"] += 1
        assert self.wait(self.broker.leases.renew(consumer, held)) == wanted

    @precondition(lambda self: self.leases)
    @rule(which=which, times=times)
    def finish(self, which: int, times: int) -> None:
        for _ in range(times):
            consumer, lease = self.leases[which % len(self.leases)]
            fit = msgspec.structs.replace(a_fit(lease), trainer=consumer)
            one = lease.receipt
            wanted = self.model.finish(consumer, lease.entry, one.run, one.run_epoch, one.sequence)
            SEEN["finish", wanted] += 1
            assert self.wait(self.broker.leases.finish(consumer, lease, fit)) == wanted

    @precondition(lambda self: self.leases)
    @rule(which=which, error=st.sampled_from((None, "boom")), times=times)
    def hand_back(self, which: int, error: str | None, times: int) -> None:
        for _ in range(times):
            consumer, lease = self.leases[which % len(self.leases)]
            one = lease.receipt
            of = (consumer, lease.entry, one.run, one.run_epoch, one.sequence)
            if error is not None and lease.deliveries >= LIMIT:
                wanted = self.model.bury(*of, one.chunk)
            else:
                wanted = self.model.hand_back(*of, error)
            SEEN["hand back", wanted] += 1
            assert self.wait(self.broker.leases.hand_back(consumer, lease, error, LIMIT)) == wanted

    @rule(consumer=consumers)
    def leave(self, consumer: str) -> None:
        self.wait(self.broker.leases.leave(consumer, [M]))

    # Statistics

    @rule(holder=holders, times=times)
    def hold(self, holder: str, times: int) -> None:
        for _ in range(times):
            fence = self.wait(self.broker.statistics.hold(M, holder, 3600.0))
            assert (fence is not None) == self.model.held_by(holder)
            SEEN["hold", str(fence is not None)] += 1
            if fence is None:
                continue
            if self.model.hold is None:
                assert all(fence > before for before in self.model.fences)
                self.model.hold = (holder, fence)
                self.model.fences.append(fence)
                self.holds.append((holder, fence))
            assert self.model.hold == (holder, fence)

    @rule()
    def hold_expires(self) -> None:
        """Let the holder stand still for too long; it does not know."""
        self.redis.delete(KEYS.aggregator)
        self.model.hold = None

    @rule(holder=holders, times=times)
    def release(self, holder: str, times: int) -> None:
        for _ in range(times):
            self.wait(self.broker.statistics.release(M, holder))
            if self.model.hold and self.model.hold[0] == holder:
                self.model.hold = None

    @precondition(lambda self: self.holds)
    @rule(which=which, name=names, count=st.integers(1, 3), level=st.sampled_from(("ok", "warning", "alarm")))
    def read(self, which: int, name: str, count: int, level: str) -> None:
        """Let an aggregator read, and compute what it is about to save; meanwhile anything may happen."""
        run = self.model.runs.get(name)
        if run is None:
            return
        holder, fence = self.holds[which % len(self.holds)]
        found = self.wait(self.broker.statistics.fits(M, name, run.sequence, count))
        fits = tuple(
            (one.receipt.sequence, one.receipt.chunk, one.trainer if isinstance(one, Fit) else "death")
            for one in found
        )
        assert [sequence for sequence, _, _ in fits] == list(
            range(run.sequence + 1, run.sequence + 1 + len(fits))
        )
        if fits:
            deaths = sum(fitted_by == "death" for _, _, fitted_by in fits)
            self.pages.append(
                Page(
                    holder, fence, name, run.epoch, run.sequence, fits,
                    run.applied + len(fits) - deaths, run.dead + deaths, self.model.pool, level,
                )
            )  # fmt: skip

    @precondition(lambda self: self.pages)
    @rule(which=which, times=times)
    def save(self, which: int, times: int) -> None:
        for _ in range(times):
            page = self.pages[which % len(self.pages)]
            snapshot = msgspec.structs.replace(
                a_snapshot(page.sequence, page.dead),
                run=page.run,
                alarm=Alarm(level=page.level, sequence=page.sequence),
                chunks=page.applied,
            )
            sequences = [sequence for sequence, _, _ in page.fits]
            found = self.wait(
                self.broker.statistics.save(
                    M, page.run, holder=page.holder, fence=page.fence, run_epoch=page.epoch, previous=page.previous,
                    snapshot=snapshot, state=repr(page).encode(), projection=None, pool=(page.pool, page.pool + 1),
                    history=[msgspec.structs.replace(a_line(i), chunk=chunk) for i, chunk, _ in page.fits],
                    drop_payloads=sequences, drop_fits=sequences,
                    journal=[JournalEntry(kind=page.level)] if page.level != "ok" else [],
                )
            )  # fmt: skip
            wanted = self.model.save(page)
            SEEN["save", wanted] += 1
            assert found == wanted

    @precondition(lambda self: self.holds)
    @rule(which=which, name=names, stale=st.booleans(), times=times)
    def turn(self, which: int, name: str, stale: bool, times: int) -> None:
        for _ in range(times):
            holder, fence = self.holds[which % len(self.holds)]
            epoch = self.model.runs[name].epoch if name in self.model.runs else 1
            wanted = self.model.turn(name, epoch, (holder, fence), stale=stale)
            SEEN["turn", str(wanted)] += 1
            asked = self.broker.staleness.turn(
                M, name, epoch=epoch, stale=stale, text="", holder=holder, fence=fence
            )
            assert self.wait(asked) == wanted

    # A good way along the road, so that what comes late is come by as well

    @rule(name=names, chunk=chunks, consumer=consumers)
    def fit(self, name: str, chunk: str, consumer: str) -> None:
        self.admit(name, chunk, 0, 0, 1)
        self.take(consumer, 3, lost=False)
        for newest in (-1, -2, -3)[: len(self.leases)]:
            self.finish(newest, 1)

    @rule(name=names, chunk=chunks, consumer=consumers, silently=st.booleans())
    def kill(self, name: str, chunk: str, consumer: str, *, silently: bool) -> None:
        self.admit(name, chunk, 0, 0, 1)
        self.take(consumer, 1, lost=False)
        for _ in range(LIMIT if self.leases else 0):
            if silently:
                self.fall_silent(-1)
            else:
                self.hand_back(-1, "boom", 1)
            self.take_over("t1" if consumer == "t2" else "t2", 1, lost=False)
            self.renew("t1")
        self.place(name, chunk)

    @rule(name=names, holder=holders, consumer=consumers)
    def alarm(self, name: str, holder: str, consumer: str) -> None:
        for chunk in ("c1", "c2"):
            self.fit(name, chunk, consumer)
        self.apply(name, holder, "alarm")
        self.acknowledge(name, "alarm", 0)

    @rule(name=names)
    def crowd(self, name: str) -> None:
        for chunk in ("c1", "c2", "c3", "c4"):
            self.admit(name, chunk, 0, 0, 1)
            self.place(name, chunk)
        self.replay_dead()

    @rule(name=names, chunk=chunks, holder=holders, sure=rarely)
    def begin_anew(self, name: str, chunk: str, holder: str, *, sure: bool) -> None:
        """Reset a run between what an aggregator reads and what it saves."""
        self.fit(name, chunk, "t1")
        self.hold(holder, 1)
        if self.holds:
            self.read(-1, name, 3, "ok")
        self.reset(name, 1, sure=sure)
        if self.pages:
            self.save(-1, 1)

    @precondition(lambda self: self.model.dead)
    @rule(sure=rarely)
    def shut(self, *, sure: bool) -> None:
        for name, _ in list(self.model.dead):
            self.close(name, 1, sure=sure)
        self.replay_dead()

    def replay_dead(self) -> None:
        for name, chunk in sorted(self.model.dead):
            self.replay(name, chunk, 1)

    @rule(name=names, holder=holders, level=st.sampled_from(("ok", "warning", "alarm")))
    def apply(self, name: str, holder: str, level: str) -> None:
        self.hold(holder, 1)
        if self.holds:
            self.read(-1, name, 3, level)
        if self.pages:
            self.save(-1, 1)
