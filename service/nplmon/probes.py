"""What a trainer or an aggregator answers over HTTP: its metrics, that it lives, and whether it can work."""

from __future__ import annotations

import json
import threading
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from prometheus_client import CollectorRegistry


class Probes:
    """`/metrics`, `/healthz` and `/readyz` in threads of their own, so that no fit delays them.

    Parameters
    ----------
    port, host:
        Where; port 0 takes a free one.
    registry:
        What `/metrics` exports.
    hindrance:
        What keeps the process from working now, in words; "" for nothing.

    Raises
    ------
    OSError
        If the address cannot be taken.
    """

    def __init__(
        self, port: int, host: str, registry: CollectorRegistry, hindrance: Callable[[], str]
    ) -> None:
        self._metrics = make_wsgi_app(registry)
        self._hindrance = hindrance
        self._server = make_server(host, port, self._answer, _Server, _Handler)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="probes", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environment.get("PATH_INFO")
        if path == "/healthz":
            return _json(start, "200 OK", {"status": "ok"})
        if path == "/readyz":
            hindrance = self._hindrance()
            status = "503 Service Unavailable" if hindrance else "200 OK"
            return _json(start, status, {"ready": not hindrance, "reason": hindrance})
        return cast("Iterable[bytes]", self._metrics(environment, start))


def _json(start: StartResponse, status: str, body: dict[str, object]) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
    return [json.dumps(body).encode()]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Say nothing: each scrape would be a line."""
