"""The server: the application behind uvicorn, until a signal."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
import uvicorn
from prometheus_client import CollectorRegistry

from nplmon import log
from nplmon.api.app import create_app
from nplmon.broker import Broker
from nplmon.process_metrics import export_process

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from fastapi import FastAPI

    from nplmon.settings import Settings

STOP_SECONDS = 10
"""Requests that are not done so long after a signal are cut."""
KEEP_ALIVE_SECONDS = 75


def serve(settings: Settings) -> None:
    """Serve the interface on `settings.host` and `settings.port` until SIGTERM or SIGINT.

    It starts whether or not the store can be reached; until it can, requests are refused with 503.

    Raises
    ------
    ValueError
        If the settings name no store.
    OSError
        If the address cannot be taken.
    """
    log.configure("api", settings.log_format)
    if settings.redis_url is None:
        message = "no store is named; set NPLMON_REDIS_URL, e.g. redis://127.0.0.1:6379"
        raise ValueError(message)
    registry = CollectorRegistry()
    export_process(registry, "api")
    app = create_app(Broker.connect(settings.redis_url), settings, registry)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    Server(config, app, masked(settings.redis_url)).run(sockets=[config.bind_socket()])


class Server(uvicorn.Server):
    """uvicorn's server; says where it listens, ends event streams when it stops, returns after a signal."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, store: str) -> None:
        super().__init__(config)
        self._app = app
        self._store = store

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT; uvicorn's own would raise the signal again afterwards."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say where."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            structlog.get_logger().info("listening", address=address, store=self._store)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the event streams first; they would keep the server waiting."""
        self._app.state.context.close()
        await super().shutdown(sockets)


def masked(url: str) -> str:
    """Give a store's address without its password.

    Examples
    --------
    >>> masked("redis://user:secret@store:6379/0")
    'redis://user:***@store:6379/0'
    """
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return parts._replace(netloc=f"{parts.username or ''}:***@{parts.netloc.rpartition('@')[2]}").geturl()
