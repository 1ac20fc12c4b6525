"""Saving: ask a server for its image, as a replica does, while it goes on working."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from redis import ConnectionPool, Redis
from redis.exceptions import RedisError, ResponseError

from nplmon.backup.errors import BackupError
from nplmon.backup.file import header_of, write
from nplmon.broker.errors import StoreUnreachable, translated

SECONDS = 60.0
"""Longest silence of the server; it says something each second while it prepares the image."""
_BLOCK = 1 << 20
_MARK_BYTES = 40
_NEWEST = {b"REDIS": 11, b"VALKEY": 80}
"""Image formats that the server can read that nplmon brings."""


def save(url: str, path: Path) -> int:
    """Write a backup of the store at this address; give its bytes.

    The server forks and sends what it held at that moment: all keys of one instant, whatever is written meanwhile.
    All that was acknowledged before the call is in it.

    Parameters
    ----------
    url
        `redis://`, `rediss://` or `unix://`; its user needs `+sync +replconf +info`.

    Raises
    ------
    BackupError
        If the server gives no image, or one that could not be restored; no file is left.
    StoreUnreachable
        If the server gives no answer.
    ValueError
        If the address has another scheme.
    """
    if "+cluster" in url.partition("://")[0]:
        message = "a cluster has an image for each node: name its primaries one by one, each with redis:// and a file"
        raise BackupError(message)
    pool = ConnectionPool.from_url(url, protocol=2, socket_timeout=SECONDS, socket_connect_timeout=5.0)
    connection: Any = pool.make_connection()
    try:
        with Redis(connection_pool=pool) as redis:
            said: Any = redis.info()
        valkey = said.get("valkey_version")
        store = f"redis {said['redis_version']}" if valkey is None else f"valkey {valkey}"
        header = header_of(
            made_at=time.time(), store=store, database=int(pool.connection_kwargs.get("db") or 0)
        )
        return write(path, header, _checked(_image(connection)))
    except ResponseError as error:
        message = (
            f"the store gives no image of itself ({error}): its user needs +sync and +replconf; "
            "where the provider forbids them, use the provider's own backup"
        )
        raise BackupError(message) from error
    except RedisError as error:
        raise translated(error) from error
    except OSError as error:
        if error.filename is not None:
            raise
        message = f"the store gives no answer: {error}"
        raise StoreUnreachable(message) from error
    finally:
        connection.disconnect()
        pool.disconnect()


def _image(connection: Any) -> Iterator[bytes]:  # noqa: ANN401 (of the client; its types have no socket)
    connection.connect()
    # Straight to us, not through a file on the server's disk; and nothing after it.
    for words in (("REPLCONF", "capa", "eof"), ("REPLCONF", "rdb-only", "1")):
        connection.send_command(*words)
        connection.read_response()
    connection.send_command("SYNC")
    stream = connection._sock.makefile("rb")  # noqa: SLF001 (the client has no word for an image)
    with stream:
        while (line := stream.readline(128)) == b"\n":
            pass  # it lives, and is not ready yet
        if line.startswith(b"$EOF:"):
            yield from _until(stream, line[5:].strip())
        elif line.startswith(b"$"):
            yield from _counted(stream, int(line[1:]))
        else:
            raise ResponseError(line.decode(errors="replace").strip().lstrip("-") or "the connection ended")


def _until(stream: Any, mark: bytes) -> Iterator[bytes]:  # noqa: ANN401 (as above)
    held = b""
    while True:
        block = stream.read1(_BLOCK)
        held += block
        if held.endswith(mark):
            yield held[:-_MARK_BYTES]
            return
        if not block:
            message = "the store broke off in the middle of its image: try again"
            raise BackupError(message)
        yield held[:-_MARK_BYTES]
        held = held[-_MARK_BYTES:]


def _counted(stream: Any, size: int) -> Iterator[bytes]:  # noqa: ANN401 (as above)
    while size > 0:
        block = stream.read(min(size, _BLOCK))
        if not block:
            message = "the store broke off in the middle of its image: try again"
            raise BackupError(message)
        size -= len(block)
        yield block


def _checked(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Refuse an image that could not be restored: it must be known now, not when it is needed."""
    first = b""
    for block in blocks:
        first += block
        if len(first) >= 9:
            break
    kind = next((kind for kind in _NEWEST if first.startswith(kind)), None)
    version = first[len(kind) : 9].decode(errors="replace") if kind else ""
    if kind is None or not version.isdigit() or int(version) > _NEWEST[kind]:
        message = (
            f"the store's image begins with {first[:9]!r}, which the server that nplmon brings cannot read: "
            "back it up with its own tools"
        )
        raise BackupError(message)
    yield first
    yield from blocks
