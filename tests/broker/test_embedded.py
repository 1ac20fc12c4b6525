"""The embedded store: attached to, killed, started again, and nothing that was acknowledged is lost."""

import os
import signal
import stat
import tempfile
import time
from pathlib import Path

import pytest
from redis import Redis
from tests.broker.samples import python

from nplmon.broker import Broker, StoreUnreachable
from nplmon.broker.embedded import EmbeddedStore, socket_path


@pytest.fixture
def store(tmp_path: Path):
    store = EmbeddedStore(tmp_path)
    yield store
    store.stop()


@pytest.fixture(autouse=True)
def _no_key_leaks() -> None:
    """Check nothing: the keys in these stores are their tests' own."""


def client(store: EmbeddedStore) -> Redis:
    return Redis(unix_socket_path=str(store.socket))


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10.0
    while (
        Path(f"/proc/{pid}/status").exists() and "Z (zombie)" not in Path(f"/proc/{pid}/status").read_text()
    ):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_its_settings_keep_what_was_accepted(store: EmbeddedStore) -> None:
    store.start()
    with client(store) as redis:
        settings = redis.config_get()
    wanted = {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "port": "0",
        "save": "",
    }
    assert {name: settings[name] for name in wanted} == wanted
    assert stat.S_IMODE(store.socket.stat().st_mode) == 0o700


def test_the_disk_keeps_what_was_answered_where_that_is_wanted(store: EmbeddedStore, tmp_path: Path) -> None:
    def setting() -> str:
        with client(store) as redis:
            return redis.config_get("appendfsync")["appendfsync"]

    first = EmbeddedStore(tmp_path, appendfsync="always")
    first.start()
    assert setting() == "always"
    EmbeddedStore(tmp_path).start()
    assert setting() == "always", "a command that attaches leaves it as it is"
    EmbeddedStore(tmp_path, appendfsync="everysec").start()
    assert setting() == "everysec"
    first.stop()


def test_a_second_start_attaches(store: EmbeddedStore, tmp_path: Path) -> None:
    assert store.pid is None
    store.start()
    pid = store.pid
    store.start()
    other = EmbeddedStore(tmp_path)
    other.start()
    assert pid is not None
    assert store.pid == other.pid == pid
    other.stop()
    assert store.pid is None
    store.stop()


def test_a_graceful_end_keeps_everything(store: EmbeddedStore) -> None:
    store.start()
    with client(store) as redis:
        redis.set("k", "v")
    store.stop()
    store.start()
    with client(store) as redis:
        assert redis.get("k") == b"v"


PARENT = """
import sys
from pathlib import Path
from nplmon.broker.embedded import EmbeddedStore
store = EmbeddedStore(Path(sys.argv[1]))
store.start()
print(store.pid, flush=True)
input()
"""


def test_it_outlives_a_killed_parent_and_is_attached_to(store: EmbeddedStore, tmp_path: Path) -> None:
    with python(PARENT, str(tmp_path)) as parent:
        pid = int(parent.stdout.readline())
        with client(store) as redis:
            redis.set("k", "v")
        parent.kill()
    store.start()
    assert store.pid == pid
    with client(store) as redis:
        assert redis.get("k") == b"v"


def test_a_killed_store_starts_again_with_all_acknowledged_writes(store: EmbeddedStore) -> None:
    store.start()
    with client(store) as redis:
        acknowledged = [redis.xadd("s", {"n": n, "body": b"x" * 10_000}) for n in range(500)]
        os.kill(store.pid, signal.SIGKILL)
    assert store.pid is None
    assert store.socket.exists(), "a killed server leaves its socket behind"
    store.start()
    with client(store) as redis:
        assert [entry for entry, _ in redis.xrange("s")] == acknowledged


def test_a_killed_parent_and_a_killed_store(store: EmbeddedStore, tmp_path: Path) -> None:
    with python(PARENT, str(tmp_path)) as parent:
        pid = int(parent.stdout.readline())
        with client(store) as redis:
            redis.set("k", "v")
        parent.kill()
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
    store.start()
    assert store.pid != pid
    with client(store) as redis:
        assert redis.get("k") == b"v"


def test_two_that_start_at_once_share_one_server(store: EmbeddedStore, tmp_path: Path) -> None:
    with python(PARENT, str(tmp_path)) as one, python(PARENT, str(tmp_path)) as two:
        pids = {int(parent.stdout.readline()) for parent in (one, two)}
        one.kill()
        two.kill()
    assert pids == {store.pid}


def test_a_deep_data_directory_gets_a_short_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("long name " * 10).strip() / ("deeper " * 10).strip()
    store = EmbeddedStore(deep)
    assert store.socket == EmbeddedStore(deep).socket
    assert store.socket != EmbeddedStore(deep / "other").socket
    assert len(str(store.socket)) <= 100
    store.start()
    try:
        with Redis.from_url(store.url) as redis:
            assert redis.ping()
        assert (deep / "valkey" / "appendonlydir").is_dir()
        assert stat.S_IMODE(store.socket.parent.stat().st_mode) == 0o700
    finally:
        store.stop()


def test_a_socket_directory_of_somebody_else_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory(prefix="n") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        monkeypatch.setattr(os, "getuid", lambda: 4242)
        with pytest.raises(PermissionError, match="another user"):
            socket_path(Path("/" + "d" * 120))


def test_the_address_works_with_spaces_and_percent_signs(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "a 100% b")
    store.start()
    try:
        with Redis.from_url(store.url) as redis:
            assert redis.ping()
    finally:
        store.stop()


def test_a_server_that_ends_at_once_is_told_with_its_log(store: EmbeddedStore, tmp_path: Path) -> None:
    broken = tmp_path / "valkey" / "appendonlydir"
    broken.mkdir(parents=True)
    (broken / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(StoreUnreachable, match=r"ended at its start; see .*valkey.log"):
        store.start()
    assert "manifest" in (tmp_path / "valkey" / "valkey.log").read_text()


def test_stop_does_nothing_where_there_is_no_store(tmp_path: Path) -> None:
    EmbeddedStore(tmp_path / "nothing").stop()


@pytest.mark.anyio
async def test_a_broker_survives_a_restart_of_the_store(store: EmbeddedStore) -> None:
    store.start()
    broker = Broker.connect(store.url)
    await broker.connection.ask("SET", "k", "v")
    store.stop()
    with pytest.raises(StoreUnreachable):
        await broker.connection.ask("GET", "k")
    store.start()
    assert await broker.connection.ask("GET", "k") == b"v"
    await broker.close()
