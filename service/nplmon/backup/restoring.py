"""Restoring: load the image into a server of our own, and copy what is ours to the store."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis, RedisCluster
from redis.exceptions import BusyLoadingError, RedisClusterException, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from nplmon.backup.copying import Copying
from nplmon.backup.errors import BackupError
from nplmon.backup.file import BackupHeader, check, image
from nplmon.broker.embedded import server_binary
from nplmon.broker.errors import translated
from nplmon.broker.keys import MONITORS, WORKERS

OURS = "nplmon:*"
_TRANSIENT = ("nplmon:worker:", ":aggregator")
"""Who lived and who held a monitor at the time: nobody does so now."""


@dataclass(frozen=True)
class Restored:
    """What was restored."""

    headers: tuple[BackupHeader, ...]
    keys: int
    monitors: tuple[str, ...]


def restore(paths: Sequence[Path], url: str, *, replace: bool = False) -> Restored:
    """Bring a store to what it was when the backup was made.

    A monitor appears last, when all that belongs to it is there: until then nothing is written for it, so that a
    restoration that is broken off leaves nothing that could be taken for the truth; it is then begun again with
    `replace`.

    Parameters
    ----------
    paths
        One file; of a cluster one for each of its primaries.
    url
        As for `Broker.connect`, also of a cluster.
    replace
        Whether what the store holds of nplmon may be deleted.

    Raises
    ------
    BackupError
        If a file is damaged or of another version (then nothing was touched), the store holds data, or a role is at
        work on it.
    StoreUnreachable
        If the store gives no answer.
    """
    headers = tuple(check(path) for path in paths)
    copied, names = 0, set[bytes]()
    with _client(url) as target:
        _refuse_what_lives(target)
        _make_room(target, replace=replace)
        for path, header in zip(paths, headers, strict=True):
            with _loaded(path, header.database) as source:
                keys = [key for key in source.scan_iter(OURS, count=1000) if not _transient(key)]
                copying = Copying(source, target)
                copied += sum(copying.copy(key) for key in sorted(keys, key=_last))
                members: Any = source.smembers(MONITORS)
                names |= members
    return Restored(headers, copied, tuple(sorted(name.decode() for name in names)))


def _transient(key: bytes) -> bool:
    name = key.decode()
    return name.startswith(_TRANSIENT[0]) or name.endswith(_TRANSIENT[1])


def _last(key: bytes) -> tuple[bool, bool, bytes]:
    """Sort what makes a monitor be there to the end."""
    return key == MONITORS.encode(), key.endswith(b"}:monitor"), key


def _refuse_what_lives(target: Any) -> None:  # noqa: ANN401 (of the client)
    living = sorted(key.decode().rpartition(":")[2] for key in target.scan_iter(WORKERS, count=1000))
    if living:
        message = (
            f"roles are at work on this store ({', '.join(living)}): stop them first; "
            "of one that was killed the sign of life expires after seven seconds"
        )
        raise BackupError(message)


def _make_room(target: Any, *, replace: bool) -> None:  # noqa: ANN401 (of the client)
    held = list(target.scan_iter(OURS, count=1000))
    if held and not replace:
        message = (
            f"the store holds {len(held)} keys of nplmon, such as {min(held).decode()}: restore into an empty one, or "
            "say --replace to delete them first"
        )
        raise BackupError(message)
    # What makes a monitor be there goes first, and its other keys after it: nothing is written for it meanwhile.
    for key in sorted(held, key=_last, reverse=True):
        target.unlink(key)


@contextmanager
def _client(url: str) -> Iterator[Any]:
    scheme, _, rest = url.partition("://")
    plain = f"{scheme.removesuffix('+cluster')}://{rest}"
    try:
        kind: Any = RedisCluster if scheme.endswith("+cluster") else Redis
        with kind.from_url(plain, protocol=2) as client:
            client.ping()
            yield client
    except (RedisError, RedisClusterException) as error:
        raise translated(error) from error


@contextmanager
def _loaded(path: Path, database: int) -> Iterator[Redis]:
    """Run a server of our own that has loaded the image; it and its copy of the data are gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="nplmon-restore-"))
    try:
        with (directory / "dump.rdb").open("wb") as file:
            for block in image(path):
                file.write(block)
        socket, log = directory / "s", directory / "log"
        arguments = ["--port", "0", "--unixsocket", str(socket), "--dir", str(directory), "--save", ""]
        arguments += ["--appendonly", "no", "--databases", str(max(16, database + 1)), "--logfile", str(log)]
        server = subprocess.Popen([str(server_binary()), *arguments], stdin=subprocess.DEVNULL)  # noqa: S603 (ours)
        try:
            with Redis(unix_socket_path=str(socket), db=database, protocol=2) as redis:
                _wait(redis, server, log)
                yield redis
        finally:
            server.kill()
            server.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _wait(redis: Redis, server: subprocess.Popen[bytes], log: Path) -> None:
    while True:
        try:
            redis.ping()
        except (BusyLoadingError, RedisConnectionError):
            if server.poll() is not None:
                last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
                message = (
                    f"the image in the backup cannot be read: {' '.join(last) or 'the server ended at once'}"
                )
                raise BackupError(message) from None
            time.sleep(0.05)
        else:
            return
