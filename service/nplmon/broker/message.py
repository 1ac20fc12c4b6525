"""Message: the base of all that is said over the store."""

from __future__ import annotations

from typing import Literal

import msgspec

AlarmLevel = Literal["ok", "warning", "alarm"]


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all messages: frozen, by keyword, and strict about unknown fields."""
