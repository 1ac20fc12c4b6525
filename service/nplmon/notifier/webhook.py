"""Webhooks: a POST, signed after the Standard Webhooks specification (standardwebhooks.com)."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx
from standardwebhooks import Webhook

from nplmon.notifier.errors import GiveUp, TryLater

if TYPE_CHECKING:
    from pydantic import SecretStr

    from nplmon.notifier.channel import ChannelName
    from nplmon.notifier.notice import Notice

TIMEOUT_SECONDS: Final = 10.0
"""Of one try, from the connection to the last header of the answer."""
BUSY: Final = frozenset({408, 425, 429})
"""Of the answers 4xx those that ask for another try."""
UNSIGNED: Final = (
    "webhooks are sent signed or not at all: set NPLMON_WEBHOOK_SECRET for the aggregator and start it again"
)


class Webhooks:
    """Posts notices.

    Parameters
    ----------
    secret:
        One or several, separated by spaces: each signs, so that a receiver may change to the new one in its time.
        None: nothing is sent.
    """

    name: ChannelName = "webhook"

    def __init__(self, secret: SecretStr | None) -> None:
        secrets = [] if secret is None else secret.get_secret_value().split()
        self._signers = [Webhook(one) for one in secrets]
        self._client = httpx.AsyncClient(
            timeout=TIMEOUT_SECONDS, follow_redirects=False, headers={"user-agent": "nplmon"}
        )

    def missing(self) -> str:
        """Say what is missing."""
        return "" if self._signers else UNSIGNED

    def shown(self, address: str) -> str:
        """Name a receiver without path and query, which often hold a token.

        Examples
        --------
        >>> Webhooks(None).shown("https://hooks.example/T0/secret?key=1")
        'webhook https://hooks.example/...'
        """
        parts = urlsplit(address)
        return f"webhook {parts.scheme}://{parts.netloc.rpartition('@')[2]}/..."

    async def deliver(self, address: str, notice: Notice) -> None:
        """Post a notice; of the answer nothing but status and Retry-After is read.

        Raises
        ------
        TryLater
            If nobody answers, or the answer is 408, 425, 429 or 5xx.
        GiveUp
            If it is anything else but 2xx.
        """
        body, now = notice.body, datetime.now(tz=UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": notice.payload.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(
                one.sign(notice.payload.id, now, body.decode()) for one in self._signers
            ),
        }
        try:
            async with (
                asyncio.timeout(TIMEOUT_SECONDS),
                self._client.stream("POST", address, content=body, headers=headers) as answer,
            ):
                status, wait = answer.status_code, answer.headers.get("retry-after")
        except TimeoutError:
            raise TryLater(f"no answer within {TIMEOUT_SECONDS:g} s") from None
        except httpx.InvalidURL as error:
            raise GiveUp(f"no address of a webhook: {error}") from error
        except httpx.TransportError as error:
            raise TryLater(f"no answer: {type(error).__name__}") from error
        if 200 <= status < 300:
            return
        if status in BUSY or status >= 500:
            raise TryLater(f"it answered {status}", seconds_of(wait))
        if 300 <= status < 400:
            raise GiveUp(
                f"it answered {status}: redirects are not followed, give the address that they lead to"
            )
        raise GiveUp(f"it answered {status}")

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()


def seconds_of(header: str | None) -> float | None:
    """Read Retry-After: seconds, or a date; None where it is neither.

    Examples
    --------
    >>> seconds_of("120"), seconds_of("soon"), seconds_of("Wed, 21 Oct 2015 07:28:00 GMT")
    (120.0, None, 0.0)
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None
