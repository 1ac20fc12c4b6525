"""The simulated trigger: pace, ids, columns, labels; against a transport that answers as the service does."""

from __future__ import annotations

import io
import itertools
import json

import httpx
import numpy as np
import pytest

from nplmon.client import AlarmPolicy, ChunkConflict, Client, Kernel, encode
from nplmon.simulators.errors import SimulationError
from nplmon.simulators.pusher import paced, push
from nplmon.simulators.scenario import scenario

MONITOR = {
    "name": "m",
    "epoch": 1,
    "reference": "r",
    "reference_hash": "0" * 64,
    "features": ["eta1", "pt1"],
    "units": ["", "GeV"],
    "mode": "shape",
    "kernel": encode(Kernel()),
    "alarm": encode(AlarmPolicy()),
    "created_at": 1.0,
    "changed_at": 1.0,
}


class Service:
    """Keeps what is pushed; the same id with the same body is a duplicate, with another a conflict."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.headers: dict[str, httpx.Headers] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=MONITOR)
        body = request.read()
        name = request.headers["Nplmon-Chunk-Id"]
        known = self.bodies.get(name)
        if known is not None and known != body:
            return httpx.Response(
                409,
                content=json.dumps({"type": "/problems/chunk-conflict", "detail": "other content"}),
                headers={"content-type": "application/problem+json"},
            )
        self.bodies[name] = body
        self.headers[name] = request.headers
        receipt = {
            "monitor": "m",
            "monitor_epoch": 1,
            "run": "r1",
            "run_epoch": 1,
            "chunk": name,
            "sequence": list(self.bodies).index(name) + 1,
            "events": len(self.events(name)),
            "digest": "0" * 64,
            "accepted_at": 1.0,
        }
        headers = {"Nplmon-Duplicate": "true"} if known is not None else {}
        return httpx.Response(200 if known is not None else 202, json=receipt, headers=headers)

    def events(self, name: str) -> np.ndarray:
        return np.load(io.BytesIO(self.bodies[name]), allow_pickle=False)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def client(service):
    with Client("http://service", transport=httpx.MockTransport(service)) as client:
        yield client


def _push(client, **settings):
    made = scenario("dimuon-resonance")
    stream = {"start": 3, "events": 50} | settings
    return list(
        push(
            client,
            made.chunks(4, **stream),
            monitor="m",
            run="r1",
            stream="dimuon-resonance-s1",
            features=made.features,
            exposure=2.5,
        )
    )


def test_chunks_arrive_with_ids_labels_and_the_monitors_columns(client, service):
    pushed = _push(client)
    assert [(p.number, p.anomalous, p.receipt.events) for p in pushed] == [
        (1, False, 50),
        (2, False, 50),
        (3, True, 50),
        (4, True, 50),
    ]
    assert list(service.bodies) == [f"dimuon-resonance-s1-00000{n}" for n in (1, 2, 3, 4)]
    second = scenario("dimuon-resonance").chunk(2, events=50).events
    np.testing.assert_array_equal(service.events("dimuon-resonance-s1-000002"), second[:, [2, 0]])
    assert float(service.headers["dimuon-resonance-s1-000001"]["Nplmon-Exposure"]) == 2.5


def test_a_simulation_repeated_is_counted_once_and_another_is_refused(client):
    _push(client)
    assert all(p.receipt.duplicate for p in _push(client))
    with pytest.raises(ChunkConflict):
        _push(client, strength=0.5)


def test_a_monitor_of_other_features_is_refused_before_any_push(client, service):
    made = scenario("expo-13")
    pushed = push(client, made.chunks(4), monitor="m", run="r1", stream="s", features=made.features)
    with pytest.raises(SimulationError, match="monitor 'm' needs the feature 'eta1'; the stream has x"):
        next(pushed)
    assert not service.bodies


def test_an_endless_stream_is_drawn_only_as_it_is_pushed(client, service):
    made = scenario("dimuon-quiet")
    pushed = push(client, made.chunks(events=10), monitor="m", run="r1", stream="s", features=made.features)
    assert [p.number for p in itertools.islice(pushed, 3)] == [1, 2, 3]
    assert len(service.bodies) == 3


def test_pace_counts_from_the_first_chunk_and_a_late_one_delays_none():
    """Due at 0, 0.5, 1.0, 1.5 s; the second takes 0.7 s, so the third is late and goes at once."""
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    sent = []
    for number in paced(range(4), 2.0, clock=lambda: now[0], sleep=sleep):
        sent.append(now[0] - 100)
        now[0] += 0.7 if number == 1 else 0.0
    assert sent == pytest.approx([0.0, 0.5, 1.2, 1.5])


def test_rate_zero_never_waits():
    def sleep(seconds: float) -> None:
        pytest.fail(f"waited {seconds} s")

    assert list(paced(range(3), 0.0, sleep=sleep)) == [0, 1, 2]
