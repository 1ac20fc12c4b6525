"""The API's port: free, or soon free, before a process is started on it."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable

from nplmon.supervisor.errors import SupervisorError


def authority(host: str, port: int) -> str:
    """Give the `HOST:PORT` under which this machine itself reaches a server that listens on `host`.

    Examples
    --------
    >>> authority("0.0.0.0", 8471), authority("::1", 80)
    ('127.0.0.1:8471', '[::1]:80')
    """
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104  # compared
    return f"[{reachable}]:{port}" if ":" in reachable else f"{reachable}:{port}"


def claim_port(
    host: str, port: int, *, patience: float, stopped: Callable[[], bool], announce: Callable[[str], None]
) -> int | None:
    """Give a port that can be listened on now, waiting for a predecessor that is shutting down.

    Parameters
    ----------
    host, port:
        Where to listen; port 0 takes a free one.
    patience:
        How long to wait for a busy port, in s.
    stopped:
        Asked while waiting; True ends the wait, and the answer is then None.
    announce:
        Told once, in one line, that the port is waited for.

    Raises
    ------
    SupervisorError
        If the port stays taken, or the address is not one of this machine.
    """
    deadline = time.monotonic() + patience
    announced = False
    while True:
        try:
            return _bind_once(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise SupervisorError(
                    f"cannot listen on {host}:{port} ({error.strerror or error}): "
                    "choose another --host or --port"
                ) from error
            if time.monotonic() >= deadline:
                raise SupervisorError(
                    f"port {port} on {host} is taken by another program: "
                    "stop it, or choose another with --port"
                ) from error
        if stopped():
            return None
        if not announced:
            announce(f"port {port} on {host} is busy, waiting up to {patience:.0f} s for it")
            announced = True
        time.sleep(0.1)


def _bind_once(host: str, port: int) -> int:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        # As the server itself will bind: connections of a predecessor in TIME_WAIT are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        # On Linux two sockets with SO_REUSEADDR may bind the same port; only listening shows a living server.
        probe.listen(1)
        return int(probe.getsockname()[1])
