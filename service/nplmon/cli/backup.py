"""The commands `nplmon backup` and `nplmon restore`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from nplmon.cli.embedded import embedded_store
from nplmon.cli.output import when
from nplmon.cli.roles import RedisUrl, refuse, require, settings_with

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Where `nplmon up` keeps the store, if no other is named. Default: NPLMON_DATA_DIR.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(epilog="Example: nplmon backup monday.nplmon --data-dir /var/lib/nplmon")(backup)
    app.command(epilog="Example: nplmon restore monday.nplmon --data-dir /var/lib/nplmon")(restore)


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write; it must not exist.")],
    *,
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
) -> None:
    """Write all that the store holds at this moment to a file, while the service goes on."""
    require("service", "redis")
    from nplmon import backup as room
    from nplmon.broker import BrokerError

    try:
        with _store(data_dir, redis_url) as url:
            size = room.save(url, file)
    except (room.BackupError, BrokerError, ValueError) as error:
        refuse(str(error))
    typer.echo(f"{file}: {size / 1e6:.1f} MB; all that was accepted before is in it")


def restore(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="The backup; of a cluster one file for each of its primaries."
        ),
    ],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete what the store holds of nplmon first.")
    ] = False,
    data_dir: DataDir = None,
    redis_url: RedisUrl = None,
) -> None:
    """Bring a store to what it was when a backup was made; no role may be at work on it."""
    require("service", "redis")
    from nplmon import backup as room
    from nplmon.broker import BrokerError

    try:
        with _store(data_dir, redis_url, alone=True) as url:
            found = room.restore(files, url, replace=replace)
    except (room.BackupError, BrokerError, ValueError) as error:
        refuse(str(error))
    made = ", ".join(
        f"{when(header.made_at)} by nplmon {header.nplmon} from {header.store}" for header in found.headers
    )
    typer.echo(f"restored {found.keys} keys, monitors: {', '.join(found.monitors) or 'none'}; made {made}")


@contextmanager
def _store(data_dir: Path | None, redis_url: str | None, *, alone: bool = False) -> Iterator[str]:
    """Give the address of the store: the one that is named, else the embedded one, which is left as it was found."""
    settings = settings_with(data_dir=data_dir, redis_url=redis_url)
    if settings.redis_url is not None and data_dir is None:
        yield settings.redis_url
        return
    from nplmon.supervisor import SupervisorError
    from nplmon.supervisor.lock import DataDirectoryLock

    directory = settings.data_dir.resolve()
    if not alone and not directory.is_dir():
        refuse(f"there is no {directory}: name the directory of `nplmon up` with --data-dir, or a store")
    lock = DataDirectoryLock(directory)
    if alone:
        try:
            lock.acquire()
        except SupervisorError as error:
            refuse(str(error))
    try:
        with embedded_store(directory) as url:
            yield url
    finally:
        if alone:
            lock.release()
