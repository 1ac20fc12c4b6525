"""Notifications: what the journals of held monitors tell goes to webhooks and by e-mail, at least once."""

from nplmon.notifier.notifier import Notifier

__all__ = ["Notifier"]
