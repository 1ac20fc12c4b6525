"""What one `nplmon up` has for itself: its data directory and its port."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from nplmon.supervisor.errors import SupervisorError
from nplmon.supervisor.lock import DataDirectoryLock
from nplmon.supervisor.port import claim_port


def claim(host: str, port: int, *, stopped: bool = False) -> int | None:
    return claim_port(host, port, patience=0.3, stopped=lambda: stopped, announce=lambda _: None)


def test_the_lock_is_for_one_and_is_given_back(tmp_path: Path) -> None:
    first, second = DataDirectoryLock(tmp_path), DataDirectoryLock(tmp_path)
    first.acquire()
    with pytest.raises(SupervisorError, match=rf"already running on .* \(process {os.getpid()}\)"):
        second.acquire()
    first.release()
    second.acquire()
    assert not second.predecessor_killed
    second.release()


def test_the_lock_tells_of_a_killed_predecessor(tmp_path: Path) -> None:
    (tmp_path / "up.lock").write_text("4711\n", encoding="utf-8")
    lock = DataDirectoryLock(tmp_path)
    lock.acquire()
    assert lock.predecessor_killed
    lock.release()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SupervisorError, match="cannot be used"):
        DataDirectoryLock(tmp_path / "file" / "data").acquire()


def test_port_0_gives_a_free_one() -> None:
    port = claim("127.0.0.1", 0)
    assert port
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_taken_port_is_refused_and_a_stop_ends_the_wait() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SupervisorError, match=f"port {port} .* is taken"):
            claim("127.0.0.1", port)
        assert claim("127.0.0.1", port, stopped=True) is None


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    """192.0.2.0/24 is kept for documentation (RFC 5737), .invalid for names that never exist (RFC 2606)."""
    with pytest.raises(SupervisorError, match="cannot listen on"):
        claim(host, 8471)
