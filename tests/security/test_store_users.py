"""Each role has a user of the store with what it needs, and no more: a real server, real roles, the whole road."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError
from tests.security.running import NPLMON, Api, environment
from tests.security.servers import free_port, redis_7, server

from nplmon.broker import Broker
from nplmon.broker.embedded import server_binary
from nplmon.client import Client
from nplmon.client.conversation import Call

ROOT = Path(__file__).parents[2]
USERS = ROOT / "deploy" / "redis" / "users.acl"
ROLES = ("api", "trainer", "aggregator")


def wait(true: Callable[[], object], what: str, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.1)


class Store:
    """A server with the users of the file, and one that may do everything, to look."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.root = self.user("root")

    def url(self, role: str) -> str:
        return f"redis://nplmon-{role}:{role}-password@127.0.0.1:{self.port}/0"

    def user(self, role: str) -> Redis:
        return Redis.from_url(self.url(role), protocol=2)

    def denied(self) -> list[tuple[str, str, str]]:
        """Give what was asked and refused: user, command or key, and by what."""
        return [
            (one["username"], one["object"], one["reason"])
            for one in self.root.execute_command("ACL LOG", 100)
            # The client tells its name where it may; Redis 7.0 does not know of that.
            if one["username"] != "nplmon-root" and one["object"] != "client|setinfo"
        ]


