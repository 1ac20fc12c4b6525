"""Access: who sends a request, and what that one may do."""

from nplmon.access.errors import AccessError, Forbidden, RateLimited, Unauthorized
from nplmon.access.gate import Gate
from nplmon.access.hosts import Hosts, check_origin
from nplmon.access.identity import NOBODY, Identity
from nplmon.access.secret import new_token

__all__ = [
    "NOBODY",
    "AccessError",
    "Forbidden",
    "Gate",
    "Hosts",
    "Identity",
    "RateLimited",
    "Unauthorized",
    "check_origin",
    "new_token",
]
