"""The saved state of a run: versioned, checksummed, complete."""

from __future__ import annotations

import hashlib

import msgspec

from nplmon.broker.messages import Alarm

VERSION = 4
_DIGEST = hashlib.sha256().digest_size


class StateUnreadableError(Exception):
    """A saved state is damaged or of a version that this program does not read."""


class SavedState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that the next value depends on, besides the reference and the kept chunks' events."""

    version: int = VERSION
    reference_hash: str
    monitor_epoch: int
    sequence: int
    """The last sequence number applied, dead ones included."""
    dead: int
    kept: list[int]
    """Sequence numbers of the chunks whose events are kept for t_agg."""
    kept_until: int
    """The last chunk in the exact t_agg."""
    alarm: Alarm
    first_expected: float
    """lam of the first applied chunk, which the thresholds are chosen for; 0 before."""
    toys: str
    """Key of the calibration by toys that the run began with; "" for the closed form."""
    aggregations: list[bytes]
    """`Widths.to_bytes()`: one for each kernel width; empty before the first applied chunk."""
    parts: dict[str, bytes]
    """What `Part.to_bytes` gave, by the part's name."""

    def to_bytes(self) -> bytes:
        """Encode, behind a SHA-256 of the encoding."""
        body = msgspec.msgpack.encode(self)
        return hashlib.sha256(body).digest() + body

    @classmethod
    def from_bytes(cls, stored: bytes) -> SavedState:
        """Decode what `to_bytes` wrote.

        Raises
        ------
        StateUnreadableError
            If the checksum or the version does not agree.
        """
        digest, body = stored[:_DIGEST], stored[_DIGEST:]
        if hashlib.sha256(body).digest() != digest:
            raise StateUnreadableError("the saved state is damaged (checksum): reset the run")
        version = msgspec.msgpack.decode(body).get("version")
        if version != VERSION:
            raise StateUnreadableError(f"the saved state has version {version}, not {VERSION}: reset the run")
        return msgspec.msgpack.decode(body, type=cls)
