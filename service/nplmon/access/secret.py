"""Secret: what a token looks like, how it is made and how it is checked."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from nplmon.broker.access_messages import Token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nplmon.broker.access_messages import Scope

PREFIX = "nplmon"
_TOKEN = re.compile(r"nplmon_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
SECRET_BYTES = 32
"""256 bits of the system's random source: beyond guessing, so the hash need not be slow to be safe."""

# 3 ms and 8 MB for each check on one core of an EPYC: what a stolen store is worth rests on the 256 bits.
_HASHER = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1)
_DUMMY = _HASHER.hash(secrets.token_urlsafe(SECRET_BYTES))
"""Checked against where there is no token of an id, so that the time tells nothing."""


def new_token(
    name: str,
    scopes: Sequence[Scope],
    *,
    monitor: str | None = None,
    days: float | None = None,
    created_by: str = "",
) -> tuple[Token, str]:
    """Make a token: what is stored, and what its holder gets to see once.

    Parameters
    ----------
    name:
        Who it stands for.
    monitor:
        The only monitor that it is good for; None: all.
    days:
        After which it expires; None: never.

    Examples
    --------
    >>> token, text = new_token("daq", ["push"])
    >>> text.startswith(f"nplmon_{token.id}_"), len(text), text[24:] in token.hash
    (True, 67, False)
    """
    token_id, secret = secrets.token_hex(8), secrets.token_urlsafe(SECRET_BYTES)
    now = time.time()
    token = Token(
        id=token_id,
        name=name,
        hash=_HASHER.hash(secret),
        scopes=tuple(dict.fromkeys(scopes)),
        monitor=monitor,
        created_at=now,
        created_by=created_by,
        expires_at=None if days is None else now + days * 86_400,
    )
    return token, f"{PREFIX}_{token_id}_{secret}"


def split(text: str) -> tuple[str, str] | None:
    """Give id and secret of a token, None if it has another form.

    Examples
    --------
    >>> split("nplmon_x_y") is None
    True
    """
    found = _TOKEN.fullmatch(text)
    return None if found is None else (found[1], found[2])


def verify(token: Token | None, secret: str) -> bool:
    """Check a secret against a token, or against none in the same time."""
    try:
        _HASHER.verify(_DUMMY if token is None else token.hash, secret)
    except (VerificationError, InvalidHashError):
        return False
    return token is not None


def digest(text: str) -> str:
    """Give the SHA-256 (hex) of a random secret: what is stored of a session."""
    return hashlib.sha256(text.encode()).hexdigest()