@pytest.fixture(scope="module", params=["valkey", "redis"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("users")
    binary = server_binary() if request.param == "valkey" else redis_7(folder)
    lines = USERS.read_text().splitlines()
    assert lines[0] == "user default off"
    told = [re.sub(r"^user nplmon-(\w+) on ", r"user nplmon-\1 on >\1-password ", line) for line in lines]
    told.append("user nplmon-root on >root-password ~* &* +@all")
    (folder / "users.acl").write_text("\n".join(told) + "\n")
    store = Store(free_port())
    with server(
        binary, folder, store.root, "--port", str(store.port), "--aclfile", str(folder / "users.acl")
    ):
        yield store


@pytest.fixture(scope="module")
def client(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Run one process of each role, with its own user, and give a client of them."""
    folder = tmp_path_factory.mktemp("roles")
    with ExitStack() as stack:
        api = stack.enter_context(Api(store.url("api")))
        for role in ("trainer", "aggregator"):
            log = stack.enter_context((folder / f"{role}.log").open("wb"))
            process = subprocess.Popen(
                [*NPLMON, role],
                env=environment(
                    NPLMON_REDIS_URL=store.url(role), NPLMON_DATA_DIR=str(folder), OMP_NUM_THREADS="1"
                ),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
        client = stack.enter_context(Client(api.url, deadline=30.0))
        wait(lambda: api.get("/readyz").json()["trainers"], "a trainer")
        yield client


@pytest.mark.slow
def test_the_whole_road_needs_nothing_else(store: Store, client: Client) -> None:
    """References with a pool, chunks, statistics, alarms, calibration, closing, resetting, deleting: all is allowed."""
    rng = np.random.default_rng(7)
    client.put_reference("sm", rng.normal(size=(4000, 2)), ["x", "y"], pool_share=0.5)
    client.add_to_pool("sm", rng.normal(size=(2000, 2)))
    client.create_monitor(
        "m",
        "sm",
        kernel={"centres": 30, "sigmas": [1.0, 2.0]},
        alarm={"expected_run_length": 4.0, "warning_run_length": 2.0},
    )
    try:
        last = [client.push("m", "r", rng.normal(size=(200, 2)) + 1.0) for _ in range(4)][-1]
        status = client.wait_applied("m", "r", last.sequence, timeout=90.0)
        assert status.snapshot is not None
        alarm = status.snapshot.alarm
        assert alarm.level == "alarm"
        taken = {"who": "grace", "comment": "seen", "level": "alarm", "sequence": alarm.sequence}
        client.perform(call("POST", "/v1/monitors/m/runs/r/acknowledge", taken))
        # It is told of by the notifier, and found to be stale.
        client.perform(
            call(
                "PATCH",
                "/v1/monitors/m",
                {"handling": {"webhooks": ["http://127.0.0.1:9/x"], "stale_after": 1}},
            )
        )
        client.perform(call("POST", "/v1/monitors/m/test-alarm", {"who": "grace"}))
        wait(lambda: "stale" in kinds(client), "the run is stale")
        client.history("m", "r")
        client.density_ratio("m", "r")
        client.where("m", "r")
        client.close_run("m", "r")
        client.calibrate("m", toys=40, chunks=4, events=200)
        wait(lambda: client.calibration("m").calibration.state in ("complete", "failed"), "the calibration")
        assert client.calibration("m").calibration.state == "complete"
        last = client.push("m", "s", rng.normal(size=(200, 2)))
        client.wait_applied("m", "s", last.sequence, timeout=90.0)
        client.reset_run("m", "r")
        client.close_run("m", "r")
        client.close_run("m", "s")
        client.change_monitor("m", description="x")
        client.cancel_calibration("m")
        client.delete_monitor("m")
        time.sleep(1.0)
    finally:
        assert store.denied() == []


def call(method: str, path: str, body: Any) -> Any:
    return Call(method, path, lambda answer: answer.json(), json=body)


def kinds(client: Client) -> set[str]:
    told = client.perform(call("GET", "/v1/monitors/m/journal", None))
    return {entry["kind"] for entry in told["entries"]}


def test_the_users_may_use_what_the_code_uses() -> None:
    """Every command of a Lua function, and every one that is asked for directly, is named in the file."""
    sources = "".join(path.read_text() for path in (ROOT / "service/nplmon/broker").glob("*.py"))
    used = re.findall(
        r"""redis\.p?call\('([A-Z]+)'(?:, '([A-Z]+)')?|ask\(\s*"([A-Z]+)(?: ([A-Z]+))?\"""", sources
    )
    commands = {(one or three).lower() for one, _, three, _ in used}
    assert {"hset", "xadd", "evalsha"} <= commands
    named = set(re.findall(r"\+([a-z]+)", USERS.read_text()))
    # For a cluster of several nodes alone, where each role looks for the nodes.
    assert commands - named <= {"cluster", "command", "readonly"}


FORBIDDEN: list[tuple[Any, ...]] = [
    ("HGETALL", "nplmon:tokens"),
    ("HSET", "nplmon:tokens", "x", "y"),
    ("DEL", "nplmon:tokens"),
    ("GET", "nplmon:session:x"),
    ("SET", "nplmon:session:x", "y"),
    ("XRANGE", "nplmon:audit", "-", "+"),
    ("XADD", "nplmon:audit", "*", "entry", "{}"),
    ("DEL", "nplmon:audit"),
    # What the deletion of a monitor does.
    ("DEL", "nplmon:{m}:monitor"),
    ("SET", "nplmon:{m}:monitor", "{}"),
    ("SREM", "nplmon:monitors", "m"),
    ("DEL", "nplmon:monitors"),
    ("EVAL", "return redis.call('DEL', KEYS[1])", 1, "nplmon:{m}:monitor"),
    ("EVAL", "return redis.call('HGETALL', KEYS[1])", 1, "nplmon:tokens"),
    ("EVAL", "return redis.call('HGETALL', 'nplmon:tokens')", 0),
    ("DEL", "nplmon:{reference:h}:meta"),
    ("SET", "nplmon:{reference:h}:piece:t:0", "x"),
    ("LPUSH", "nplmon:{reference:h}:pool", "x"),
    ("RPUSH", "nplmon:{reference:h}:pool", "x"),
    ("SET", "another:key", "x"),
    ("PUBLISH", "another-channel", "x"),
]
ADMINISTRATION: list[tuple[Any, ...]] = [
    ("KEYS", "*"),
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("CONFIG", "GET", "*"),
    ("CONFIG", "SET", "dir", "/tmp"),  # noqa: S108  # the way to write files of the server
    ("ACL", "LIST"),
    ("ACL", "SETUSER", "x", "on"),
    ("SAVE",),
    ("SHUTDOWN",),
    ("MONITOR",),
    ("SCRIPT", "FLUSH"),
    ("FUNCTION", "LIST"),
    ("REPLICAOF", "127.0.0.1", "1"),
    ("MODULE", "LIST"),
    ("CLIENT", "LIST"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("MIGRATE", "127.0.0.1", "1", "nplmon:tokens", "0", "10"),
    ("DUMP", "nplmon:tokens"),
    ("RANDOMKEY",),
]


def refused(store: Store, role: str, command: tuple[Any, ...]) -> None:
    # In a script, the refusal of a command is an error of the script.
    said = r"(?i)no permissions|NOPERM|can't (run this command|access)|ACL failure"
    with store.user(role) as redis, pytest.raises(Exception, match=said):
        redis.execute_command(*command)


@pytest.mark.parametrize("command", FORBIDDEN, ids=lambda command: " ".join(map(str, command[:2])))
@pytest.mark.parametrize("role", ["trainer", "aggregator"])
def test_a_worker_reads_no_token_and_deletes_no_monitor(
    store: Store, role: str, command: tuple[Any, ...]
) -> None:
    refused(store, role, command)


@pytest.mark.parametrize("command", ADMINISTRATION, ids=lambda command: " ".join(command[:2]))
@pytest.mark.parametrize("role", ROLES)
def test_no_role_rules_the_server(store: Store, role: str, command: tuple[Any, ...]) -> None:
    refused(store, role, command)


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_ask_for_a_sign_of_life(store: Store, role: str) -> None:
    async def ask() -> None:
        broker = Broker.connect(store.url(role))
        try:
            await broker.ping()
        finally:
            await broker.close()

    asyncio.run(ask())


def test_the_api_touches_only_our_keys(store: Store) -> None:
    refused(store, "api", ("GET", "another:key"))
    refused(store, "api", ("EVAL", "return redis.call('GET', 'another:key')", 0))
    refused(store, "api", ("SUBSCRIBE", "another-channel"))


def test_nobody_comes_in_without_a_password(store: Store) -> None:
    """In the file no user has one: it is added where the file is used, and without it nobody is let in."""
    assert not re.search(r"[>#]|nopass", USERS.read_text())
    with Redis(port=store.port) as redis, pytest.raises((AuthenticationError, NoPermissionError)):
        redis.ping()
    with (
        Redis(port=store.port, username="nplmon-trainer", password="") as redis,
        pytest.raises(AuthenticationError),
    ):
        redis.ping()


def test_a_refused_user_is_told_in_one_line_without_its_password(store: Store) -> None:
    wrong = store.url("api").replace("api-password", "guessed-secret")
    with Api(wrong) as api:
        assert api.get("/healthz").status_code == 200
        ready = api.get("/readyz")
        assert ready.status_code == 503
        answer = api.get("/v1/monitors")
        assert answer.status_code == 503
        for text in (ready.text, answer.text, api.said):
            assert "guessed-secret" not in text


def test_the_file_has_one_user_for_each_role() -> None:
    names = re.findall(r"^user (\S+) ", USERS.read_text(), re.MULTILINE)
    assert names == ["default", *(f"nplmon-{role}" for role in ROLES)]
    for line in USERS.read_text().splitlines()[1:]:
        assert " -@all " in line
        assert "allkeys" not in line
        assert "~* " not in line
        assert not re.search(r"\+@", line), "commands are named one by one"
