"""Identity: who sends a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nplmon.broker.access_messages import SCOPES, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who sends a request, and what that one may do.

    Examples
    --------
    >>> Identity(kind="token", name="daq", id="ab12", scopes=("push",)).may("read")
    False
    >>> Identity(kind="token", name="root", id="cd34", scopes=("admin",)).may("read")
    True
    """

    kind: Literal["open", "token", "session", "oidc"]
    """How it is known; `open`: no token is asked for, and everyone may do everything."""
    name: str
    id: str
    """Of the token; `oidc:SUBJECT` of an OIDC user; empty where no token is asked for."""
    scopes: tuple[Scope, ...]
    monitor: str | None = None
    """The only monitor that it may touch; None: all."""
    expires_at: float | None = None
    session: str = ""
    """Digest of the session that it signed in with."""

    def may(self, scope: Scope) -> bool:
        """Tell whether it has this scope; admin has all, for it could give itself the others."""
        return scope in self.scopes or "admin" in self.scopes

    def signs(self, said: str) -> str:
        """Give the name under which it acts: its own, or what was said where nobody is asked who he is."""
        return said if self.kind == "open" else self.name


NOBODY = Identity(kind="open", name="", id="", scopes=SCOPES)
"""Where no token is asked for."""
