"""What is said of pools: the held-out events of a reference version. Times are Unix seconds in UTC."""

from __future__ import annotations

from nplmon.broker.message import Message


class PoolSegment(Message, frozen=True, kw_only=True):
    """Events that were added to a pool by one upload; immutable."""

    hash: str
    """SHA-256 (hex) over features and events as they were sent: the same upload adds nothing twice."""
    first: int
    """Events of the pool before it: its place never changes."""
    events: int
    added_at: float


class Pool(Message, frozen=True, kw_only=True):
    """The held-out events of a reference version: unweighted, in no fit, in random order within a segment."""

    reference_hash: str
    hash: str
    """SHA-256 (hex) over the hashes of the segments in order; "" without any."""
    first: int
    """The place of the first event that is kept: those before were used by all monitors and dropped for new ones."""
    events: int
    """Events that are kept."""
    segments: tuple[PoolSegment, ...]
