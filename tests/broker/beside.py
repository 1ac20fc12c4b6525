"""The store and the model side by side: every rule does the same to both, and they are compared after each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from redis import Redis
from tests.broker.model import Model, Page
from tests.broker.observed import KEYS, M, compare
from tests.broker.samples import a_monitor, a_reference
from tests.keys import leaks

from nplmon.broker import (
    AlarmChanged,
    Broker,
    EpochMoved,
    Lease,
    MonitorExists,
    NoAlarm,
    RunsOpen,
    UnknownMonitor,
    UnknownRun,
    runs,
)

T = TypeVar("T")

names = st.sampled_from(("7", "8"))
chunks = st.sampled_from([f"c{i}" for i in range(1, 13)])
consumers = st.sampled_from(("t1", "t2"))
holders = st.sampled_from(("a1", "a2"))
times = st.sampled_from((1, 1, 2))
"""A call whose reply was lost is made again."""
which = st.sampled_from((-1, -1, -2, -3, 0, 1, 2))
"""The newest of its kind mostly."""
rarely = st.sampled_from((False,) * 7 + (True,))


SEEN: Counter[tuple[str, str]] = Counter()
"""How often each function was answered so."""


class Beside(RuleBasedStateMachine):
    """The store and the model, with what people do to monitors and runs."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.redis = Redis.from_url(url, protocol=2)
        self.redis.flushall()
        self.broker = Broker.connect(url)
        self.model = Model()
        self.leases: list[tuple[str, Lease]] = []
        """All that were ever given out, also those that nobody knows of any more."""
        self.holds: list[tuple[str, int]] = []
        self.pages: list[Page] = []

    def teardown(self) -> None:
        assert list(leaks(self.redis)) == []
        self.redis.close()
        self.wait(self.broker.close())
        self.loop.close()

    def wait(self, asked: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asked)

    def raised(self, asked: Coroutine[Any, Any, Any], *kinds: type[Exception]) -> bool:
        try:
            self.wait(asked)
        except kinds:
            return True
        return False

    @initialize()
    def reference(self) -> None:
        self.wait(self.broker.references.put(a_reference(), b"events"))
        self.create(1, sure=True)

    # Monitors

    @rule(times=times, sure=rarely)
    def create(self, times: int, *, sure: bool) -> None:
        for _ in range(times * (sure or not self.model.epoch)):
            there, self.model.epoch = self.model.epoch, self.model.epoch or 1
            refused = self.raised(self.broker.monitors.create(a_monitor()), MonitorExists)
            assert refused == (there > 1), "the very same call is the same creation"
            SEEN["create", str(not refused)] += 1

    @rule(times=times)
    def change(self, times: int) -> None:
        wanted = self.model.epoch + 1
        for _ in range(times):
            asked = self.broker.monitors.change(a_monitor(epoch=wanted), statistical=True)
            is_open = any(run.open for run in self.model.runs.values())
            refused = self.raised(asked, UnknownMonitor, RunsOpen, EpochMoved)
            assert refused == (self.model.epoch == 0 or (self.model.epoch < wanted and is_open))
            SEEN["change", str(not refused)] += 1
            if not refused and self.model.epoch < wanted:
                self.model.epoch = wanted
                self.model.journal.append("monitor-changed")
                self.create(1, sure=True)

    @precondition(lambda self: self.model.epoch == 0 or self.model.runs)
    @rule(times=times, sure=rarely)
    def delete(self, times: int, sure: bool) -> None:
        for _ in range(times * sure):
            refused = self.raised(self.broker.monitors.delete(M), UnknownMonitor)
            assert refused == (self.model.epoch == 0)
            SEEN["delete", str(not refused)] += 1
            self.model.clear()

    # People

    @rule(name=names, times=times, sure=rarely)
    def close(self, name: str, times: int, *, sure: bool) -> None:
        for _ in range(times * sure):
            asked = self.broker.runs.close(M, name)
            closed = self.model.close(name)
            SEEN["close", str(closed)] += 1
            assert self.raised(asked, UnknownRun, UnknownMonitor) != closed

    @rule(name=names, times=times, sure=rarely)
    def reset(self, name: str, times: int, *, sure: bool) -> None:
        epoch = self.model.runs[name].epoch if name in self.model.runs else 1
        one = KEYS.run(name)
        for _ in range(times * sure):
            fields = self.wait(
                runs.reset(
                    self.broker.connection, monitor=KEYS.monitor, run=one.hash, open_runs=KEYS.open_runs,
                    dead=KEYS.dead, done=KEYS.done, journal=KEYS.journal, contents=one.contents, name=name,
                    epoch=epoch, updates=KEYS.updates, who="me",
                )
            )  # fmt: skip
            assert bool(fields) == self.model.reset(name, epoch)
            SEEN["reset", str(bool(fields))] += 1

    @rule(name=names, level=st.sampled_from(("warning", "alarm")), off=st.sampled_from((0, 0, 1)))
    def acknowledge(self, name: str, level: str, off: int) -> None:
        run = self.model.runs.get(name)
        sequence = (run.alarm[1] if run and run.alarm else 1) + off
        wanted = self.model.acknowledge(name, level, sequence)
        SEEN["acknowledge", wanted] += 1
        asked = self.broker.alarms.acknowledge(M, name, level=level, sequence=sequence, who="me", comment="")
        kinds = {"no-alarm": NoAlarm, "changed": AlarmChanged}
        assert self.raised(asked, *([kinds[wanted]] if wanted in kinds else [])) == (wanted in kinds)

    @rule(begin=st.booleans(), times=times)
    def test_alarm(self, begin: bool, times: int) -> None:
        for _ in range(times):
            if begin:
                asked = self.broker.alarms.begin_test(M, seconds=3600.0, who="me", comment="")
                assert self.raised(asked, UnknownMonitor) == (self.model.epoch == 0)
                self.model.test = self.model.epoch > 0
                SEEN["begin test", str(self.model.test)] += 1
                self.model.journal += ["test-begun"] * self.model.test
            else:
                assert self.wait(self.broker.alarms.end_test(M, who="me")) == self.model.test
                SEEN["end test", str(self.model.test)] += 1
                self.model.journal += ["test-ended"] * self.model.test
                self.model.test = False

    # What is there

    def last_entry(self) -> str:
        ((entry, _),) = self.redis.xrevrange(KEYS.work, count=1)
        return entry.decode()

    @invariant()
    def the_model_is_whole(self) -> None:
        self.model.whole()

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        compare(self.redis, self.model)
