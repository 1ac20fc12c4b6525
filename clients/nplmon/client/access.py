"""Access: the tokens of a service, for those who may make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

from nplmon.client.conversation import Answer, Call
from nplmon.client.decoding import decode
from nplmon.client.errors import UnexpectedAnswer

Scope = Literal["push", "read", "operate", "admin"]


@dataclass(frozen=True, kw_only=True)
class TokenInfo:
    """What may be known of a token."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    monitor: str | None = None
    created_at: float
    created_by: str = ""
    expires_at: float | None = None
    used_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class NewToken:
    """A token that was just made; `token` is shown this once."""

    token: str = field(repr=False)
    info: TokenInfo


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One thing that somebody changed; `token` is an id, `oidc:SUBJECT`, or `store`."""

    id: str
    at: float
    who: str
    token: str
    address: str
    action: str
    object: str
    status: int


def create_token(
    name: str, scopes: Sequence[Scope], *, monitor: str | None = None, days: float | None = None
) -> Call[NewToken]:
    """Make a token; what its holder sends is in the answer, and nowhere else.

    Parameters
    ----------
    name:
        Who it stands for.
    scopes:
        Some of "push", "read", "operate", "admin".
    monitor:
        The only monitor that it is good for; None: all.
    days:
        After which it expires; None: never.
    """
    body = {"name": name, "scopes": list(scopes), "monitor": monitor, "days": days}
    # Made twice, one of the two would be a key that nobody has.
    return Call(
        "POST", "/v1/tokens", lambda answer: decode(NewToken, answer.json()), json=body, repeatable=False
    )


def tokens() -> Call[tuple[TokenInfo, ...]]:
    """List the tokens, the oldest first."""
    return Call("GET", "/v1/tokens", _tokens)


def revoke_token(token: str) -> Call[None]:
    """Revoke the token of this id; within two seconds it is good for nothing, nor are sessions made with it."""
    return Call("DELETE", f"/v1/tokens/{quote(token, safe='')}", lambda _: None, repeatable=False)


def audit(*, limit: int = 200, before: str | None = None) -> Call[tuple[AuditEntry, ...]]:
    """Give who changed what, the newest first; `before` is the id of an entry to go on from."""
    return Call("GET", "/v1/audit", _audit, params={"limit": limit, "before": before})


def _audit(answer: Answer) -> tuple[AuditEntry, ...]:
    said = answer.json()
    if not isinstance(said, dict) or not isinstance(said.get("entries"), list):
        raise UnexpectedAnswer("the answer has no list 'entries'; is this address an nplmon service?")
    return tuple(decode(AuditEntry, item) for item in said["entries"])


def _tokens(answer: Answer) -> tuple[TokenInfo, ...]:
    said = answer.json()
    if not isinstance(said, dict) or not isinstance(said.get("tokens"), list):
        raise UnexpectedAnswer("the answer has no list 'tokens'; is this address an nplmon service?")
    return tuple(decode(TokenInfo, item) for item in said["tokens"])
