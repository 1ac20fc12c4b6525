"""Hosts: whether a browser was led here by somebody else's page.

A page from anywhere can make a browser send requests to this machine: a form that posts to 127.0.0.1, or a name that
first means the page's own server and then this one (DNS rebinding). What such requests cannot do is lie about where
they come from: `Origin` and `Sec-Fetch-Site` are set by the browser, and `Host` is the name that was looked up.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nplmon.access.errors import Forbidden

if TYPE_CHECKING:
    from nplmon.settings import Settings

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""
OURS = frozenset({"same-origin", "none"})
"""Of Sec-Fetch-Site: our own page, and what a person typed."""


class Hosts:
    """The names under which this service is reached."""

    def __init__(self, settings: Settings) -> None:
        told = (name.strip().lower() for name in settings.allowed_hosts.split(","))
        self._names = {"localhost", socket.gethostname().lower(), settings.host.lower(), *told} - {""}

    def check(self, host: str | None) -> None:
        """Check the name that a request was sent to.

        An IP address cannot be made to mean another server, nor can localhost. A request without a name is none of a
        browser.

        Raises
        ------
        Forbidden
            If it is not one of ours.
        """
        if not host:
            return
        name = host_name(host)
        if name in self._names or name.endswith(".localhost") or is_address(name):
            return
        raise Forbidden(
            f"This service is not known as {name[:100]!r}.",
            field="host",
            value=name[:100],
            remedy="Use its IP address or localhost, or name it in NPLMON_ALLOWED_HOSTS.",
        )


def check_origin(
    method: str, *, host: str | None, origin: str | None, site: str | None, surely_a_browser: bool
) -> None:
    """Check that what changes something was not sent by a page of somebody else.

    Parameters
    ----------
    host, origin, site:
        The headers Host, Origin and Sec-Fetch-Site.
    surely_a_browser:
        Whether a request without the last two is refused as well: it carries a cookie, which only browsers do.

    Raises
    ------
    Forbidden
        If it was, or may have been.
    """
    if method in READING:
        return
    if site is not None:
        if site in OURS:
            return
        raise _foreign("Sec-Fetch-Site", site)
    if origin is not None:
        if host is not None and urlsplit(origin).netloc.lower() == host.lower():
            return
        raise _foreign("Origin", origin)
    if surely_a_browser:
        raise Forbidden(
            "The request carries a session, but does not say which page sends it.",
            field="Origin",
            remedy="Send a token (`Authorization: Bearer TOKEN`) from programs; sessions are for the page.",
        )


def host_name(host: str) -> str:
    """Give the name in a Host header, without the port.

    Examples
    --------
    >>> host_name("LocalHost:8471"), host_name("[::1]:80"), host_name("example.org.")
    ('localhost', '::1', 'example.org')
    """
    name = host.strip().lower()
    if name.startswith("["):
        inside, _, rest = name[1:].partition("]")
        return inside if rest == "" or rest.startswith(":") else name
    return name.partition(":")[0].removesuffix(".")


def is_address(name: str) -> bool:
    """Tell whether a name is an IP address.

    Examples
    --------
    >>> is_address("10.0.0.7"), is_address("10.0.0.7.evil.example")
    (True, False)
    """
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _foreign(field: str, value: str) -> Forbidden:
    return Forbidden(
        "A page of somebody else sent this.",
        field=field,
        value=value[:100],
        remedy="Do it on the page of this service, or with a command.",
    )
