"""Whatever is sent, nothing breaks: requests made from the interface's own description, and bodies made to hurt."""

from __future__ import annotations

import http.client
import io
import json
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pyarrow as pa
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.chaos.stage import Stage

NPY, ARROW, JSON = "application/x-npy", "application/vnd.apache.arrow.stream", "application/json"
PUSH = "/v1/monitors/m/runs/r/chunks"
STREAMS = {"/v1/events", "/v1/monitors/{monitor}/events"}
NAMES = {"monitor": "m", "run": "r", "chunk": "c", "name": "r", "alert": "NplmonAnomaly"}
EXAMPLES = 60
LONGEST_SECONDS = 10.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Serve a monitor `m` with a run `r` and its chunk `c`, by real processes."""
    stage = Stage(tmp_path_factory.mktemp("fuzz"))
    try:
        stage.start("api", "trainer-1", "aggregator-1")
        stage.make_monitor()
        with stage.client() as client:
            receipt = client.push("m", "r", np.ones((40, 1), dtype=np.float32), chunk="c")
            client.wait_applied("m", "r", receipt.sequence)
        yield stage
    finally:
        stage.clean_up()


@pytest.fixture
def http_client(stage: Stage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stage.url, timeout=LONGEST_SECONDS, trust_env=False) as client:
        yield client


def check(status: int, text: str, kind: str) -> None:
    """Hold that a refusal is a problem with all its members, that nothing is our fault or shows our inside."""
    assert status < 500 or status == 503, (status, text[:500])
    assert "Traceback" not in text
    assert "site-packages" not in text
    if status >= 400:
        assert kind.startswith("application/problem+json"), (status, kind, text[:200])
        problem = json.loads(text)
        assert {"type", "title", "status", "detail", "field", "value", "remedy"} <= set(problem)
        assert problem["status"] == status


def npy(header: bytes, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    length = struct.pack("<H" if version == b"\x01\x00" else "<I", len(header))
    return b"\x93NUMPY" + version + length + header + data


def arrow(column: pa.Array, name: str = "x", **options: object) -> bytes:
    sink = io.BytesIO()
    batch = pa.record_batch([column], names=[name])
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def dumped(array: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array, allow_pickle=True)
    return sink.getvalue()


GOOD = dumped(np.linspace(0.1, 3, 40, dtype=np.float32).reshape(40, 1))
GOOD_ARROW = arrow(pa.array(np.linspace(0.1, 3, 40, dtype=np.float32)))
HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }"

HOSTILE: dict[str, tuple[str, bytes]] = {
    "a billion declared events": (NPY, npy((HEADER % "1000000000, 1").encode())),
    "a shape beyond 64 bits": (NPY, npy((HEADER % ("9" * 19 + ", " + "9" * 19)).encode())),
    "a negative shape": (NPY, npy((HEADER % "-1, 1").encode())),
    "a header of 4 GB": (NPY, b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"),
    "a header that is code": (NPY, npy(b"__import__('os').system('true')")),
    "a header of brackets": (NPY, npy(b"(" * 60_000, version=b"\x02\x00")),
    "a pickle": (NPY, dumped(np.array([[{"a": 1}]], dtype=object))),
    "complex numbers": (NPY, dumped(np.ones((3, 1), dtype=complex))),
    "dates": (NPY, dumped(np.ones((3, 1), dtype="M8[s]"))),
    "text": (NPY, dumped(np.array([["x"]]))),
    "NaN": (NPY, dumped(np.full((3, 1), np.nan, dtype=np.float32))),
    "infinity": (NPY, dumped(np.full((3, 1), np.inf, dtype=np.float32))),
    "signalling NaN": (NPY, npy((HEADER % "1, 1").encode(), struct.pack("<I", 0x7FA00000))),
    "a double beyond float32": (NPY, dumped(np.full((3, 1), 1e300))),
    "a zip": (NPY, zlib.compress(bytes(1_000_000))),
    "nothing": (NPY, b""),
    "an Arrow of text": (ARROW, arrow(pa.array(["a", "b"]))),
    "an Arrow of lists": (ARROW, arrow(pa.array([[1.0], [2.0]]))),
    "an Arrow of structs": (ARROW, arrow(pa.array([{"y": 1.0}]))),
    "an Arrow of decimals": (ARROW, arrow(pa.array([1, 2], type=pa.decimal128(5)))),
    "an Arrow of dictionaries": (ARROW, arrow(pa.array(["a", "a"]).dictionary_encode())),
    "an Arrow of nulls": (ARROW, arrow(pa.array([1.0, None]))),
    "a zstd bomb in Arrow": (ARROW, arrow(pa.array(np.zeros(4_000_000)), compression="zstd")),
    "a column of another name": (ARROW, arrow(pa.array([1.0]), name="../../etc/passwd")),
    "JSON a thousand levels deep": (JSON, b'{"events": ' + b"[" * 100_000),
    "JSON with 10^400": (JSON, b'{"events": [[1e400]]}'),
    "JSON with a long integer": (JSON, b'{"events": [[' + b"9" * 100_000 + b"]]}"),
    "JSON with NaN": (JSON, b'{"events": [[NaN]]}'),
    "JSON twice the same member": (JSON, b'{"events": [[1]], "events": "x"}'),
    "JSON with a lone surrogate": (JSON, b'{"events": [[1]], "id": "\\ud800"}'),
    "not UTF-8": (JSON, b'{"events": [[1]], "id": "\xff\xfe"}'),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_refused_whole(http_client: httpx.Client, stage: Stage, name: str) -> None:
    kind, body = HOSTILE[name]
    before = http_client.get("/v1/monitors/m/runs/r").json()["accepted"]
    answer = http_client.post(PUSH, content=body, headers={"Content-Type": kind})
    assert 400 <= answer.status_code < 500, answer.text[:500]
    check(answer.status_code, answer.text, answer.headers["content-type"])
    assert http_client.get("/v1/monitors/m/runs/r").json()["accepted"] == before


def test_no_bomb_fills_the_memory(http_client: httpx.Client, stage: Stage) -> None:
    """All of them ten times: the process grows by less than 64 MB, its limit for one body."""
    process = psutil.Process(stage.pid("api"))
    for kind, body in HOSTILE.values():
        http_client.post(PUSH, content=body, headers={"Content-Type": kind})
    before = process.memory_info().rss
    for _ in range(10):
        for kind, body in HOSTILE.values():
            http_client.post(PUSH, content=body, headers={"Content-Type": kind})
    assert process.memory_info().rss - before < 64e6


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"Nplmon-Exposure": "-1"}, {}),
        ({"Nplmon-Exposure": "nan"}, {}),
        ({"Nplmon-Exposure": "1e999"}, {}),
        ({"Nplmon-Exposure": "0x10"}, {}),
        ({"Nplmon-Chunk-Id": "../../etc/passwd"}, {}),
        ({"Nplmon-Chunk-Id": "x" * 129}, {}),
        ({}, {"chunk": "дело"}),
        ({}, {"chunk": "a:b"}),
        ({}, {"chunk": "a\x00b"}),
        ({}, {"features": "x," * 10_000}),
        ({"Nplmon-Source-Time": "not a time"}, {}),
        ({"Nplmon-Source-Time": "1e300"}, {}),
        ({"Content-Encoding": "gzip"}, {}),
        ({"Content-Encoding": "zstd"}, {}),
    ],
)
def test_hostile_members_are_refused(
    http_client: httpx.Client, headers: dict[str, str], query: dict[str, str]
) -> None:
    answer = http_client.post(PUSH, content=GOOD, params=query, headers={"Content-Type": NPY, **headers})
    assert 400 <= answer.status_code < 500, answer.text
    check(answer.status_code, answer.text, answer.headers["content-type"])


@pytest.mark.parametrize("years", [-50, 50])
def test_a_clock_that_is_years_off_is_written_down_and_changes_nothing(
    http_client: httpx.Client, stage: Stage, years: int
) -> None:
    """The source's time is told and judges nothing: order and freshness are by the server's clock."""
    at = time.time() + years * 365.25 * 86400
    headers = {"Content-Type": NPY, "Nplmon-Source-Time": f"{at:.0f}", "Nplmon-Chunk-Id": f"clock{years}"}
    receipt = http_client.post(PUSH, content=GOOD, headers=headers).json()
    assert abs(receipt["accepted_at"] - time.time()) < 60
    with stage.client() as client:
        snapshot = client.wait_applied("m", "r", receipt["sequence"]).snapshot
    assert snapshot is not None
    assert snapshot.last_source_time == pytest.approx(at, abs=1)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/monitors/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/v1/monitors/m%00",
        "/v1/monitors/" + "a" * 5000,
        "/page/../../../../etc/passwd",
        "/page/%2e%2e/%2e%2e/settings.py",
        "/runbooks/../../pyproject.toml",
        "/runbooks/%2e%2e%2f%2e%2e%2fpyproject",
        "/v1/monitors/%D0%BC",
    ],
)
def test_a_path_leads_nowhere_else(stage: Stage, path: str) -> None:
    """Sent as it stands: httpx and browsers would tidy it up first."""
    connection = http.client.HTTPConnection(urlsplit(stage.url).netloc, timeout=LONGEST_SECONDS)
    connection.putrequest("GET", path, skip_accept_encoding=True)
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace")
    assert 400 <= answer.status < 500, (answer.status, text[:200])
    assert "root:" not in text
    assert "[project]" not in text
    connection.close()


def raw(stage: Stage, *pieces: bytes) -> bytes:
    """Send bytes and give what comes back until the other side closes, or for some seconds."""
    place = urlsplit(stage.url)
    with socket.create_connection((place.hostname, place.port), timeout=5.0) as line:
        try:
            for piece in pieces:
                line.sendall(piece)
            return line.recv(65536)
        except (TimeoutError, ConnectionError):
            return b""


@pytest.mark.parametrize(
    "pieces",
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n", *(b"X-%d: y\r\n" % i for i in range(20_000)), b"\r\n"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 2_000_000 + b"\r\n\r\n",),
        (b"GET " + b"/" * 2_000_000 + b" HTTP/1.1\r\n\r\n",),
        (b"GET /v1/monitors/\xd0\xbc HTTP/1.1\r\nHost: x\r\n\r\n",),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",),
        (b"POST " + PUSH.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",),
        (
            b"POST "
            + PUSH.encode()
            + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET",
        ),
    ],
    ids=[
        "20,000 headers",
        "a header of 2 MB",
        "a path of 2 MB",
        "a path in UTF-8",
        "TLS",
        "a negative length",
        "a huge chunk",
        "both",
    ],
)
def test_broken_http_harms_nobody(stage: Stage, http_client: httpx.Client, pieces: tuple[bytes, ...]) -> None:
    process = psutil.Process(stage.pid("api"))
    before = process.memory_info().rss
    answer = raw(stage, *pieces)
    assert b"Traceback" not in answer
    assert not answer.startswith(b"HTTP/1.1 5"), answer[:200]
    assert http_client.get("/healthz").status_code == 200
    assert process.memory_info().rss - before < 64e6


def test_a_body_that_never_ends_holds_up_nobody(stage: Stage, http_client: httpx.Client) -> None:
    """Fifty clients that promise a body and send a byte of it: the others are served as before."""
    place = urlsplit(stage.url)
    head = f"POST {PUSH} HTTP/1.1\r\nHost: x\r\nContent-Type: {NPY}\r\nContent-Length: 1000000\r\n\r\n\x93"
    lines = []
    for _ in range(50):
        line = socket.create_connection((place.hostname, place.port))
        line.sendall(head.encode("latin1"))
        lines.append(line)
    answer = http_client.post(
        PUSH, content=GOOD, headers={"Content-Type": NPY, "Nplmon-Chunk-Id": "meanwhile"}
    )
    assert answer.status_code == 202
    for line in lines:
        line.close()
    assert http_client.get("/healthz").status_code == 200


BODIES = st.sampled_from([(NPY, GOOD), (ARROW, GOOD_ARROW), (JSON, b'{"events": [[1.5], [2.5]], "id": "j"}')])


@settings(max_examples=300, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(data=st.data())
def test_a_damaged_body_is_refused_or_read(stage: Stage, data: st.DataObject) -> None:
    """Bytes changed, cut out, doubled and cut off anywhere in a good body."""
    kind, good = data.draw(BODIES)
    body = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(body) - 1, 0)))
        match data.draw(st.sampled_from(["set", "cut", "double", "end"])):
            case "set" if body:
                body[place] = data.draw(st.integers(0, 255))
            case "cut":
                del body[place : place + data.draw(st.integers(1, 16))]
            case "double":
                body[place:place] = body[place : place + 16]
            case "end":
                del body[place:]
    answer = httpx.post(
        stage.url + PUSH, content=bytes(body), headers={"Content-Type": kind}, timeout=LONGEST_SECONDS
    )
    check(answer.status_code, answer.text, answer.headers["content-type"])


def operations(url: str) -> dict[str, schemathesis.APIOperation]:
    found = (one.ok() for one in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations())
    return {operation.label: operation for operation in found if operation.path not in STREAMS}


def test_requests_made_from_the_description_never_break_it(stage: Stage) -> None:
    """Every operation of /openapi.json, half of the requests on a monitor, run and chunk that exist.

    What deletes the monitor comes last, so that the others have something to work on.
    """
    found = operations(stage.url)
    assert len(found) >= 45
    statuses: dict[int, int] = {}

    def one(operation: schemathesis.APIOperation) -> None:
        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
        @given(case=operation.as_strategy(), known=st.booleans())
        def call(case: schemathesis.Case, known: bool) -> None:
            if known:
                case.path_parameters |= {
                    key: NAMES[key] for key in case.path_parameters.keys() & NAMES.keys()
                }
            began = time.monotonic()
            answer = case.call()
            assert time.monotonic() - began < LONGEST_SECONDS, operation.label
            check(answer.status_code, answer.text, answer.headers.get("content-type", [""])[0])
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1

        call()

    for label in sorted(found, key=lambda label: (label.startswith("DELETE /v1/monitors/{monitor}"), label)):
        one(found[label])
    print(statuses)
    assert statuses[200] > 100


def test_the_processes_are_still_there(stage: Stage) -> None:
    """Nothing of the above has ended a process; the log of the API has no request that failed on our side."""
    for name in ("api", "trainer-1", "aggregator-1"):
        assert stage.pid(name) is not None, name
    log = Path(stage.directory / "api.log").read_text(encoding="utf-8")
    assert "request failed" not in log
