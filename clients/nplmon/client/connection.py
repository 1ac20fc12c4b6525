"""What both clients set up alike: address, headers, limits, and the bookkeeping of pushes in flight."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

import httpx
from numpy.typing import ArrayLike

from nplmon.client.calls import Chunk
from nplmon.client.errors import ClientError
from nplmon.client.records import Receipt, Status
from nplmon.client.subscription import SILENCE

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=32)
STREAM_TIMEOUT = httpx.Timeout(10.0, read=SILENCE)


class Landed(Protocol[R_co]):
    """A future that is done, of threads or of asyncio."""

    def result(self) -> R_co:
        """Its result, or raises."""

    def exception(self) -> BaseException | None:
        """Its error, or None."""


def address(url: str | None) -> str:
    """Choose the service's address: as given, else `NPLMON_URL`, else the default.

    Raises
    ------
    ClientError
        If it is not an http or https address.

    Examples
    --------
    >>> address("http://localhost:9000/")
    'http://localhost:9000'
    """
    chosen = (url or os.environ.get("NPLMON_URL") or "http://127.0.0.1:8471").rstrip("/")
    try:
        parsed = httpx.URL(chosen)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ClientError(
            f"the address {chosen!r} is not of the form http://HOST:PORT; set --url or NPLMON_URL"
        )
    return chosen


def headers(
    extra: Mapping[str, str] | None, url: str, token: str | None, *, plain_http: bool | None
) -> dict[str, str]:
    """Give the headers of every request.

    Parameters
    ----------
    token:
        None: `NPLMON_TOKEN`; neither: no token is sent.
    plain_http:
        Whether the token may go unencrypted to another machine; None: `NPLMON_PLAIN_HTTP`.

    Raises
    ------
    ClientError
        If it would go where everyone on the way can read it.

    Examples
    --------
    >>> headers(None, "https://monitor.example", "nplmon_1_x", plain_http=None)["Authorization"]
    'Bearer nplmon_1_x'
    """
    told = {"User-Agent": f"nplmon/{importlib.metadata.version('nplmon')}"}
    chosen = token or os.environ.get("NPLMON_TOKEN")
    if chosen:
        parsed = httpx.URL(url)
        if plain_http is None:
            plain_http = os.environ.get("NPLMON_PLAIN_HTTP", "").lower() in ("1", "true", "yes")
        if parsed.scheme != "https" and not is_loopback(parsed.host) and not plain_http:
            raise ClientError(
                f"the token would go unencrypted to {parsed.host}, and everyone on the way could use it; "
                "use an https address, or set NPLMON_PLAIN_HTTP=1 where the network is yours"
            )
        if not chosen.isascii() or not chosen.isprintable() or " " in chosen:
            raise ClientError("the token has a character that no token has; copy it again")
        told["Authorization"] = f"Bearer {chosen}"
    return told | dict(extra or {})


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, whatever name servers say.

    Examples
    --------
    >>> is_loopback("localhost"), is_loopback("127.0.0.1"), is_loopback("api")
    (True, True, False)
    """
    return host in ("localhost", "::1") or host.startswith("127.")


def as_chunk(chunk: ArrayLike | Chunk) -> Chunk:
    """Give a chunk as it is, and make an array into one with a new id."""
    return chunk if isinstance(chunk, Chunk) else Chunk(events=chunk)


async def each(items: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    """Give the items of a plain or an asynchronous iterable."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


def applied(sequence: int) -> tuple[Callable[[Status], bool], str]:
    """Give the test whether chunk number `sequence` is in a status, and the words for when it never is."""

    def test(status: Status) -> bool:
        return status.snapshot is not None and status.snapshot.sequence >= sequence

    return test, f"chunk number {sequence} was not applied"


def receipts(landed: Iterable[Landed[Receipt]]) -> Iterator[Receipt]:
    """Give the receipts among pushes that are done, in the order of admission."""
    given = [push.result() for push in landed if push.exception() is None]
    return iter(sorted(given, key=lambda receipt: receipt.sequence))


def failure(landed: Iterable[Landed[Receipt]]) -> BaseException | None:
    """Give the first error among pushes that are done."""
    return next((error for push in landed if (error := push.exception()) is not None), None)
