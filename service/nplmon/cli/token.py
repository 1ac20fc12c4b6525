"""The commands `nplmon token create|list|revoke`."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from nplmon.cli.connect import connect
from nplmon.cli.embedded import embedded_store
from nplmon.cli.options import Json, Url
from nplmon.cli.output import print_json, print_table, when
from nplmon.cli.roles import require, settings_with

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from nplmon.broker import Broker
    from nplmon.broker.access_messages import AuditEntry
    from nplmon.client import TokenInfo

T = TypeVar("T")

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="At the store of `nplmon up` in this directory, without a token of your own."
    ),
]
StoreUrl = Annotated[
    str | None, typer.Option("--redis-url", help="At this store, without a token of your own.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(no_args_is_help=True, help="Tokens: who may speak to the service, and do what.")
    group.command(
        "create", epilog="Example: nplmon token create daq --scope push --monitor dimuon --expires 90"
    )(create)
    group.command("list", epilog="Example: nplmon token list --data-dir /var/lib/nplmon")(list_tokens)
    group.command("revoke", epilog="Example: nplmon token revoke 0123456789abcdef")(revoke)
    app.add_typer(group, name="token")


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who it stands for.")],
    *,
    scopes: Annotated[
        list[str],
        typer.Option("--scope", help="push, read, operate or admin; may be given several times."),
    ],
    monitor: Annotated[
        str | None, typer.Option("--monitor", help="The only monitor that it is good for.")
    ] = None,
    expires: Annotated[
        float | None, typer.Option("--expires", metavar="DAYS", help="Days after which it expires.", min=0)
    ] = None,
    data_dir: DataDir = None,
    redis_url: StoreUrl = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Make a token and print it, this once: as an admin, or at the store itself."""
    if at_store(data_dir, redis_url):
        made = _made_at_store(name, scopes, monitor, expires, data_dir, redis_url)
    else:
        with connect(url) as client:
            new = client.create_token(name, scopes, monitor=monitor, days=expires)  # type: ignore[arg-type]  # the service checks
        made = {"token": new.token, "id": new.info.id}
    if as_json:
        print_json({**made, "name": name, "scopes": list(scopes), "monitor": monitor})
        return
    typer.echo(made["token"])
    typer.echo(
        f"This is token {made['id']} of {name!r}; it is shown this once. Use it as NPLMON_TOKEN.", err=True
    )


def list_tokens(
    *, data_dir: DataDir = None, redis_url: StoreUrl = None, as_json: Json = False, url: Url = None
) -> None:
    """List the tokens: what each may do, until when, and when it was used last."""
    if at_store(data_dir, redis_url):
        found = _listed_at_store(data_dir, redis_url)
    else:
        with connect(url) as client:
            found = list(client.tokens())
    if as_json:
        print_json(found)
        return
    print_table(
        ("id", "name", "scopes", "monitor", "made", "by", "expires", "last used"),
        [
            (
                t.id,
                t.name,
                " ".join(t.scopes),
                t.monitor or "all",
                when(t.created_at),
                t.created_by or "store",
                when(t.expires_at),
                when(t.used_at),
            )
            for t in found
        ],
        empty="there are no tokens",
    )


def revoke(
    token: Annotated[str, typer.Argument(metavar="ID", help="Id of the token, as in `nplmon token list`.")],
    *,
    data_dir: DataDir = None,
    redis_url: StoreUrl = None,
    url: Url = None,
) -> None:
    """Revoke a token: within two seconds it is good for nothing, nor are sessions made with it."""
    if at_store(data_dir, redis_url):
        if not _revoked_at_store(token, data_dir, redis_url):
            raise typer.BadParameter(f"there is no token {token!r}; see: nplmon token list")
    else:
        with connect(url) as client:
            client.revoke_token(token)
    typer.echo(f"revoked {token}")


def at_store(data_dir: Path | None, redis_url: str | None) -> bool:
    """Whether the store itself is meant: it is named, or nothing else is there to speak with."""
    settings = settings_with()
    return (
        data_dir is not None
        or redis_url is not None
        or (settings.redis_url is not None and settings.token is None)
    )


def _made_at_store(
    name: str,
    scopes: list[str],
    monitor: str | None,
    days: float | None,
    data_dir: Path | None,
    redis_url: str | None,
) -> dict[str, str]:
    require("service", "argon2", "redis")
    import re

    from nplmon.access import new_token
    from nplmon.broker.access_messages import SCOPES

    wrong = [scope for scope in scopes if scope not in SCOPES]
    if wrong:
        raise typer.BadParameter(f"{wrong[0]!r} is not a scope; choose of {', '.join(SCOPES)}")
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", name) is None:
        raise typer.BadParameter(
            f"{name!r} is not a name: use letters, digits, '.', '_' and '-', beginning with a letter or digit"
        )
    token, text = new_token(name, [scope for scope in SCOPES if scope in scopes], monitor=monitor, days=days)

    async def add(broker: Broker) -> None:
        if monitor is not None:
            await broker.monitors.get(monitor)
        await broker.tokens.add(token)
        await broker.audit.append(_entry("POST /v1/tokens", token.id, 201))

    _speak(data_dir, redis_url, add)
    return {"token": text, "id": token.id}


def _listed_at_store(data_dir: Path | None, redis_url: str | None) -> list[TokenInfo]:
    require("service", "redis")
    from nplmon.client import TokenInfo

    async def read(broker: Broker) -> list[TokenInfo]:
        used = await broker.tokens.last_used()
        return [
            TokenInfo(
                id=token.id,
                name=token.name,
                scopes=token.scopes,
                monitor=token.monitor,
                created_at=token.created_at,
                created_by=token.created_by,
                expires_at=token.expires_at,
                used_at=used.get(token.id),
            )
            for token in await broker.tokens.all()
        ]

    return _speak(data_dir, redis_url, read)


def _revoked_at_store(token: str, data_dir: Path | None, redis_url: str | None) -> bool:
    require("service", "redis")

    async def revoke_it(broker: Broker) -> bool:
        gone = await broker.tokens.revoke(token)
        if gone:
            await broker.audit.append(_entry("DELETE /v1/tokens/{token}", token, 204))
        return gone

    return _speak(data_dir, redis_url, revoke_it)


def _entry(action: str, token: str, status: int) -> AuditEntry:
    """Tell of what is done at the store itself, by whoever has an account that may."""
    import getpass

    from nplmon.broker.access_messages import AuditEntry

    return AuditEntry(
        who=getpass.getuser(),
        token="store",  # noqa: S106  # says that there was none
        address="",
        action=action,
        object=f"/v1/tokens/{token}",
        status=status,
    )


def _speak(data_dir: Path | None, redis_url: str | None, act: Callable[[Broker], Awaitable[T]]) -> T:
    """Do something at the store, and end its connection."""
    from nplmon.broker import Broker

    async def once(address: str) -> T:
        broker = Broker.connect(address)
        try:
            await broker.ping()
            return await act(broker)
        finally:
            await broker.close()

    with _address(data_dir, redis_url) as address:
        return asyncio.run(once(address))


@contextlib.contextmanager
def _address(data_dir: Path | None, redis_url: str | None) -> Iterator[str]:
    """Give the store's address; an embedded one that does not run is started for as long as it is needed."""
    settings = settings_with(data_dir=data_dir, redis_url=redis_url)
    if settings.redis_url is not None and (data_dir is None or redis_url is not None):
        yield settings.redis_url
        return
    with embedded_store(settings.data_dir.resolve()) as address:
        yield address
