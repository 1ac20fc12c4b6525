"""OIDC: bearer tokens that an issuer has signed, checked against its published keys."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import structlog

from nplmon.access.errors import Unauthorized
from nplmon.access.identity import Identity
from nplmon.access.verifier import LARGEST
from nplmon.settings import scopes_by_group

if TYPE_CHECKING:
    from nplmon.access.verifier import Failures
    from nplmon.settings import Settings

log = structlog.get_logger()

ALGORITHMS = frozenset({"RS256", "ES256"})
"""Signatures by a private key of the issuer; none that a public key could make."""
KINDS = {"RS256": "RSA", "ES256": "EC"}
SMALLEST_RSA_BITS = 2048
LEEWAY_SECONDS = 30.0
"""Clocks may differ by so much."""
KEYS_SECONDS = 3600.0
"""The keys are fetched again after so long."""
REFETCH_SECONDS = 60.0
"""For a key that is not known, and after a failure, they are fetched at most so often."""
FETCH_SECONDS = 5.0
LARGEST_DOCUMENT = 1_000_000
LARGEST_TOKEN = 16_384


class Issuer:
    """Knows the keys of one issuer, and who its tokens stand for.

    Parameters
    ----------
    settings:
        Issuer, audience, and what its groups may do.
    failures:
        Counts attempts by address.
    """

    def __init__(self, settings: Settings, failures: Failures) -> None:
        self._url = str(settings.oidc_issuer).rstrip("/")
        self._issuer = str(settings.oidc_issuer)
        self._audience = str(settings.oidc_audience)
        self._claim, self._name = settings.oidc_claim, settings.oidc_name
        self._scopes = scopes_by_group(settings.oidc_scopes)
        self._failures = failures
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = -KEYS_SECONDS
        self._turn = asyncio.Lock()
        self._known: OrderedDict[bytes, Identity] = OrderedDict()

    async def identity(self, text: str, address: str) -> Identity:
        """Give who a token stands for.

        Raises
        ------
        Unauthorized
            If it is not one of the issuer's for us, or not any more.
        RateLimited
            If too many failed attempts came from `address`.
        """
        digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(digest)
        if known is not None and known.expires_at is not None and time.time() < known.expires_at:
            return known
        self._failures.attempt(address)
        try:
            claims = await self._claims(text)
        except jwt.ExpiredSignatureError as error:
            self._failures.forgive(address)  # it was right once
            raise _refused("has expired") from error
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            # Which check failed is for the log of whoever runs this, not for whoever tries.
            log.info("oidc token refused", reason=type(error).__name__)
            raise _refused("is not valid here") from error
        self._failures.forgive(address)
        identity = self._identity(claims)
        self._known[digest] = identity
        if len(self._known) > LARGEST:
            self._known.popitem(last=False)
        return identity

    async def _claims(self, text: str) -> dict[str, Any]:
        if len(text) > LARGEST_TOKEN:
            message = "too long"
            raise ValueError(message)
        header = jwt.get_unverified_header(text)
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            message = "another algorithm"
            raise jwt.InvalidAlgorithmError(message)
        key = await self._key(str(header.get("kid", "")))
        if key.key_type != KINDS[algorithm]:
            message = "a key of another kind"
            raise jwt.InvalidKeyError(message)
        claims: dict[str, Any] = jwt.decode(
            text,
            key.key,
            algorithms=[algorithm],
            audience=self._audience,
            issuer=self._issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
        return claims

    async def _key(self, kid: str) -> jwt.PyJWK:
        """Give the key of this id; fetch the keys if it is not there, but not for everyone who makes one up."""
        if kid not in self._keys or time.monotonic() - self._fetched_at > KEYS_SECONDS:
            async with self._turn:
                stale = time.monotonic() - self._fetched_at > KEYS_SECONDS
                if (kid not in self._keys or stale) and time.monotonic() - self._tried_at > REFETCH_SECONDS:
                    await self._fetch()
        if kid not in self._keys:
            message = "an unknown key"
            raise jwt.InvalidKeyError(message)
        return self._keys[kid]

    async def _fetch(self) -> None:
        self._tried_at = time.monotonic()
        try:
            keys = await self._published()
        except (httpx.HTTPError, httpx.InvalidURL, jwt.PyJWTError, ValueError, AttributeError) as error:
            # With the keys that are known it goes on.
            log.warning("keys of the issuer cannot be fetched", issuer=self._issuer, error=str(error)[:300])
            return
        self._keys = {
            kid: key
            for kid, key in keys.items()
            if key.key_type != "RSA" or key.key.key_size >= SMALLEST_RSA_BITS
        }
        self._fetched_at = time.monotonic()

    async def _published(self) -> dict[str, jwt.PyJWK]:
        async with httpx.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=False) as http:
            found = await _document(http, f"{self._url}/.well-known/openid-configuration")
            if found.get("issuer") != self._issuer:
                message = f"it says that it is {found.get('issuer')!r:.200}"
                raise ValueError(message)
            published = await _document(http, str(found.get("jwks_uri")))
        return {
            str(key.get("kid", "")): jwt.PyJWK(key)
            for key in published.get("keys", [])
            if key.get("kty") in ("RSA", "EC") and key.get("use", "sig") == "sig"
        }

    def _identity(self, claims: dict[str, Any]) -> Identity:
        groups = claims.get(self._claim, [])
        named = groups.split() if isinstance(groups, str) else groups if isinstance(groups, list) else []
        scopes = {scope for group in named for scope in self._scopes.get(str(group), ())}
        subject = str(claims["sub"])[:200]
        name = claims.get(self._name)
        return Identity(
            kind="oidc",
            name=name[:100] if isinstance(name, str) and name.isprintable() and name else subject[:100],
            id=f"oidc:{subject}",
            scopes=tuple(sorted(scopes)),
            expires_at=float(claims["exp"]),
        )


async def _document(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """Read a JSON object of the issuer, over a way on which nobody can change it.

    Raises
    ------
    ValueError
        If it is not one, or too long.
    """
    parsed = httpx.URL(url)
    if parsed.scheme != "https" and parsed.host not in ("127.0.0.1", "::1", "localhost"):
        message = f"{url[:200]} is not an https address"
        raise ValueError(message)
    body = bytearray()
    async with http.stream("GET", url) as answer:
        answer.raise_for_status()
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > LARGEST_DOCUMENT:
                message = f"{url[:200]} is too long"
                raise ValueError(message)
    found = json.loads(body)
    if not isinstance(found, dict):
        message = f"{url[:200]} is no JSON object"
        raise ValueError(message)  # noqa: TRY004  # what was fetched is wrong, not what was handed in
    return dict(found)


def _refused(how: str) -> Unauthorized:
    return Unauthorized(
        f"The OIDC token {how}.", remedy="Get a new one from the issuer.", error="invalid_token"
    )
