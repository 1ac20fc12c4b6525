"""The command `nplmon up`: the whole service on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nplmon.cli.roles import Host, Insecure, RedisUrl, refuse, require, settings_with

if TYPE_CHECKING:
    from nplmon.supervisor.addresses import Addresses


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog="Example: nplmon up --trainers 2 --data-dir /var/lib/nplmon --port 8471")
    def up(
        *,
        trainers: Annotated[int, typer.Option("--trainers", min=1, help="Number of trainer processes.")] = 1,
        data_dir: Annotated[
            Path | None,
            typer.Option(
                "--data-dir",
                help="Where the store, the caches and the logs are kept. Default: NPLMON_DATA_DIR.",
            ),
        ] = None,
        host: Host = None,
        port: Annotated[
            int | None,
            typer.Option("--port", help="Port of the API; 0 takes a free one. Default: NPLMON_PORT."),
        ] = None,
        metrics_port: Annotated[
            int | None,
            typer.Option(
                "--metrics-port",
                help="First trainer's /metrics; the others take the next ports. 0 takes free ones.",
            ),
        ] = None,
        device: Annotated[
            str | None, typer.Option("--device", help="auto, cpu, cuda or cuda:N. Default: NPLMON_DEVICE.")
        ] = None,
        redis_url: RedisUrl = None,
        insecure: Insecure = False,
    ) -> None:
        """Run store, API, trainers and aggregator on this machine until Ctrl-C.

        Without a store of your own an embedded one is started in the data directory. A later `nplmon up` on
        the same directory goes on where this one stopped. Ctrl-C finishes the chunks in work; a second one
        does not wait for them. Where others can reach the address, requests need tokens, and there must be one.
        """
        require("all", "torch", "fastapi", "uvicorn", "redis")
        settings = settings_with(
            redis_url=redis_url,
            data_dir=data_dir,
            host=host,
            port=port,
            metrics_port=metrics_port,
            device=device,
            access="open" if insecure else None,
        )
        import asyncio

        from nplmon import log
        from nplmon.supervisor import Service, SupervisorError

        log.configure("up", settings.log_format)
        try:
            asyncio.run(Service(settings, trainers=trainers, announce=_print_addresses).run())
        except SupervisorError as error:
            refuse(str(error))


def _print_addresses(addresses: Addresses, seconds: float) -> None:
    metrics = "\n".join(f"           {url}  ({name})" for name, url in addresses.metrics.items()).strip()
    typer.echo(
        f"nplmon is ready after {seconds:.1f} s\n"
        f"  page     {addresses.api}/\n"
        f"  API      {addresses.api}\n"
        f"  docs     {addresses.docs}\n"
        f"  metrics  {metrics}\n"
        f"  store    {addresses.store}\n"
        f"  logs     {addresses.logs}\n"
        f"  access   {_access(addresses.access)}\n"
        "Ctrl-C stops everything and keeps all data."
    )


def _access(access: str) -> str:
    if access == "open":
        return "open to everyone who reaches the API; no tokens are asked for"
    return "by tokens; make one with `nplmon token create`"
