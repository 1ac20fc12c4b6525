"""What ends a try to deliver, and how.

DeliveryError
├── TryLater    it may work later
└── GiveUp      it will not
"""

from __future__ import annotations


class DeliveryError(Exception):
    """A notification was not delivered; the message says why, without anything secret."""


class TryLater(DeliveryError):  # noqa: N818 (it says what to do)
    """The receiver is away or busy.

    Parameters
    ----------
    reason:
        In words.
    after:
        What it asked to wait, in s; None where it said nothing.
    """

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class GiveUp(DeliveryError):  # noqa: N818 (it says what to do)
    """The receiver refuses, or nothing can be sent with these settings."""
