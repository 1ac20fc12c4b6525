# ruff: noqa: N818 (an error is named after what is wrong)
"""Why a request is turned away.

AccessError
├── Unauthorized      nobody whom we know
├── Forbidden         known, but may not
└── RateLimited       too many requests of one token, or too many failed attempts of one address

No message carries what was sent as a secret.
"""

from __future__ import annotations


class AccessError(Exception):
    """Base of all refusals of access."""

    def __init__(self, detail: str, *, field: str, remedy: str, value: str | None = None) -> None:
        super().__init__(detail)
        self.field, self.remedy, self.value = field, remedy, value


class Unauthorized(AccessError):
    """The request names nobody whom we know."""

    def __init__(self, detail: str, *, remedy: str = "", error: str = "") -> None:
        super().__init__(
            detail,
            field="authorization",
            remedy=remedy
            or "Send `Authorization: Bearer TOKEN`; an admin makes one with `nplmon token create`.",
        )
        self.error = error
        """For WWW-Authenticate (RFC 6750); empty where nothing was sent."""


class Forbidden(AccessError):
    """Whoever it is may not do this."""


class RateLimited(AccessError):
    """Too much, too fast."""

    def __init__(self, detail: str, *, seconds: float, remedy: str) -> None:
        super().__init__(detail, field="authorization", remedy=remedy)
        self.seconds = seconds
        """Until the next one may come."""
