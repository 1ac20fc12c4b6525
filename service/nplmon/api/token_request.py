"""What is asked of a new token."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nplmon.api.names import NAME_PATTERN
from nplmon.api.strict import Strict
from nplmon.broker.access_messages import Scope


class TokenRequest(Strict):
    """Make a token."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """Who it stands for."""
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=4)]
    monitor: Annotated[str, Field(pattern=NAME_PATTERN)] | None = None
    """The only monitor that it is good for."""
    days: Annotated[float, Field(gt=0, le=3660, allow_inf_nan=False)] | None = None
    """After which it expires; null: never."""
