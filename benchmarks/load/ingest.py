"""Chunks of 800 kB over HTTP: what taking one costs the API beside reading its body."""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import numpy as np
import psutil
from benchmarks.clock import Subject, duration, interleaved, quotient
from benchmarks.row import Goal, Row

if TYPE_CHECKING:
    from fastapi import Request

EVENTS, FEATURES = 40_000, 5
PUSH = "/v1/monitors/m/runs/r/chunks"
HEADERS = {"Content-Type": "application/x-npy"}
REQUESTS = 400


def rows(repeats: int) -> list[Row]:
    """Compare the API's processor time for a push, its admission taken away, with that of reading a body."""
    with stub() as (url, process), httpx.Client(base_url=url, trust_env=False, timeout=60.0) as client:
        bodies = [body(i) for i in range(8)]

        def clock() -> float:
            used = process.cpu_times()
            return float(used.user + used.system)

        def send(path: str) -> None:
            for i in range(REQUESTS):
                client.post(path, content=bodies[i % len(bodies)], headers=HEADERS).raise_for_status()

        times = interleaved(
            {
                "push": Subject(run=lambda: send(PUSH), units=REQUESTS, clock=clock),
                "no-op": Subject(run=lambda: send("/no-op"), units=REQUESTS, clock=clock),
            },
            repeats,
        )
    return [
        Row(
            work="push of 800 kB npy, before storage",
            compared="a route that reads the body; requests per CPU second of the API",
            unit="of its requests",
            ratio=quotient(times["no-op"], times["push"]),
            goal=Goal(low=0.8),
            milliseconds=duration(times["push"]),
            compared_milliseconds=duration(times["no-op"]),
            note="npy, all checks, digest; one process, one connection",
        )
    ]


def body(seed: int) -> bytes:
    """Give a chunk as npy."""
    file = io.BytesIO()
    np.save(file, np.random.default_rng([1, seed]).exponential(size=(EVENTS, FEATURES)).astype(np.float32))
    return file.getvalue()


@contextmanager
def stub() -> Iterator[tuple[str, psutil.Process]]:
    """Serve the application without its store in a process of its own: an admission that nods."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(port,))
    process.start()
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60.0
    while True:
        try:
            httpx.get(f"{url}/healthz", trust_env=False)
            break
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    try:
        yield url, psutil.Process(process.pid)
    finally:
        process.kill()
        process.join()


def _serve(port: int) -> None:
    import uvicorn  # noqa: PLC0415  # in the child alone
    from starlette.responses import Response  # noqa: PLC0415

    from nplmon.api import create_app  # noqa: PLC0415
    from nplmon.broker import Admitted, Broker  # noqa: PLC0415
    from nplmon.broker.messages import Monitor, Receipt  # noqa: PLC0415
    from nplmon.settings import Settings  # noqa: PLC0415

    broker = Broker.connect("unix:///nowhere")
    known = Monitor(
        name="m",
        epoch=1,
        reference="r",
        reference_hash="ab",
        features=tuple("abcde"),
        units=("",) * FEATURES,
        created_at=0.0,
        changed_at=0.0,
    )

    async def get(name: str) -> Monitor:  # noqa: ARG001  # the name of the real one
        await asyncio.sleep(0)
        return known

    async def admit(**given: object) -> Admitted:
        await asyncio.sleep(0)
        receipt = Receipt(
            monitor="m",
            run="r",
            chunk=str(given["chunk"]),
            run_epoch=1,
            monitor_epoch=1,
            sequence=1,
            events=EVENTS,
            digest=str(given["digest"]),
            accepted_at=0.0,
        )
        return Admitted("accepted", receipt, 1)

    broker.monitors.get = get  # type: ignore[method-assign]
    broker.admission.admit = admit  # type: ignore[method-assign]
    app = create_app(broker, Settings())

    async def read(request: Request) -> Response:
        async for _ in request.stream():
            pass
        return Response(status_code=202)

    app.add_route("/no-op", read, methods=["POST"])
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")
