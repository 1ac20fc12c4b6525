"""A client for one command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nplmon.cli.roles import settings_with

if TYPE_CHECKING:
    from nplmon.client import Client

# Long enough for a service that is just starting; short enough for a person who mistyped the address.
UNREACHABLE = 2.0


def connect(url: str | None, *, deadline: float = 15.0, unreachable: float | None = UNREACHABLE) -> Client:
    """Make a client for `url`, else for the address in the settings.

    Parameters
    ----------
    deadline:
        Seconds for one call with its retries.
    unreachable:
        Seconds after which a service without any connection is given up; None: the deadline.
    """
    from nplmon.client import Client, Retries

    settings = settings_with(url=url)
    return Client(
        settings.url,
        token=None if settings.token is None else settings.token.get_secret_value(),
        plain_http=settings.plain_http,
        retries=Retries(deadline=deadline, attempt=deadline, unreachable=unreachable),
    )
