"""What a store holds of the road of a chunk, compared with the model."""

from __future__ import annotations

from typing import Any

from tests.broker.model import Model, Run

from nplmon.broker.alarm_messages import JournalEntry
from nplmon.broker.encoding import from_json, unpack
from nplmon.broker.keys import GROUP, MonitorKeys
from nplmon.broker.messages import Fit, HistoryEntry, Receipt
from nplmon.broker.runs import run_of

M = "muons"
KEYS = MonitorKeys(M)


def compare(redis: Any, model: Model) -> None:
    """Compare every key of the monitor, read at once."""
    runs = [KEYS.run(name) for name in ("7", "8")]
    with redis.pipeline() as asked:
        asked.xrange(KEYS.work)
        asked.get(KEYS.aggregator)
        asked.hkeys(KEYS.dead)
        asked.zrange(KEYS.runs, 0, -1)
        asked.smembers(KEYS.open_runs)
        asked.hget(KEYS.positions, "ab12")
        asked.xrange(KEYS.journal)
        asked.exists(KEYS.test_alarm)
        for keys in runs:
            asked.hgetall(keys.hash)
            for key in (keys.receipts, keys.payloads, keys.kept, keys.attempts, keys.fits):
                asked.hgetall(key)
            asked.lrange(keys.history, 0, -1)
            asked.exists(keys.state, keys.snapshot)
        if model.epoch:
            asked.xpending_range(KEYS.work, GROUP, "-", "+", 100)
        found = asked.execute()
    work, hold, dead, names, is_open, position, journal, test = found[:8]
    entries = [(entry.decode(), from_json(fields[b"receipt"], Receipt)) for entry, fields in work]
    assert [(entry, one.run, one.run_epoch, one.sequence, one.chunk) for entry, one in entries] == [
        (entry, one.run, one.epoch, one.sequence, one.chunk) for entry, one in model.work.items()
    ]
    assert [
        (one["message_id"].decode(), one["consumer"].decode(), one["times_delivered"])
        for one in (found[-1] if model.epoch else [])
    ] == [(entry, one.owner, one.deliveries) for entry, one in model.work.items() if one.owner]
    assert hold == (model.hold and f"{model.hold[0]} {model.hold[1]}".encode())
    assert {tuple(key.decode().split(":")) for key in dead} == model.dead
    assert {name.decode() for name in names} == set(model.runs)
    assert {name.decode() for name in is_open} == {name for name, run in model.runs.items() if run.open}
    assert int(position or 0) == model.pool
    assert [from_json(fields[b"entry"], JournalEntry).kind for _, fields in journal] == model.journal
    assert bool(test) == model.test
    _compare_run("7", model.runs.get("7"), *found[8:16])
    _compare_run("8", model.runs.get("8"), *found[16:24])


def _compare_run(  # noqa: PLR0917 (as they are read)
    name: str, run: Run | None, fields: Any, receipts: Any, payloads: Any, kept: Any, attempts: Any, fits: Any,
    history: Any, saved: int,
) -> None:  # fmt: skip
    if run is None:
        assert not any((fields, receipts, payloads, kept, attempts, fits, history, saved))
        return
    found = run_of(M, name, fields)
    said = found.acknowledged and (found.acknowledged.level, found.acknowledged.sequence)
    assert (found.state == "open", found.epoch, found.monitor_epoch, found.accepted, found.applied, found.dead) == (
        run.open, run.epoch, run.monitor_epoch, run.accepted, run.applied, run.dead,
    )  # fmt: skip
    assert said == run.acknowledged
    told = {chunk.decode(): from_json(body, Receipt) for chunk, body in receipts.items()}
    assert {chunk: (one.sequence, bytes.fromhex(one.digest)) for chunk, one in told.items()} == run.receipts
    assert {int(i): body for i, body in payloads.items()} == run.payloads
    assert {chunk.decode(): body for chunk, body in kept.items()} == run.kept
    assert {int(i): text.decode() for i, text in attempts.items()} == run.attempts
    results = {int(i): unpack(body) for i, body in fits.items()}
    assert {i: one.trainer if isinstance(one, Fit) else "death" for i, one in results.items()} == run.fits
    lines = [from_json(line, HistoryEntry) for line in history]
    assert [line.chunk for line in lines] == run.history
    assert [line.sequence for line in lines] == list(range(1, run.sequence + 1))
    assert saved == 2 * bool(run.sequence)
