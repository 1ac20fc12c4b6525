"""Who may do what, and who did what. Times are Unix seconds in UTC."""

from __future__ import annotations

from typing import Literal, get_args

from nplmon.broker.message import Message

Scope = Literal["push", "read", "operate", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


class Token(Message, frozen=True, kw_only=True):
    """An API token as it is stored: its secret only as a hash."""

    id: str
    """Public: the part of the token that finds it."""
    name: str
    """Who it stands for; the name under which its holder acts."""
    hash: str
    """Argon2id, with its parameters and salt."""
    scopes: tuple[Scope, ...]
    monitor: str | None = None
    """The only monitor that it is good for; None: all."""
    created_at: float
    created_by: str = ""
    expires_at: float | None = None


class Session(Message, frozen=True, kw_only=True):
    """A browser that has signed in."""

    name: str
    scopes: tuple[Scope, ...]
    monitor: str | None = None
    token: str | None = None
    """Id of the token it was made with; it ends with that one. None: made with an OIDC bearer token."""
    created_at: float
    expires_at: float


class AuditEntry(Message, frozen=True, kw_only=True):
    """One thing that somebody changed."""

    id: str = ""
    """Its place in the stream, MILLISECONDS-NUMBER; given by the store."""
    at: float = 0.0
    """Resolution 1 ms; given by the store."""
    who: str
    """Name of the token or of the OIDC user; empty where no token is needed."""
    token: str = ""
    """Id of the token; `oidc:SUBJECT` of an OIDC user; `store` for what was done at the store itself."""
    address: str
    """Where the request came from."""
    action: str
    """Method and route, as in `DELETE /v1/monitors/{monitor}`."""
    object: str
    """What it was done to: the path of the request; for a token that was made, its id."""
    status: int
    """The answer's."""
