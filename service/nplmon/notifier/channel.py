"""A channel: one way to reach receivers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from nplmon.notifier.notice import Notice

ChannelName = Literal["webhook", "email"]


class Channel(Protocol):
    """Delivers one notice to one receiver, once; whoever calls it decides on another try."""

    name: ChannelName

    def missing(self) -> str:
        """Say which settings are missing, with the remedy; "" where nothing is."""

    def shown(self, address: str) -> str:
        """Name a receiver in logs and in the journal, without what only it should know."""

    async def deliver(self, address: str, notice: Notice) -> None:
        """Deliver it.

        Raises
        ------
        TryLater
            If it may work later.
        GiveUp
            If it will not.
        """

    async def close(self) -> None:
        """Close all connections."""
