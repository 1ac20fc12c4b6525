"""The file: a line that says what it is, a line of JSON about it, the store's own image, and a checksum of it all.

The image is the one that servers send to their replicas (RDB). It holds every key, also those of others.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from nplmon.backup.errors import BackupError

MAGIC = b"nplmon backup "
VERSION = 1
_DIGEST = hashlib.sha256().digest_size
_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class BackupHeader:
    """What a backup says of itself."""

    made_at: float
    """Unix seconds, when the image was asked for: what was accepted before is in it."""
    nplmon: str
    """Version that made it."""
    store: str
    """Kind and version of the server."""
    database: int
    """Number of the database in the image that is ours."""


def header_of(*, made_at: float, store: str, database: int) -> BackupHeader:
    """Give the header of a backup made by this version."""
    version = importlib.metadata.version("nplmon")
    return BackupHeader(made_at=made_at, nplmon=version, store=store, database=database)


def write(path: Path, header: BackupHeader, image: Iterable[bytes]) -> int:
    """Write a backup; it has its name only when it is whole and on the disk. Give its bytes.

    Raises
    ------
    BackupError
        If the file exists.
    """
    if path.exists():
        message = f"{path} exists: choose another name, or remove it"
        raise BackupError(message)
    unfinished = path.with_name(f"{path.name}.part")
    digest = hashlib.sha256()
    # Events, and the hashes of tokens: for nobody else to read.
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            about = json.dumps(asdict(header)).encode()
            for part in (MAGIC + str(VERSION).encode() + b"\n", about + b"\n"):
                digest.update(part)
                file.write(part)
            for part in image:
                digest.update(part)
                file.write(part)
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        # Unlike a renaming, this does not replace a file that has come since.
        os.link(unfinished, path)
    except FileExistsError:
        message = f"{path} exists: choose another name, or remove it"
        raise BackupError(message) from None
    finally:
        unfinished.unlink(missing_ok=True)
    _sync(path.parent)
    return size


def check(path: Path) -> BackupHeader:
    """Read a backup through: it is one, of this version, and not a byte of it is missing or changed.

    Raises
    ------
    BackupError
        If not.
    """
    with path.open("rb") as file:
        header = _header(file, path)
        size = path.stat().st_size - _DIGEST
        file.seek(0)
        digest = hashlib.sha256()
        for block in _blocks(file, size):
            digest.update(block)
        if file.read() != digest.digest():
            message = f"{path} is damaged: its checksum does not agree, nothing of it was restored"
            raise BackupError(message)
    return header


def image(path: Path) -> Iterator[bytes]:
    """Give the image of a checked backup, in blocks."""
    with path.open("rb") as file:
        _header(file, path)
        yield from _blocks(file, path.stat().st_size - _DIGEST - file.tell())


def _header(file: BinaryIO, path: Path) -> BackupHeader:
    first = file.readline(64)
    if not first.startswith(MAGIC):
        message = f"{path} is no backup of nplmon"
        raise BackupError(message)
    version = first.removeprefix(MAGIC).strip().decode(errors="replace")
    if version != str(VERSION):
        message = (
            f"{path} is a backup of format {version}, and this version of nplmon reads format {VERSION}: "
            "restore it with the version that made it"
        )
        raise BackupError(message)
    try:
        return BackupHeader(**json.loads(file.readline(_BLOCK)))
    except (ValueError, TypeError):
        message = f"{path} is damaged: its second line is no header"
        raise BackupError(message) from None


def _blocks(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (block := file.read(min(_BLOCK, size))):
        size -= len(block)
        yield block


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
