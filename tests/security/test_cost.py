"""What asking for a token costs: processor time of an API with and without, side by side in one run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.security.running import Api, command

from nplmon.broker.embedded import EmbeddedStore

REQUESTS = 500
ROUNDS = 3


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    store = EmbeddedStore(tmp_path / "store")
    store.start()
    yield store.url
    store.stop()


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost(api: Api, token: str) -> tuple[float, float]:
    """Give processor seconds per request, and requests per second, of a short request over one connection."""
    before, began = processor_seconds(api.pid), time.perf_counter()
    for _ in range(REQUESTS):
        assert api.get("/v1/references", token).status_code == 200
    return (processor_seconds(api.pid) - before) / REQUESTS, REQUESTS / (time.perf_counter() - began)


@pytest.mark.slow
def test_a_token_costs_less_than_the_shortest_request(address: str) -> None:
    """The best of three rounds of each, for others use the machine too. Argon2 at each request would cost 3 ms."""
    token = command("token", "create", "x", "--scope", "read", "--redis-url", address).stdout.strip()
    with (
        Api(address, NPLMON_ACCESS="open") as open_one,
        Api(address, NPLMON_ACCESS="tokens", NPLMON_RATE_LIMIT="100000") as asking,
    ):
        costs = [(cost(open_one, token), cost(asking, token)) for _ in range(ROUNDS)]
    without, with_token = (min(one[place][0] for one in costs) for place in (0, 1))
    fastest = max(one[1][1] for one in costs)
    print(
        f"{without * 1e6:.0f} us without, {with_token * 1e6:.0f} us with a token; {fastest:.0f} requests/s with one"
    )
    assert with_token < 2.0 * without
