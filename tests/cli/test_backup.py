"""`nplmon backup` and `nplmon restore` on the directory of an embedded store, running or not."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis
from tests.cli.conftest import Nplmon

from nplmon.broker.embedded import EmbeddedStore
from nplmon.supervisor.lock import DataDirectoryLock


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Give the directory of a store that was stopped; it has one key of ours."""
    store = EmbeddedStore(tmp_path / "data")
    store.start()
    with Redis.from_url(store.url) as redis:
        redis.sadd("nplmon:monitors", "m")
    store.stop()
    return tmp_path / "data"


def test_from_one_directory_to_another(nplmon: Nplmon, data: Path, tmp_path: Path) -> None:
    ended = nplmon("backup", tmp_path / "b", "--data-dir", data)
    assert ended.code == 0, ended.err
    assert "all that was accepted before is in it" in ended.out
    assert EmbeddedStore(data).pid is None, "left as it was found"
    ended = nplmon("restore", tmp_path / "b", "--data-dir", tmp_path / "new")
    assert ended.code == 0, ended.err
    assert "restored 1 keys, monitors: m; made " in ended.out
    store = EmbeddedStore(tmp_path / "new")
    assert store.pid is None
    store.start()
    try:
        with Redis.from_url(store.url) as redis:
            assert redis.smembers("nplmon:monitors") == {b"m"}
        ended = nplmon("restore", tmp_path / "b", "--redis-url", store.url)
        assert (ended.code, ended.out) == (2, "")
        assert "--replace" in ended.err
        assert nplmon("restore", tmp_path / "b", "--redis-url", store.url, "--replace").code == 0
        assert nplmon("backup", tmp_path / "c", "--redis-url", store.url).code == 0
        assert nplmon("backup", tmp_path / "d", "--data-dir", tmp_path / "new").code == 0
        assert store.pid is not None, "left as it was found"
    finally:
        store.stop()


def test_what_cannot_be_done_is_told_in_one_line(nplmon: Nplmon, data: Path, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"something else")
    for arguments, said in (
        (("backup", tmp_path / "b", "--data-dir", data), "exists: choose another name"),
        (("backup", tmp_path / "c", "--data-dir", tmp_path / "none"), "there is no"),
        (("backup", tmp_path / "c", "--redis-url", "redis://127.0.0.1:1"), "gives no answer"),
        (("backup", tmp_path / "c", "--redis-url", "http://x"), "scheme"),
        (("restore", tmp_path / "b", "--data-dir", data), "is no backup of nplmon"),
        (("restore", tmp_path / "none", "--data-dir", data), "No such file"),
    ):
        ended = nplmon(*arguments)
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err
        assert len(ended.err.splitlines()) == 1
    assert not (tmp_path / "none").exists()


def test_nothing_is_restored_under_a_service(nplmon: Nplmon, data: Path, tmp_path: Path) -> None:
    assert nplmon("backup", tmp_path / "b", "--data-dir", data).code == 0
    lock = DataDirectoryLock(data)
    lock.acquire()
    try:
        ended = nplmon("restore", tmp_path / "b", "--data-dir", data, "--replace")
        assert ended.code == 2
        assert "already running" in ended.err
        assert nplmon("backup", tmp_path / "c", "--data-dir", data).code == 0
    finally:
        lock.release()
