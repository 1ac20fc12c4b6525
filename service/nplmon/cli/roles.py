"""The commands that run one role: `nplmon api`, `nplmon trainer`, `nplmon aggregator`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from nplmon.settings import Settings

RedisUrl = Annotated[str | None, typer.Option("--redis-url", help="Store to use. Default: NPLMON_REDIS_URL.")]
Insecure = Annotated[
    bool,
    typer.Option("--insecure", help="Ask for no tokens, whoever reaches the address. As NPLMON_ACCESS=open."),
]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on. Default: NPLMON_HOST.")]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port", help="Port of /metrics; 0 takes a free one. Default: NPLMON_METRICS_PORT."
    ),
]


def refuse(message: str) -> NoReturn:
    """End the command with one line on standard error and exit code 2."""
    typer.echo(f"nplmon: {message}", err=True)
    raise typer.Exit(2)


def settings_with(**overrides: object) -> Settings:
    """Read the settings of the environment, with the options that were given in their place.

    Parameters
    ----------
    overrides:
        Settings by name; None leaves the environment's or the default value.
    """
    from pydantic import ValidationError

    from nplmon.settings import Settings

    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]  # checked by pydantic, which names what is wrong
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # settings that do not go together; what was read of all of them holds secrets
            refuse(first["msg"].removeprefix("Value error, "))
        name = str(first["loc"][0])
        said = f"--{name.replace('_', '-')}" if name in given else f"NPLMON_{name.upper()}"
        secret = "SecretStr" in str(Settings.model_fields[name].annotation)
        got = "" if secret else f", got {first.get('input')!r}"
        refuse(f"{said}: {first['msg']}{got}")


def require(extra: str, *modules: str) -> None:
    """Refuse in one line when a part of the installation is missing.

    Parameters
    ----------
    extra:
        What brings them: the name in `pip install 'nplmon[EXTRA]'`.
    modules:
        Top-level modules that the command cannot do without.
    """
    from importlib.util import find_spec

    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        refuse(f"this command needs {', '.join(missing)}: pip install 'nplmon[{extra}]'")


def _serve(role: str, settings: Settings) -> None:
    if settings.redis_url is None:
        refuse(
            "NPLMON_REDIS_URL is not set: give --redis-url redis://HOST:6379, "
            "or run the whole service with `nplmon up`"
        )
    importlib.import_module(f"nplmon.{role}").serve(settings)


def _no_tokens(url: str) -> bool:
    """Whether the store surely has no token; one that does not answer yet may have some."""
    import asyncio

    from nplmon.broker import Broker, BrokerError

    async def count() -> int | None:
        broker = Broker.connect(url)
        try:
            await broker.ping()
            return await broker.tokens.count()
        except BrokerError:
            return None
        finally:
            await broker.close()

    return asyncio.run(count()) == 0


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""

    @app.command(
        epilog="Example: NPLMON_REDIS_URL=redis://store:6379 nplmon api --host 0.0.0.0 --port 8471",
    )
    def api(
        *,
        redis_url: RedisUrl = None,
        host: Host = None,
        port: Annotated[
            int | None, typer.Option("--port", help="Port; 0 takes a free one. Default: NPLMON_PORT.")
        ] = None,
        insecure: Insecure = False,
    ) -> None:
        """Run the HTTP interface until SIGTERM or Ctrl-C."""
        require("service", "fastapi", "uvicorn", "redis")
        settings = settings_with(
            redis_url=redis_url, host=host, port=port, access="open" if insecure else None
        )
        needed = settings.needs_tokens and settings.oidc_issuer is None
        if needed and settings.redis_url is not None and _no_tokens(settings.redis_url):
            refuse(
                f"others can reach {settings.host}, and there is no token yet: make one with `nplmon token create NAME "
                "--scope admin --redis-url URL`, or give --insecure where nobody else can reach it"
            )
        _serve("api", settings)

    @app.command(
        epilog="Example: NPLMON_REDIS_URL=redis://store:6379 nplmon trainer --device cuda:0",
    )
    def trainer(
        *,
        redis_url: RedisUrl = None,
        host: Host = None,
        metrics_port: MetricsPort = None,
        device: Annotated[
            str | None, typer.Option("--device", help="auto, cpu, cuda or cuda:N. Default: NPLMON_DEVICE.")
        ] = None,
        threads: Annotated[
            int | None,
            typer.Option(
                "--threads", help="Threads of one fit; 0 leaves it to torch. Default: NPLMON_THREADS."
            ),
        ] = None,
        data_dir: Annotated[
            Path | None,
            typer.Option("--data-dir", help="Where references are kept on disk. Default: NPLMON_DATA_DIR."),
        ] = None,
    ) -> None:
        """Fit chunks, one after the other, until SIGTERM or Ctrl-C."""
        require("worker", "torch", "redis")
        _serve(
            "trainer",
            settings_with(
                redis_url=redis_url,
                host=host,
                metrics_port=metrics_port,
                device=device,
                threads=threads,
                data_dir=data_dir,
            ),
        )

    @app.command(
        epilog="Example: NPLMON_REDIS_URL=redis://store:6379 nplmon aggregator --metrics-port 8472",
    )
    def aggregator(
        *,
        redis_url: RedisUrl = None,
        host: Host = None,
        metrics_port: MetricsPort = None,
    ) -> None:
        """Turn finished fits into the running statistics until SIGTERM or Ctrl-C."""
        require("service", "redis", "scipy")
        _serve("aggregator", settings_with(redis_url=redis_url, host=host, metrics_port=metrics_port))
