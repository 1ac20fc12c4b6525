"""Every method of the client against the real interface."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import threading
import time

import numpy as np
import pytest
from tests.client.serving import FEATURES, Service, sample

from nplmon.broker.messages import Alarm as StoredAlarm
from nplmon.client import (
    AsyncClient,
    ChunkConflict,
    Client,
    ClientError,
    Invalid,
    Kernel,
    MonitorExists,
    NoCalibration,
    NoStatistic,
    NotFound,
    RunClosed,
    RunsOpen,
    TimedOut,
    UnknownChunk,
    UnknownMonitor,
    UnknownReference,
    UnknownRun,
)


def test_a_reference_is_stored_once_and_its_new_content_becomes_a_version(client: Client) -> None:
    events = sample(150)
    first = client.put_reference("versions", events, FEATURES, ["GeV", ""])
    again = client.put_reference("versions", events, FEATURES, ["GeV", ""])
    other = client.put_reference("versions", events + 1, FEATURES, ["GeV", ""])
    assert (first.events, first.features, first.units) == (150, FEATURES, ("GeV", ""))
    assert again.hash == first.hash != other.hash
    assert client.reference("versions") == other
    assert other in client.references()
    assert first.means == pytest.approx(events.mean(axis=0), abs=1e-5)


def test_weights_travel_as_a_column_of_their_own(client: Client) -> None:
    weights = np.linspace(0.5, 1.5, 150)
    stored = client.put_reference("weighted", sample(150), ["weight", "eta"], ["GeV", "rad"], weights=weights)
    assert stored.weighted
    assert stored.features == ("weight", "eta")
    assert stored.units == ("GeV", "rad")
    assert stored.sum_weights == pytest.approx(150.0, rel=1e-6)


def test_a_pool_is_set_aside_filled_and_looked_at(client: Client) -> None:
    stored = client.put_reference("held", sample(200), FEATURES, ["GeV", ""], pool_share=0.25)
    assert (stored.events, client.pool("held").events) == (150, 50)
    added = client.add_to_pool("held", sample(30) + 1, features=["pt", "eta"])
    assert (added.added, added.pool) == (30, client.pool("held", version=stored.hash))
    assert client.add_to_pool("held", sample(30) + 1, features=["pt", "eta"]).added == 0
    with pytest.raises(Invalid, match="share"):
        client.put_reference("held", sample(200), FEATURES, pool_share=1.5)


def test_a_monitor_is_made_changed_and_deleted(client: Client) -> None:
    client.put_reference("sample", sample(200), FEATURES, ["GeV", ""])
    made = client.create_monitor(
        "settings",
        "sample",
        features=["eta"],
        mode="rate",
        rate=100.0,
        kernel=Kernel(centres=50, sigmas=(2.0, 0.5)),
        alarm={"expected_run_length": 500.0},
        description="a test",
    )
    assert made.features == ("eta",)
    assert (made.mode, made.rate, made.kernel.centres, made.kernel.sigmas) == ("rate", 100.0, 50, (0.5, 2.0))
    assert (made.alarm.expected_run_length, made.alarm.warning_run_length) == (500.0, 100.0)
    assert client.monitor("settings") == made
    assert made in client.monitors()
    changed = client.change_monitor("settings", kernel={"lambda": 1e-4}, description="changed")
    assert (changed.kernel.lambda_, changed.kernel.centres, changed.description) == (1e-4, 50, "changed")
    assert changed.epoch == made.epoch + 1
    with pytest.raises(MonitorExists):
        client.create_monitor("settings", "sample")
    client.delete_monitor("settings")
    with pytest.raises(UnknownMonitor, match="settings"):
        client.monitor("settings")


def test_a_calibration_is_asked_for_looked_at_and_cancelled(client: Client, monitor: str) -> None:
    with pytest.raises(NoCalibration):
        client.calibration(monitor)
    begun = client.calibrate(monitor, toys=10_000, chunks=2, events=10.0, source="disjoint", seed=4)
    plan = begun.calibration.plan
    assert (plan.toys, plan.chunks, plan.events, plan.source, plan.seed) == (10_000, 2, 10.0, "disjoint", 4)
    assert (begun.calibration.state, begun.trainers) == ("running", 0)
    assert client.calibrate(monitor) == client.calibration(monitor) == begun
    assert client.cancel_calibration(monitor).calibration.state == "cancelled"
    with pytest.raises(Invalid, match="no chunk of this monitor is applied"):
        client.calibrate(monitor, statistics=["t_score", "t_agg"])


@pytest.mark.parametrize(
    "events",
    [
        sample(20),
        sample(20).astype(np.float64),
        np.asfortranarray(sample(20)),
        sample(20).astype(">f4"),
        sample(40)[::2],
        (sample(20) * 10).astype(np.int64),
        sample(20).tolist(),
        sample(0x20000),
    ],
    ids=["float32", "float64", "fortran", "big-endian", "strided", "integers", "lists", "in pieces"],
)
def test_the_service_sees_the_events_that_were_pushed(
    service: Service, client: Client, monitor: str, events: object
) -> None:
    receipt = client.push(monitor, "r", events)
    expected = np.asarray(events).astype(np.float32)
    assert receipt.events == len(expected)
    stored = service.with_broker(lambda broker: broker.statistics.payload(monitor, "r", 1))
    assert stored is not None
    assert np.array_equal(np.frombuffer(stored, "<f4").reshape(-1, 2), expected)


def test_a_receipt_tells_the_place_and_what_was_given_with_the_chunk(client: Client, monitor: str) -> None:
    moment = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
    client.push(monitor, "r", sample(5))
    receipt = client.push(monitor, "r", sample(6), chunk="second", exposure=0.5, source_time=moment)
    assert (receipt.monitor, receipt.run, receipt.chunk) == (monitor, "r", "second")
    assert (receipt.sequence, receipt.events, receipt.exposure) == (2, 6, 0.5)
    assert receipt.source_time == moment.timestamp()
    place = client.chunk(monitor, "r", "second")
    assert (place.state, place.receipt.sequence, place.entry) == ("queued", 2, None)


def test_columns_in_another_order_are_named(service: Service, client: Client, monitor: str) -> None:
    events = sample(5)
    client.push(monitor, "r", events[:, ::-1], features=["eta", "pt"])
    stored = service.with_broker(lambda broker: broker.statistics.payload(monitor, "r", 1))
    assert stored is not None
    assert np.array_equal(np.frombuffer(stored, "<f4").reshape(-1, 2), events)


def test_an_id_counts_once_and_conflicts_with_other_content(client: Client, monitor: str) -> None:
    first = client.push(monitor, "r", sample(5), chunk="a")
    again = client.push(monitor, "r", sample(5), chunk="a")
    assert not first.duplicate
    assert again.duplicate
    assert again.sequence == first.sequence
    with pytest.raises(ChunkConflict):
        client.push(monitor, "r", sample(5, seed=1), chunk="a")
    assert client.run(monitor, "r").accepted == 1


def test_runs_are_listed_closed_and_reset(client: Client, monitor: str) -> None:
    client.push(monitor, "first", sample(5))
    client.push(monitor, "second", sample(5))
    assert {run.name for run in client.runs(monitor)} == {"first", "second"}
    with pytest.raises(RunsOpen):
        client.change_monitor(monitor, rate=3.0)
    assert client.close_run(monitor, "first").state == "closed"
    with pytest.raises(RunClosed):
        client.push(monitor, "first", sample(5))
    fresh = client.reset_run(monitor, "first")
    assert (fresh.state, fresh.accepted, fresh.epoch) == ("open", 0, 2)


def test_a_statistic_is_read_with_its_history_and_ratio(
    service: Service, client: Client, monitor: str
) -> None:
    receipts = [client.push(monitor, "r", sample(5, seed)) for seed in range(3)]
    before = client.statistic(monitor)
    assert (before.snapshot, before.pending, before.run.accepted) == (None, 3, 3)
    with pytest.raises(NoStatistic):
        client.density_ratio(monitor)
    with pytest.raises(TimedOut, match=r"chunk number 2 was not applied within 0\.1 s"):
        client.wait_applied(monitor, "r", 2, timeout=0.1)
    service.apply(monitor, "r", stored(receipts), alarm=StoredAlarm(level="alarm", kind="t_agg", sequence=2))
    status = client.wait_applied(monitor, "r", 3, timeout=5.0)
    assert status.snapshot is not None
    t_agg = status.snapshot.statistics["t_agg"]
    assert (t_agg.value, t_agg.p, t_agg.threshold) == (12.0, 1.5e-7, 9.5)
    assert status.snapshot.alarm.level == "alarm"
    history = client.history(monitor, "r", since=1)
    assert [entry.sequence for entry in history.entries] == [2, 3]
    assert (history.next, history.total) == (3, 3)
    ratio = client.density_ratio(monitor, "r")
    assert ratio.features[0].learned == (0.9, 1.1)
    assert client.chunk(monitor, "r", receipts[0].chunk).entry is not None


def test_events_begin_with_the_present_snapshot_and_go_on(
    service: Service, client: Client, monitor: str
) -> None:
    receipts = [client.push(monitor, "r", sample(5, seed)) for seed in range(2)]
    service.apply(monitor, "r", stored(receipts[:1]))
    seen = []
    stream = client.events(monitor, "r")
    seen.append(next(stream))
    later = threading.Timer(0.2, service.apply, (monitor, "r", stored(receipts[1:])), {"t": 13.0})
    later.start()
    seen.append(next(stream))
    later.join()
    stream.close()
    assert [snapshot.sequence for snapshot in seen] == [1, 2]
    assert [snapshot.statistics["t_agg"].value for snapshot in seen] == [12.0, 13.0]


def test_the_asynchronous_client_does_the_same(service: Service, client: Client, monitor: str) -> None:
    async def visit() -> None:
        async with AsyncClient(service.url, deadline=10.0) as awaiting:
            receipt = await awaiting.push(monitor, "r", sample(0x20000))
            assert receipt.events == 0x20000
            receipts = [r async for r in awaiting.push_many(monitor, "r", (sample(4, s) for s in range(5)))]
            assert [r.sequence for r in receipts] == [2, 3, 4, 5, 6]
            service_receipts = stored([receipt, *receipts])
            await asyncio.to_thread(service.apply, monitor, "r", service_receipts)
            status = await awaiting.wait_applied(monitor, "r", 6, timeout=5.0)
            assert status == client.statistic(monitor, "r")
            stream = awaiting.events(monitor)
            assert (await anext(stream)).sequence == 6
            await stream.aclose()
            with pytest.raises(UnknownRun):
                await awaiting.run(monitor, "other")

    asyncio.run(visit())


def test_dead_chunks_are_listed_and_only_they_are_replayed(
    service: Service, client: Client, monitor: str
) -> None:
    receipts = [client.push(monitor, "r", sample(5), chunk=name) for name in ("ill", "alive")]
    assert client.dead(monitor) == ()
    service.kill(monitor)
    (death,) = client.dead(monitor)
    assert (death.receipt, death.error) == (receipts[0], "broken")
    assert client.replay(monitor, "r", "ill").sequence == 3
    assert client.dead(monitor) == ()
    assert client.replay(monitor, "r", "alive").sequence == 2
    with pytest.raises(UnknownChunk):
        client.replay(monitor, "r", "nothing")


@pytest.mark.parametrize(
    ("refuse", "kind", "slug"),
    [
        (lambda c, m: c.reference("nothing"), UnknownReference, "unknown-reference"),
        (lambda c, m: c.monitor("nothing"), UnknownMonitor, "unknown-monitor"),
        (lambda c, m: c.run(m, "nothing"), UnknownRun, "unknown-run"),
        (lambda c, m: (c.push(m, "r", sample(2)), c.chunk(m, "r", "nothing")), UnknownChunk, "unknown-chunk"),
        (lambda c, m: c.push(m, "r", [[1.0, float("nan")]]), Invalid, "not-finite"),
        (lambda c, m: c.push(m, "r", np.zeros((0, 2))), Invalid, "no-events"),
        (lambda c, m: c.push(m, "r", np.zeros((3, 5))), Invalid, None),
        (lambda c, m: c.push(m, "r", sample(2), exposure=-1.0), Invalid, "exposure"),
        (lambda c, m: c.push(m, "a run/with slash", sample(2)), ClientError, None),
        (lambda c, m: c.create_monitor("x", "sample", features=["nothing"]), Invalid, "features"),
    ],
)
def test_a_refusal_is_typed_and_says_what_to_do(
    client: Client, monitor: str, refuse: object, kind: type[Exception], slug: str | None
) -> None:
    with pytest.raises(kind) as caught:
        refuse(client, monitor)  # type: ignore[operator]  # a parameter
    error = caught.value
    assert "\n" not in str(error)
    if slug is not None:
        assert error.slug == slug  # type: ignore[attr-defined]  # all refusals have it
        assert error.field  # type: ignore[attr-defined]  # all refusals have it
        assert error.remedy in str(error)  # type: ignore[attr-defined]  # all refusals have it
    assert isinstance(error, ClientError | NotFound)


def test_wrong_arguments_are_told_before_anything_is_sent() -> None:
    with Client("http://127.0.0.1:9", deadline=0.2) as client:
        with pytest.raises(TypeError, match="dtype <U1"):
            client.push("m", "r", [["a", "b"]])
        with pytest.raises(ValueError, match="chunk id 'é' is not a name"):
            client.push("m", "r", sample(1), chunk="é")
        with pytest.raises(ValueError, match="time zone"):
            client.push("m", "r", sample(1), source_time=dt.datetime(2026, 1, 1))  # noqa: DTZ001  # the point
    with pytest.raises(ClientError, match="http://HOST:PORT"):
        Client("localhost:8471")


def test_the_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPLMON_URL", "http://elsewhere:1/")
    assert Client().url == "http://elsewhere:1"


def test_both_clients_have_the_same_methods_with_documentation() -> None:
    def methods(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))}

    assert methods(Client) == methods(AsyncClient)
    undocumented = {name for name in methods(Client) if not inspect.getdoc(getattr(Client, name))}
    assert not undocumented
    with Client("http://127.0.0.1:9") as client:
        assert "exposure" in inspect.signature(client.push).parameters


def stored(receipts: list[object]) -> list[object]:
    """Receipts as the store has them; here any object with the same attributes does."""
    assert all(receipt.accepted_at <= time.time() + 1 for receipt in receipts)  # type: ignore[attr-defined]  # receipts
    return receipts
