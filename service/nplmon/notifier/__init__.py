"""Notifications: what the journals of held monitors tell goes to webhooks and by e-mail, at least once."""

from nplmon.notifier.notifier import Notifier
from nplmon.notifier.thread import NotifierThread

__all__ = ["Notifier", "NotifierThread"]
